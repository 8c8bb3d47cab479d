"""Columns: what needs others stands to the left of what it needs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.assessment.drawing.column import columns

NAMES = [f"n{i}" for i in range(12)]
arrows = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=40)


def placed(pairs: list[tuple[str, str]], rows_max: int = 100) -> dict[str, int]:
    return columns(NAMES, pairs, dict.fromkeys(NAMES, 0), rows_max)


@settings(max_examples=60)
@given(arrows)
def test_two_that_are_joined_never_share_a_column(pairs: list[tuple[str, str]]) -> None:
    column = placed(pairs)
    assert all(column[a] != column[b] for a, b in pairs if a != b)


@settings(max_examples=60)
@given(arrows)
def test_without_cycles_every_arrow_leads_to_the_right(pairs: list[tuple[str, str]]) -> None:
    forward = [(a, b) for a, b in pairs if NAMES.index(a) < NAMES.index(b)]
    column = placed(forward)
    assert all(column[a] < column[b] for a, b in forward)


@settings(max_examples=60)
@given(arrows, st.integers(1, 4))
def test_no_column_has_more_rows_of_a_lane_than_it_may(pairs: list[tuple[str, str]], rows_max: int) -> None:
    lane_of = {name: i % 2 for i, name in enumerate(NAMES)}
    column = columns(NAMES, pairs, lane_of, rows_max)
    for lane in (0, 1):
        members = [column[name] for name in NAMES if lane_of[name] == lane]
        assert max(members.count(at) for at in members) <= rows_max


@settings(max_examples=60)
@given(arrows)
def test_columns_are_numbered_without_gaps(pairs: list[tuple[str, str]]) -> None:
    assert set(placed(pairs).values()) == set(range(max(placed(pairs).values()) + 1))


def test_a_cycle_is_opened_at_one_arrow() -> None:
    column = placed([("n0", "n1"), ("n1", "n2"), ("n2", "n0")])
    assert column["n0"] < column["n1"] < column["n2"]


def test_what_only_leads_to_something_far_right_stands_next_to_it() -> None:
    column = placed([("n0", "n1"), ("n1", "n2"), ("n2", "n3"), ("n4", "n3")])
    assert column["n4"] == column["n3"] - 1
