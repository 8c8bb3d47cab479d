from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.policy.limiter import Left, Limit, Limiter, Refused, Spent, Taken


def taken(got: Taken | Refused) -> Taken:
    assert isinstance(got, Taken)
    return got


def refused(got: Taken | Refused, bound: str, retry_after_s: float) -> None:
    assert isinstance(got, Refused)
    assert got.bound == bound
    assert got.retry_after_s == pytest.approx(retry_after_s)


def test_one_whole_request_is_at_hand_however_short_the_burst() -> None:
    limiter = Limiter(Limit(requests_per_minute=1, burst_s=10))
    assert limiter.left(100.0) == Left(1, None, None)
    taken(limiter.take(100.0))
    refused(limiter.take(100.0), "requests_per_minute", 60.0)
    assert limiter.left(160.0) == Left(1, None, None)


def test_a_minutes_worth_comes_at_once_and_then_one_after_the_other() -> None:
    limiter = Limiter(Limit(requests_per_minute=10))
    for _ in range(10):
        taken(limiter.take(100.0))
    refused(limiter.take(100.0), "requests_per_minute", 6.0)
    taken(limiter.take(106.0))
    refused(limiter.take(106.0), "requests_per_minute", 6.0)


@pytest.mark.parametrize("seed", range(5))
def test_over_any_time_no_more_than_the_rate_and_one_burst(seed: int) -> None:
    chance = random.Random(seed)
    limiter = Limiter(Limit(requests_per_minute=60, tokens_per_minute=6_000, burst_s=10))
    now = 0.0
    events: list[tuple[float, int]] = []
    while now < 300:
        now += chance.expovariate(5)
        tokens = chance.randrange(1, 500)
        if isinstance(limiter.take(now, tokens), Taken):
            events.append((now, tokens))
    for begin in range(len(events)):
        total = 0
        for end in range(begin, len(events)):
            total += events[end][1]
            seconds = events[end][0] - events[begin][0]
            assert end - begin + 1 <= 1.0 * (seconds + 10) + 1e-6
            assert total <= 100 * (seconds + 10) + 1e-6
    assert sum(tokens for _, tokens in events) >= 0.9 * 100 * 300


def test_a_wait_as_long_as_was_said_is_enough() -> None:
    limiter = Limiter(Limit(requests_per_minute=7, tokens_per_minute=1_000))
    now = 3.0
    for _ in range(200):
        got = limiter.take(now, 333)
        if isinstance(got, Refused):
            assert got.retry_after_s is not None
            now += got.retry_after_s
            taken(limiter.take(now, 333))


def test_of_two_waits_the_longer_one_is_said() -> None:
    limiter = Limiter(Limit(requests_per_minute=1, tokens_per_minute=60))
    taken(limiter.take(0.0, 60))
    refused(limiter.take(10.0, 60), "requests_per_minute", 50.0)
    limiter = Limiter(Limit(requests_per_minute=60, tokens_per_minute=60, burst_s=1))
    taken(limiter.take(0.0, 30))
    refused(limiter.take(0.0, 1), "tokens_per_minute", 30.0)


def test_an_estimate_is_settled_with_what_it_took() -> None:
    limiter = Limiter(Limit(tokens_per_minute=1_000))
    first = taken(limiter.take(0.0, 800))
    refused(limiter.take(0.0, 300), "tokens_per_minute", 6.0)
    limiter.settle(0.0, first, 100)
    second = taken(limiter.take(0.0, 300))
    limiter.settle(0.0, second, 1_200)
    assert limiter.left(0.0) == Left(None, -300, None)
    refused(limiter.take(0.0, 0), "tokens_per_minute", 18.0)


def test_one_that_is_larger_than_the_whole_bucket_goes_when_it_is_full() -> None:
    limiter = Limiter(Limit(tokens_per_minute=60, burst_s=10))
    taken(limiter.take(0.0, 100))
    refused(limiter.take(0.0, 5), "tokens_per_minute", 95.0)
    assert isinstance(limiter.take(90.0, 100), Refused)
    taken(limiter.take(100.0, 100))


def test_settling_never_gives_more_than_a_full_bucket() -> None:
    limiter = Limiter(Limit(tokens_per_minute=60))
    first = taken(limiter.take(0.0, 50))
    limiter.settle(1_000.0, first, 0)
    assert limiter.left(1_000.0).tokens == 60


def test_dollars_do_not_come_back_by_waiting() -> None:
    limiter = Limiter(Limit(usd_total=1.0))
    for _ in range(4):
        taken(limiter.take(0.0, usd=0.25))
    assert limiter.take(1e9, usd=0.0) == Refused("usd_total", None)


