from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.policy.affinity import Affinity, AffinityPolicy, _mixed

NAMES = ["a", "b", "c", "d"]
KEYS = [f"session-{number}" for number in range(4000)]


def preferred(names: list[str], weights: list[float] | None = None) -> dict[str, str]:
    """Who gets each key while nobody has anything to do."""
    affinity = Affinity(AffinityPolicy())
    weights = weights or [1.0] * len(names)
    return {key: names[affinity.prefer(key, names, [0] * len(names), weights)] for key in KEYS}


def test_sessions_are_spread_evenly_and_by_weight() -> None:
    assert all(count == pytest.approx(1000, rel=0.1) for count in Counter(preferred(NAMES).values()).values())
    counts = Counter(preferred(NAMES, [1, 2, 3, 4]).values())
    assert [counts[name] / 400 for name in NAMES] == pytest.approx([1, 2, 3, 4], rel=0.1)


def test_the_same_key_goes_to_the_same_member_in_every_process_and_release() -> None:
    found = [preferred(NAMES)[key] for key in KEYS[:16]]
    assert "".join(found) == "ccbacadabcadacbd"


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
def test_when_a_member_leaves_only_its_own_sessions_move(weights: list[float]) -> None:
    before = preferred(NAMES, weights)
    after = preferred(["a", "b", "d"], [weights[0], weights[1], weights[3]])
    assert all(before[key] == after[key] or before[key] == "c" for key in KEYS)
    moved = Counter(after[key] for key in KEYS if before[key] == "c")
    assert set(moved) == {"a", "b", "d"}


def test_a_ranking_begins_with_the_preferred_and_goes_on_with_who_is_preferred_without_it() -> None:
    affinity = Affinity(AffinityPolicy())
    for key in KEYS[:200]:
        left = list(NAMES)
        for name in affinity.ranked(key, NAMES[::-1]):
            assert name == left[affinity.prefer(key, left, [0] * len(left), [1.0] * len(left))]
            left.remove(name)
        assert left == []


def test_the_order_of_members_is_no_matter() -> None:
    assert preferred(NAMES) == preferred(NAMES[::-1])


def test_a_heavier_weight_takes_sessions_and_gives_none_away() -> None:
    before, after = preferred(NAMES), preferred(NAMES, [1.0, 1.0, 1.0, 2.0])
    assert all(before[key] == after[key] or after[key] == "d" for key in KEYS)


def test_a_famous_key_overflows_to_the_next_in_rank_and_comes_back() -> None:
    affinity = Affinity(AffinityPolicy())
    loads = [0, 0, 0, 0]
    first = affinity.prefer("famous", NAMES, loads, [1.0] * 4)
    for _ in range(1000):
        loads[affinity.prefer("famous", NAMES, loads, [1.0] * 4)] += 1
    assert max(loads) <= math.ceil(1.25 * 1001 / 4)
    assert sorted(loads)[1] > 200
    loads[first] = 0
    assert affinity.prefer("famous", NAMES, loads, [1.0] * 4) == first


def test_a_quiet_pool_keeps_a_session_where_it_is() -> None:
    affinity = Affinity(AffinityPolicy())
    first = affinity.prefer("famous", NAMES[:2], [0, 0], [1.0, 1.0])
    loads = [0, 0]
    loads[first] = 1
    assert affinity.prefer("famous", NAMES[:2], loads, [1.0, 1.0]) == first


def test_weight_zero_is_preferred_only_when_all_are_zero() -> None:
    assert "a" not in preferred(NAMES, [0.0, 1.0, 1.0, 1.0]).values()
    assert set(preferred(NAMES, [0.0, 0.0, 0.0, 0.0]).values()) == set(NAMES)


def test_names_seen_are_forgotten_beyond_their_bound() -> None:
    affinity = Affinity(AffinityPolicy())
    for number in range(3):
        affinity.prefer("k", [f"{number}-{each}" for each in range(9_000)], [0] * 9_000, [1.0] * 9_000)
    assert len(affinity._seeds) <= Affinity.names_max


def test_nobody_to_prefer_breaks_an_invariant() -> None:
    with pytest.raises(InvariantBroken, match="affinity: nobody to prefer"):
        Affinity(AffinityPolicy()).prefer("k", [], [], [])


@pytest.mark.parametrize("wrong", [0.99, 0.0, -1.0, math.nan])
def test_what_is_not_possible_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigurationError, match="write 1 or more"):
        AffinityPolicy(wrong)


@given(st.integers(0, 2**64 - 1))
def test_a_mixed_number_is_above_zero_and_below_one(value: int) -> None:
    assert 0.0 < _mixed(value) < 1.0


def test_even_the_extremes_of_mixing_are_above_zero_and_below_one() -> None:
    def unmixed(value: int) -> int:
        """What `_mixed` makes `value` of, before it becomes a fraction: its steps undone, last first."""
        for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
            undone = value
            for _ in range(4):
                undone = value ^ (undone >> shift)
            value = undone * pow(factor, -1, 2**64) % 2**64
        return value

    assert _mixed(unmixed(0)) == 0.5 / 2**52
    assert _mixed(unmixed(2**64 - 1)) == 1 - 0.5 / 2**52


class Placing(RuleBasedStateMachine):
    """Sessions come and go; members leave and return."""

    def __init__(self) -> None:
        super().__init__()
        self.affinity = Affinity(AffinityPolicy())
        self.present = list(NAMES)
        self.loads = dict.fromkeys(NAMES, 0)
        self.weights = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 0.5}

    @rule(key=st.integers(0, 5), times=st.integers(1, 30))
    def place(self, key: int, times: int) -> None:
        for _ in range(times):
            loads = [self.loads[name] for name in self.present]
            weights = [self.weights[name] for name in self.present]
            chosen = self.present[self.affinity.prefer(str(key), self.present, loads, weights)]
            self.loads[chosen] += 1
            share = self.weights[chosen] / sum(weights)
            assert self.loads[chosen] <= math.ceil(1.25 * (sum(loads) + 1) * share)

    @rule(name=st.sampled_from(NAMES))
    def leave(self, name: str) -> None:
        if name in self.present and len(self.present) > 1:
            self.present.remove(name)
            self.loads[name] = 0

    @rule(name=st.sampled_from(NAMES))
    def join(self, name: str) -> None:
        if name not in self.present:
            self.present.append(name)

    @rule(name=st.sampled_from(NAMES))
    def end(self, name: str) -> None:
        self.loads[name] = 0

    @invariant()
    def a_session_has_one_place(self) -> None:
        idle, weights = [0] * len(self.present), [1.0] * len(self.present)
        first = self.affinity.prefer("one", self.present, idle, weights)
        assert self.affinity.prefer("one", self.present, idle, weights) == first


TestPlacing = Placing.TestCase


def test_a_ranking_by_weight_begins_with_who_is_preferred_by_weight() -> None:
    affinity = Affinity(AffinityPolicy(bound=1e9))
    names, weights = ["a", "b", "c"], [1.0, 2.0, 5.0]
    firsts: Counter[str] = Counter()
    for number in range(3_000):
        key = f"key-{number}"
        ranked = affinity.ranked(key, names, dict(zip(names, weights, strict=True)))
        assert ranked[0] == names[affinity.prefer(key, names, [0, 0, 0], weights)]
        assert sorted(ranked) == names
        firsts[ranked[0]] += 1
    assert 300 < firsts["a"] < 450
    assert 1_750 < firsts["c"] < 2_000
    assert affinity.ranked("k", names, {}) == affinity.ranked("k", names)
