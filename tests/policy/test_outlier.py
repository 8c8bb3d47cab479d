from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.policy.outlier import TRANSITIONS, Outlier, OutlierPolicy, Pace, Window

POLICY = OutlierPolicy()
STATES = ("in", "out")
EVENTS = ("ejected", "returned", "recovered")


def pool(size: int, policy: OutlierPolicy = POLICY) -> tuple[Outlier, list[Pace]]:
    outlier = Outlier(policy)
    return outlier, [outlier.join(f"m{number}") for number in range(size)]


def answered(pace: Pace, now: float, times: int, first_s: float, gap_s: float = 0.01, tokens: int = 3) -> None:
    """So many answers, the last of which ends at `now`."""
    for _ in range(times):
        key = object()
        start = now - first_s - gap_s * tokens
        pace.began(key, start)
        pace.token(key, start + first_s)
        for number in range(tokens):
            pace.token(key, start + first_s + gap_s * (number + 1))
        pace.ended(key)


def slow_one(outlier: Outlier, paces: list[Pace], now: float, slow: set[int], slow_s: float = 10.0) -> list[Pace]:
    for number, pace in enumerate(paces):
        answered(pace, now, 10, slow_s if number in slow else 0.1)
    return outlier.judge(now)


@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_who_takes_much_longer_to_its_first_token_than_its_peers_is_out(size: int) -> None:
    outlier, paces = pool(size)
    assert slow_one(outlier, paces, 100.0, {1}) == [paces[1]]
    assert paces[1].state == "out"
    assert paces[1].until == pytest.approx(105.0)
    assert paces[1].why == "first token takes 10 s, its peers 0.1 s"


def test_who_stutters_is_out_although_it_begins_as_fast() -> None:
    outlier, paces = pool(3)
    for number, pace in enumerate(paces):
        answered(pace, 100.0, 5, 0.1, 0.5 if number == 2 else 0.01, tokens=10)
    assert outlier.judge(100.0) == [paces[2]]
    assert paces[2].why == "gap between tokens takes 0.5 s, its peers 0.05 s"


def test_what_is_slow_for_all_ejects_nobody() -> None:
    outlier, paces = pool(4)
    assert slow_one(outlier, paces, 100.0, {0, 1, 2, 3}) == []


def test_below_the_floor_nobody_is_slow() -> None:
    outlier, paces = pool(2)
    answered(paces[0], 100.0, 50, 0.002)
    answered(paces[1], 100.0, 50, 0.007)
    assert outlier.judge(100.0) == []
    answered(paces[1], 101.0, 5000, 0.049)
    assert outlier.judge(101.0) == []


def test_little_slower_is_not_out_and_few_answers_are_not_believed() -> None:
    outlier, paces = pool(2)
    answered(paces[0], 100.0, 50, 0.1)
    answered(paces[1], 100.0, 50, 0.4)
    assert outlier.judge(100.0) == []
    outlier, paces = pool(2)
    answered(paces[0], 100.0, 5, 0.1)
    answered(paces[1], 100.0, 4, 100.0)
    assert outlier.judge(100.0) == []
    answered(paces[1], 101.0, 1, 100.0)
    assert outlier.judge(101.0) == [paces[1]]
    outlier, paces = pool(2)
    answered(paces[0], 100.0, 5, 0.1)
    answered(paces[1], 100.0, 50, 0.5)
    assert outlier.judge(100.0) == []
    answered(paces[0], 101.0, 45, 0.1)
    assert outlier.judge(101.0) == [paces[1]]


def test_a_member_whose_peers_are_unknown_is_not_judged() -> None:
    outlier, paces = pool(2)
    answered(paces[1], 100.0, 50, 100.0)
    assert outlier.judge(100.0) == []


def test_few_answers_of_the_peers_are_not_believed_either() -> None:
    outlier, paces = pool(2)
    answered(paces[0], 100.0, 4, 0.1)
    answered(paces[1], 100.0, 50, 100.0)
    assert outlier.judge(100.0) == []