def test_a_new_month_has_its_own_dollars_and_an_old_one_does_not_come_back() -> None:
    limiter = Limiter(Limit(usd_per_month=1.0, usd_total=1.5))
    last = taken(limiter.take(0.0, usd=1.0, month="2026-11"))
    assert limiter.take(0.0, usd=0.1, month="2026-11") == Refused("usd_per_month", None)
    taken(limiter.take(0.0, usd=0.25, month="2026-12"))
    limiter.settle(0.0, last, 0, usd=0.5)
    assert limiter.spent == Spent("2026-12", 0.25, 0.75)
    taken(limiter.take(0.0, usd=0.25, month="2026-11"))
    assert limiter.spent == Spent("2026-12", 0.5, 1.0)
    assert limiter.left(0.0).usd == pytest.approx(0.5)


def test_what_was_spent_is_remembered_by_who_writes_it_down() -> None:
    limiter = Limiter(Limit(usd_total=1.0), Spent("2026-11", 0.9, 0.9))
    assert isinstance(limiter.take(0.0, usd=0.2, month="2026-11"), Refused)


def test_who_is_refused_has_taken_nothing() -> None:
    limiter = Limiter(Limit(requests_per_minute=2, tokens_per_minute=100, usd_total=1.0))
    before = limiter.left(0.0)
    for _ in range(5):
        assert limiter.take(0.0, usd=2.0) == Refused("usd_total", None)
    assert limiter.left(0.0) == before
    taken(limiter.take(0.0, 90))
    assert isinstance(limiter.take(0.0, 20), Refused)
    assert limiter.left(0.0) == Left(1, 10, 1.0)


def test_no_limit_limits_nothing() -> None:
    limiter = Limiter(Limit())
    for _ in range(1_000):
        taken(limiter.take(0.0, 10**9, 1e6))
    assert limiter.left(0.0) == Left(None, None, None)


def test_nothing_is_settled_twice() -> None:
    limiter = Limiter(Limit(tokens_per_minute=10))
    first = taken(limiter.take(0.0, 5))
    limiter.settle(0.0, first, 5)
    with pytest.raises(InvariantBroken, match="settled twice"):
        limiter.settle(0.0, first, 5)


@pytest.mark.parametrize(
    "wrong",
    [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"burst_s": 0}, {"usd_total": -1}, {"usd_per_month": -0.1},
     {"tokens_per_minute": float("inf")}, {"usd_total": float("nan")}],
)  # fmt: skip
def test_what_is_no_limit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="limit "):
        Limit(**wrong)


class Taking(RuleBasedStateMachine):
    """Takes, settlements and months in any order, with books kept outside."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = Limiter(Limit(requests_per_minute=30, tokens_per_minute=600, usd_per_month=5.0, usd_total=20.0))
        self.now = 50.0
        self.month = 1
        self.open: list[Taken] = []
        self.closed: list[Taken] = []
        self.usd_total = 0.0
        self.usd_month = 0.0
        self.requests = 0
        self.tokens = 0

    @rule(step=st.floats(0, 90), tokens=st.integers(0, 900), usd=st.integers(0, 3))
    def take(self, step: float, tokens: int, usd: int) -> None:
        self.now += step
        left = self.limiter.left(self.now)
        got = self.limiter.take(self.now, tokens, float(usd), f"2026-{self.month:02}")
        if isinstance(got, Refused):
            money = got.bound.startswith("usd")
            assert (got.retry_after_s is None) == money
            if not money:
                assert (left.requests or 0) < 1 or (left.tokens or 0) < min(tokens, 600)
            return
        self.open.append(got)
        self.requests += 1
        self.tokens += tokens
        self.usd_total += usd
        self.usd_month += usd

    @precondition(lambda self: self.open)
    @rule(data=st.data(), tokens=st.integers(0, 900), usd=st.integers(0, 3))
    def settle(self, data: st.DataObject, tokens: int, usd: int) -> None:
        one = data.draw(st.sampled_from(self.open))
        self.limiter.settle(self.now, one, tokens, float(usd))
        self.open.remove(one)
        self.closed.append(one)
        self.tokens += tokens - one.tokens
        self.usd_total += usd - one.usd
        if one.month == f"2026-{self.month:02}":
            self.usd_month += usd - one.usd

    @precondition(lambda self: self.month < 12)
    @rule()
    def next_month(self) -> None:
        self.month += 1
        self.usd_month = 0.0
        self.limiter.take(self.now, 10**9, 1e9, f"2026-{self.month:02}")

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        with pytest.raises(InvariantBroken):
            self.limiter.settle(self.now, data.draw(st.sampled_from(self.closed)), 0)

    @invariant()
    def the_books_agree(self) -> None:
        spent = self.limiter.spent
        assert spent.usd_total == pytest.approx(self.usd_total)
        if spent.month == f"2026-{self.month:02}":
            assert spent.usd_month == pytest.approx(self.usd_month)
        left = self.limiter.left(self.now)
        assert left.requests is not None
        assert 0 <= left.requests <= 30
        assert left.tokens is not None
        assert left.tokens <= 600
        assert self.requests <= 30 + (self.now - 50.0) / 2 + 1e-6


TestTaking = Taking.TestCase
