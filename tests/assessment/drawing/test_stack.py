"""How high items stand in their column."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.assessment.drawing.stack import settle


@settings(max_examples=60)
@given(st.lists(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8), min_size=1, max_size=4))
def test_items_keep_their_order_their_distance_and_their_lane(joins: list[set[tuple[int, int]]]) -> None:
    columns = len(joins) + 1
    left: list[list[int]] = [[] for _ in range(4 * columns)]
    right: list[list[int]] = [[] for _ in range(4 * columns)]
    for column, pairs in enumerate(joins):
        for a, b in pairs:
            right[4 * column + a].append(4 * column + 4 + b)
            left[4 * column + 4 + b].append(4 * column + a)
    stacks = [[[4 * column + i for i in range(4)]] for column in range(columns)]
    y = settle(stacks, lambda _: 5.0, left, right, [100.0])
    for (stack,) in stacks:
        assert all(y[b] - y[a] >= 10 - 1e-9 for a, b in itertools.pairwise(stack))
        assert y[stack[0]] >= 5 - 1e-9
        assert y[stack[-1]] <= 95 + 1e-9


def test_what_is_joined_stands_level_where_there_is_room() -> None:
    y = settle([[[0, 1]], [[2]]], lambda _: 5.0, [[], [], [1]], [[], [2], []], [60.0])
    assert y[1] == y[2]