@pytest.mark.parametrize(("first", "gap"), [(50.0, 0.01), (0.1, 3.0)])
def test_what_a_member_did_long_ago_is_not_held_against_it(first: float, gap: float) -> None:
    outlier, paces = pool(2)
    answered(paces[1], 100.0, 20, first, gap)
    answered(paces[0], 115.0, 20, 0.1)
    assert outlier.judge(115.0) == []


def test_two_peers_are_taken_in_the_middle() -> None:
    outlier, paces = pool(3)
    for pace, first in zip(paces, (0.1, 10.0, 20.0), strict=True):
        answered(pace, 100.0, 100, first)
    assert outlier.judge(100.0) == [paces[2]]
    assert outlier.spared == 1


def test_half_of_them_slow_are_all_out() -> None:
    outlier, paces = pool(4)
    assert {pace.name for pace in slow_one(outlier, paces, 100.0, {0, 3})} == {"m0", "m3"}
    assert outlier.spared == 0


def test_no_more_than_their_share_are_out_the_worst_first_and_it_is_said() -> None:
    outlier, paces = pool(5, OutlierPolicy(share_max=0.2))
    answered(paces[0], 100.0, 10, 5.0)
    answered(paces[1], 100.0, 10, 50.0)
    for pace in paces[2:]:
        answered(pace, 100.0, 10, 0.1)
    assert outlier.judge(100.0) == [paces[1]]
    assert outlier.spared == 1
    answered(paces[0], 101.0, 10, 5.0)
    assert outlier.judge(101.0) == []
    assert outlier.spared == 1


def test_a_pool_of_one_ejects_nobody() -> None:
    outlier, paces = pool(1)
    answered(paces[0], 100.0, 50, 100.0)
    paces[0].began("frozen", 100.0)
    assert outlier.judge(200.0) == []


def test_ejections_for_slowness_grow_and_are_forgiven() -> None:
    outlier, paces = pool(2)
    now, spans = 100.0, []
    for calm in (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 119.0, 121.0):
        now += calm
        assert slow_one(outlier, paces, now, {1}) == [paces[1]]
        until = paces[1].until
        assert until is not None
        spans.append(until - now)
        assert outlier.judge(until - 0.01) == []
        now = until + 0.1
        assert outlier.judge(now) == [paces[1]]
        assert (paces[1].state, paces[1].until) == ("in", None)
        now += 0.2
    assert spans == pytest.approx([5, 10, 20, 40, 60, 60, 60, 5])
    assert paces[1].ejections == 8


def test_what_was_before_its_return_is_not_held_against_it() -> None:
    outlier, paces = pool(2)
    slow_one(outlier, paces, 100.0, {1})
    answered(paces[1], 104.9, 50, 10.0)
    answered(paces[0], 104.9, 50, 0.1)
    assert outlier.judge(105.0) == [paces[1]]
    assert paces[1].state == "in"
    assert outlier.judge(105.2) == []


def test_a_frozen_member_is_out_long_before_its_requests_end() -> None:
    outlier, paces = pool(2)
    now, out_at = 100.0, None
    for tick in range(200):
        now = 100.0 + tick / 100
        for pace in paces:
            pace.began(tick, now)
        answered(paces[0], now, 1, 0.02)
        paces[0].ended(tick)
        if now < 101.0:
            answered(paces[1], now, 1, 0.02)
            paces[1].ended(tick)
        if paces[1] in outlier.judge(now):
            out_at = now
            break
    assert out_at is not None
    assert 101.4 < out_at < 101.8
    assert paces[1].why.startswith("silent for 0.")
    assert paces[1].until == pytest.approx(out_at + 2.0)


