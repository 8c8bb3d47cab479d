"""The order of a column."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.assessment.drawing.crossing import crossings, ordered

SIZE = 5
lines = st.sets(st.tuples(st.integers(0, SIZE - 1), st.integers(SIZE, 2 * SIZE - 1)), max_size=14)


def neighbours(pairs: set[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    left: list[list[int]] = [[] for _ in range(2 * SIZE)]
    right: list[list[int]] = [[] for _ in range(2 * SIZE)]
    for a, b in sorted(pairs):
        right[a].append(b)
        left[b].append(a)
    return left, right


def places(order: list[list[int]]) -> list[int]:
    place = [0] * (2 * SIZE)
    for column in order:
        for i, item in enumerate(column):
            place[item] = i
    return place


@settings(max_examples=60)
@given(lines)
def test_crossings_are_counted_as_by_comparing_every_pair(pairs: set[tuple[int, int]]) -> None:
    _, right = neighbours(pairs)
    order = [list(range(SIZE)), list(range(SIZE, 2 * SIZE))]
    every = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(pairs, 2))
    assert crossings(order, right, places(order)) == every


@settings(max_examples=60)
@given(lines)
def test_the_order_is_never_worse_and_holds_the_same_items(pairs: set[tuple[int, int]]) -> None:
    left, right = neighbours(pairs)
    before = [list(range(SIZE)), list(range(SIZE, 2 * SIZE))]
    after = ordered(before, [0] * 2 * SIZE, left, right)
    assert [sorted(column) for column in after] == before
    assert crossings(after, right, places(after)) <= crossings(before, right, places(before))


def test_lines_that_need_not_cross_do_not() -> None:
    left, right = neighbours({(i, 2 * SIZE - 1 - i) for i in range(SIZE)})
    order = ordered([list(range(SIZE)), list(range(SIZE, 2 * SIZE))], [0] * 2 * SIZE, left, right)
    assert crossings(order, right, places(order)) == 0


def test_lanes_keep_their_order_whatever_lines_want() -> None:
    lane = [0, 0, 1, 1, 1, 0, 0, 1, 1, 1]
    left, right = neighbours({(0, 9), (4, 5)})
    for column in ordered([list(range(SIZE)), list(range(SIZE, 2 * SIZE))], lane, left, right):
        assert [lane[item] for item in column] == sorted(lane[item] for item in column)
