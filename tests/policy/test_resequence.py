"""Whatever order and however often events come, each is handed on once and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.error import ConfigurationError
from outlast.policy.resequence import Gap, Resequencer, ResequencerPolicy

Event = tuple[str, int]


@given(data=st.data(), sizes=st.dictionaries(st.sampled_from("abc"), st.integers(1, 8), min_size=1))
def test_in_any_order_and_with_any_duplicates_each_event_is_handed_on_once_in_order(
    data: st.DataObject, sizes: dict[str, int]
) -> None:
    events = [(stream, seq) for stream, count in sizes.items() for seq in range(1, count + 1)]
    doubled = data.draw(st.lists(st.sampled_from(events), max_size=20))
    found: list[Event] = []
    resequencer: Resequencer[Event] = Resequencer()
    for stream, seq in data.draw(st.permutations(events + doubled)):
        found += resequencer.offer(0.0, stream, seq, (stream, seq))
    assert sorted(found) == sorted(events)
    for stream, count in sizes.items():
        assert [seq for each, seq in found if each == stream] == list(range(1, count + 1))
    assert resequencer.duplicates == len(doubled)
    assert resequencer.gaps(1e9) == []


@given(missing=st.sets(st.integers(1, 9), max_size=8))
def test_what_never_comes_is_a_gap_and_the_rest_can_go_on_without_it(missing: set[int]) -> None:
    resequencer: Resequencer[int] = Resequencer()
    found: list[int] = []
    for seq in range(1, 11):
        if seq not in missing:
            found += resequencer.offer(0.0, "a", seq, seq)
    gaps: set[int] = set()
    while told := resequencer.gaps(60.0 * (len(gaps) + 2)):
        gaps.update(range(told[0].first, told[0].last + 1))
        found += resequencer.skip(0.0, told[0])
    assert gaps == missing
    assert found == [seq for seq in range(1, 11) if seq not in missing]


def test_a_gap_is_not_told_before_its_time() -> None:
    resequencer: Resequencer[int] = Resequencer(ResequencerPolicy(patience_s=10.0))
    assert resequencer.offer(5.0, "a", 3, 3) == []
    assert resequencer.gaps(14.9) == []
    assert resequencer.gaps(15.0) == [Gap("a", 1, 2)]
    assert resequencer.skip(15.0, Gap("a", 5, 9)) == []
    assert resequencer.skip(15.0, Gap("a", 1, 2)) == [3]
    assert resequencer.skip(15.0, Gap("a", 1, 2)) == []


def test_who_joins_late_says_from_where() -> None:
    resequencer: Resequencer[int] = Resequencer()
    resequencer.start("a", 41)
    assert resequencer.offer(0.0, "a", 41, 41) == []
    assert resequencer.offer(0.0, "a", 42, 42) == [42]


def test_what_is_held_is_bounded_and_a_gap_shows_all_the_same() -> None:
    resequencer: Resequencer[int] = Resequencer(ResequencerPolicy(patience_s=0.0, held_max=3))
    for seq in range(2, 9):
        assert resequencer.offer(0.0, "a", seq, seq) == []
    assert resequencer.dropped == 4
    assert resequencer.offer(0.0, "a", 1, 1) == [1, 2, 3, 4]
    assert resequencer.offer(0.0, "a", 9, 9) == []
    assert resequencer.gaps(0.0) == [Gap("a", 5, 8)]


def test_streams_that_were_quiet_for_longest_are_forgotten() -> None:
    resequencer: Resequencer[int] = Resequencer(ResequencerPolicy(streams_max=2))
    for stream in "abc":
        assert resequencer.offer(0.0, stream, 1, 1) == [1]
    assert resequencer.offer(0.0, "c", 1, 1) == []
    assert resequencer.offer(0.0, "a", 1, 1) == [1]


@pytest.mark.parametrize("bounds", [{"patience_s": -1}, {"held_max": 0}, {"streams_max": 0}])
def test_bounds_that_are_not_possible_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="not possible"):
        ResequencerPolicy(**bounds)