@pytest.mark.parametrize(("requests", "after_s"), [(1, 79.3), (4, 5.2), (20, 3.0)])
def test_one_request_must_wait_for_long_to_be_silence_and_many_need_not(requests: int, after_s: float) -> None:
    outlier, paces = pool(2)
    for key in range(requests):
        paces[1].began(key, 100.0)
    for tick in range(1, 1000):
        now = 100.0 + tick / 10
        answered(paces[0], now, 1, 1.0)
        if outlier.judge(now):
            assert now - 100.0 == pytest.approx(after_s, abs=0.35)
            return
    pytest.fail("it was never found")


def hedged_away(pace: Pace, start: float, end: float) -> None:
    """Five requests at a time wait on it, each for 0.15 s: then a hedge has won and another comes instead."""
    now = start
    while now < end:
        keys = [object() for _ in range(5)]
        for key in keys:
            pace.began(key, now)
        now += 0.15
        if now < end:
            for key in keys:
                pace.given_up(key, now)


def test_hedges_that_rescue_its_requests_do_not_hide_that_a_member_is_frozen() -> None:
    outlier, (frozen, well) = pool(2)
    answered(frozen, 100.0, 10, 0.1)
    answered(well, 100.0, 10, 0.1)
    hedged_away(frozen, 100.0, 100.7)
    answered(well, 100.69, 10, 0.1)
    assert outlier.judge(100.7) == [frozen]
    assert frozen.why.startswith("silent for 0.7 s")


def test_who_answers_between_hedges_is_not_silent() -> None:
    outlier, (busy, well) = pool(2)
    answered(busy, 100.0, 10, 0.1)
    answered(well, 100.0, 10, 0.1)
    hedged_away(busy, 100.0, 100.4)
    answered(busy, 100.4, 1, 0.1)
    hedged_away(busy, 100.4, 100.7)
    answered(well, 100.69, 10, 0.1)
    assert outlier.judge(100.7) == []


def test_who_streams_a_token_now_and_then_is_not_silent() -> None:
    outlier, paces = pool(2)
    for key in range(50):
        paces[1].began(key, 100.0)
        paces[1].token(key, 100.1)
    for tick in range(2, 300):
        now = 100.0 + tick / 10
        answered(paces[0], now, 1, 0.1, 0.04)
        if tick % 4 == 0:
            paces[1].token(tick % 50, now)
        assert outlier.judge(now) == [] or "gap" in paces[1].why


def test_while_the_peers_are_silent_too_nobody_is() -> None:
    outlier, paces = pool(3)
    for pace in paces:
        answered(pace, 100.0, 20, 0.02)
        for key in range(20):
            pace.began(key, 100.0)
    assert outlier.judge(130.0) == []
    answered(paces[0], 130.1, 1, 0.02)
    assert paces[0] not in outlier.judge(130.2)


def test_an_observer_that_was_paused_ejects_nobody() -> None:
    outlier, paces = pool(2)
    for pace in paces:
        answered(pace, 100.0, 20, 0.02)
        for key in range(20):
            pace.began(key, 100.0)
    assert outlier.judge(105.0) == []


def test_many_that_wait_for_a_moment_are_no_silence() -> None:
    outlier, paces = pool(2)
    for key in range(200):
        paces[1].began(key, 100.0)
    answered(paces[0], 100.45, 20, 0.02)
    assert outlier.judge(100.45) == []
    answered(paces[0], 100.56, 20, 0.02)
    assert outlier.judge(100.56) == [paces[1]]


def test_who_gave_something_lately_is_not_silent_for_as_long_as_its_requests_wait() -> None:
    outlier, paces = pool(2)
    for key in range(20):
        paces[1].began(key, 100.0)
    paces[1].alive(101.9)
    answered(paces[0], 103.5, 20, 1.0)
    assert outlier.judge(103.5) == []
    answered(paces[0], 105.0, 20, 1.0)
    assert outlier.judge(105.0) == [paces[1]]


def test_who_is_back_is_given_time_before_it_is_silent_again() -> None:
    outlier, paces = pool(2)
    answered(paces[0], 101.0, 20, 0.02)
    for key in range(20):
        paces[1].began(key, 100.0)
    assert outlier.judge(101.0) == [paces[1]]
    answered(paces[0], 103.0, 20, 0.02)
    assert outlier.judge(103.0) == [paces[1]]
    assert paces[1].state == "in"
    assert outlier.judge(103.4) == []
    answered(paces[0], 103.6, 20, 0.02)
    assert outlier.judge(103.6) == [paces[1]]
    assert (paces[1].state, paces[1].until) == ("out", pytest.approx(105.6))


def test_a_silent_one_that_gives_a_sign_of_life_is_in_again() -> None:
    outlier, paces = pool(2)
    answered(paces[0], 101.0, 20, 0.02)
    for key in range(20):
        paces[1].began(key, 100.0)
    assert outlier.judge(101.0) == [paces[1]]
    assert outlier.judge(101.2) == []
    paces[1].token(3, 101.3)
    assert outlier.judge(101.4) == [paces[1]]
    assert paces[1].state == "in"
    assert outlier.judge(101.6) == []


def test_a_slow_one_that_still_streams_stays_out() -> None:
    outlier, paces = pool(2)
    paces[1].began("stream", 99.0)
    slow_one(outlier, paces, 100.0, {1})
    assert paces[1].state == "out"
    paces[1].token("stream", 101.0)
    paces[1].alive(101.0)
    assert outlier.judge(101.1) == []


def test_an_error_is_a_sign_of_life() -> None:
    outlier, paces = pool(2)
    for key in range(20):
        paces[1].began(key, 100.0)
    answered(paces[0], 101.0, 20, 0.02)
    paces[1].alive(100.9)
    assert outlier.judge(101.0) == []


def test_a_health_check_lets_it_in_at_once() -> None:
    outlier, paces = pool(2)
    slow_one(outlier, paces, 100.0, {1})
    assert not outlier.recovered("m0", 100.5)
    assert not outlier.recovered("nobody", 100.5)
    assert outlier.recovered("m1", 100.5)
    assert (paces[1].state, paces[1].until) == ("in", None)
    assert outlier.judge(101.0) == []


def test_it_is_looked_at_every_so_often_only() -> None:
    outlier, paces = pool(2)
    assert outlier.judge(100.0) == []
    answered(paces[0], 100.05, 10, 0.1)
    answered(paces[1], 100.05, 10, 10.0)
    assert outlier.judge(100.09) == []
    assert outlier.judge(100.11) == [paces[1]]


def test_who_left_is_not_judged_and_who_joins_twice_is_one() -> None:
    outlier, paces = pool(2)
    assert outlier.join("m1") is paces[1]
    outlier.leave("m1")
    outlier.leave("m1")
    assert slow_one(outlier, paces, 100.0, {1}) == []


def test_a_window_is_the_geometric_mean_of_the_last_seconds() -> None:
    window = Window(10.0, 5, 0.05)
    assert (window.count, window.mean) == (0, 0.0)
    for now, value in ((100.0, 0.1), (103.0, 0.4), (104.0, 0.0)):
        window.add(now, value)
    assert window.mean == pytest.approx((math.log(0.1) + math.log(0.4) + math.log(0.05)) / 3)
    window.look(90.0)
    assert window.count == 3
    window.look(110.0)
    assert window.count == 2
    window.look(500.0)
    assert (window.count, window.mean) == (0, 0.0)


@pytest.mark.parametrize("rate", [0.5, 5.0])
def test_equal_members_with_long_tails_are_hardly_ever_ejected(rate: float) -> None:
    """Time to first token lognormal with the spread that is taken for granted: an hour without a false alarm."""
    random = Random(7)
    outlier, paces = pool(4)
    now, ejected, number = 100.0, 0, 0
    open_: list[tuple[float, int, Pace]] = []
    while now < 3700.0:
        now += random.expovariate(4 * rate)
        number += 1
        for end, key, pace in [each for each in open_ if each[0] <= now]:
            pace.token(key, end)
            pace.ended(key)
        open_ = [each for each in open_ if each[0] > now]
        pace = paces[random.randrange(4)]
        pace.began(number, now)
        open_.append((now + random.lognormvariate(math.log(0.5), 1.0), number, pace))
        ejected += sum(changed.state == "out" for changed in outlier.judge(now))
    assert ejected == 0


@pytest.mark.parametrize(("state", "event"), sorted(set(itertools.product(STATES, EVENTS)) - set(TRANSITIONS)))
def test_every_other_transition_breaks_an_invariant(state: str, event: str) -> None:
    _, (pace,) = pool(1)
    if state == "out":
        pace.eject(100.0, "for a test", silent=False)
    with pytest.raises(InvariantBroken, match=f"outlier: m0 {event} while {state}"):
        pace.move(event, 101.0)  # type: ignore[arg-type]
    assert pace.state == state


def test_a_token_for_no_request_breaks_an_invariant() -> None:
    _, (pace,) = pool(1)
    pace.began("a", 1.0)
    pace.ended("a")
    pace.ended("a")
    with pytest.raises(InvariantBroken, match="a token for a request that m0 does not have"):
        pace.token("a", 2.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"slower_than_peers": 1.0}, {"share_max": -0.1}, {"share_max": 1.1}, {"window_s": 0.0}, {"buckets": 0},
        {"samples_min": 0}, {"check_s": -1.0}, {"first_floor_s": 0.0}, {"gap_floor_s": 0.0}, {"silent_s": 0.0},
        {"silent_evidence": 0.0}, {"silent_ejection_s": 0.0}, {"ejection_s": 0.0}, {"ejection_s": 61.0},
        {"reset_after_s": -1.0},
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="is not possible"):
        OutlierPolicy(**wrong)  # type: ignore[arg-type]


class Judging(RuleBasedStateMachine):
    """Four members, requests in any order and state, judged in between."""

    members = st.integers(0, 3)

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.outlier, self.paces = pool(4)
        self.open: dict[int, list[int]] = {number: [] for number in range(4)}
        self.keys = itertools.count()

    @rule(step=st.floats(0, 5))
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(member=members, count=st.integers(1, 12))
    def begin(self, member: int, count: int) -> None:
        for _ in range(count):
            key = next(self.keys)
            self.paces[member].began(key, self.now)
            self.open[member].append(key)

    @rule(member=members)
    def tokens(self, member: int) -> None:
        for key in self.open[member]:
            self.paces[member].token(key, self.now)

    @rule(member=members)
    def end(self, member: int) -> None:
        for key in self.open[member]:
            self.paces[member].ended(key)
        self.open[member] = []

    @rule(member=members, times=st.integers(1, 10), first=st.sampled_from([0.001, 0.1, 1.0, 30.0]))
    def answer(self, member: int, times: int, first: float) -> None:
        answered(self.paces[member], self.now, times, first)

    @rule()
    def judge(self) -> None:
        before = {pace.name: (pace.state, pace.until) for pace in self.paces}
        changed = self.outlier.judge(self.now)
        for pace in self.paces:
            state, until = before[pace.name]
            if pace in changed:
                back = state == "out" and pace.state == "in"
                assert not back or pace.silent or (until is not None and self.now >= until)
                assert changed.count(pace) == 1
            else:
                assert (pace.state, pace.until) == (state, until)

    @precondition(lambda self: any(pace.state == "out" for pace in self.paces))
    @rule()
    def recovered(self) -> None:
        name = next(pace.name for pace in self.paces if pace.state == "out")
        assert self.outlier.recovered(name, self.now)

    @invariant()
    def half_of_them_are_always_in_and_who_is_out_is_so_for_a_time(self) -> None:
        out = [pace for pace in self.paces if pace.state == "out"]
        assert len(out) <= 2
        assert all(pace.until is not None and pace.until <= self.now + 60 for pace in out)
        assert all(pace.until is None for pace in self.paces if pace.state == "in")


TestJudging = Judging.TestCase
