from __future__ import annotations

import heapq
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.error import ConfigurationError
from outlast.policy.hedge import Hedge, HedgePolicy, Quantile
from outlast.policy.retry_budget import RetryBudget, RetryBudgetPolicy

POLICY = HedgePolicy()
PLENTY = RetryBudgetPolicy(ratio=10.0, burst=1_000_000)


def exact(values: list[float], quantile: float) -> float:
    """The least value above which there are no more than the share."""
    ordered = sorted(values)
    return ordered[max(0, len(ordered) - int((1 - quantile) * len(ordered)) - 1)]


@given(st.lists(st.floats(0.0011, 3000), min_size=1, max_size=200), st.sampled_from([0.05, 0.5, 0.9, 0.95, 0.99]))
def test_the_quantile_is_right_within_a_tenth(values: list[float], quantile: float) -> None:
    sketch = Quantile(quantile, 60.0, 6)
    for value in values:
        sketch.add(100.0, value)
    assert exact(values, quantile) * 0.999 <= sketch.value() <= exact(values, quantile) * 1.101


def test_the_quantile_of_a_long_tail_is_right() -> None:
    random = Random(1)
    sketch = Quantile(0.95, 60.0, 6)
    for number in range(20_000):
        sketch.add(100.0 + number / 1000, random.lognormvariate(math.log(0.5), 1.0))
    assert sketch.value() == pytest.approx(0.5 * math.exp(1.645), rel=0.12)


def test_what_is_too_small_or_too_large_to_tell_apart_is_counted() -> None:
    sketch = Quantile(0.5, 60.0, 6)
    for value in (0.0, 0.0001, 0.001):
        sketch.add(100.0, value)
    assert sketch.value() == pytest.approx(0.001)
    for _ in range(10):
        sketch.add(100.0, 1e12)
    assert sketch.value() > 3600
    assert sketch.count == 13


def test_what_left_the_window_is_forgotten() -> None:
    sketch = Quantile(0.95, 60.0, 6)
    for _ in range(100):
        sketch.add(100.0, 10.0)
    for _ in range(100):
        sketch.add(125.0, 0.1)
    sketch.look(50.0)
    sketch.look(159.0)
    assert sketch.value() == pytest.approx(10.0, rel=0.11)
    sketch.look(160.0)
    assert (sketch.count, sketch.value()) == (100, pytest.approx(0.1, rel=0.11))
    sketch.look(500.0)
    assert sketch.count == 0


def test_a_request_is_hedged_once_and_only_when_it_waits_for_longer_than_others() -> None:
    hedge, budget = Hedge(POLICY), RetryBudget(PLENTY)
    for number in range(100):
        hedge.observed(100.0, 0.1 if number < 96 else 5.0)
    delay = hedge.delay_s(100.0)
    assert delay == pytest.approx(0.1, rel=0.11)
    assert not hedge.may(100.0, delay * 0.99, 0, False, budget)
    assert hedge.may(100.0, delay, 0, False, budget)
    assert not hedge.may(100.0, 50.0, 1, False, budget)
    assert (hedge.hedged, budget.extra) == (1, 1)


def test_nothing_is_hedged_when_the_pool_is_overloaded_or_the_budget_is_spent() -> None:
    hedge = Hedge(POLICY)
    plenty, nothing = RetryBudget(PLENTY), RetryBudget(RetryBudgetPolicy(0, 0, 0))
    assert not hedge.may(100.0, 10.0, 0, True, plenty)
    assert plenty.extra == 0
    assert not hedge.may(100.0, 10.0, 0, False, nothing)
    assert hedge.hedged == 0


def test_before_enough_is_known_it_waits_for_a_fixed_time() -> None:
    hedge = Hedge(POLICY)
    for _ in range(19):
        assert hedge.delay_s(100.0) == 2.0
        hedge.observed(100.0, 0.1)
    assert hedge.delay_s(100.0) == 2.0
    hedge.observed(100.0, 0.1)
    assert hedge.delay_s(100.0) < 0.2
    assert hedge.delay_s(161.0) == 2.0


def test_the_delay_stays_within_its_bounds() -> None:
    quick, slow = Hedge(POLICY), Hedge(POLICY)
    for _ in range(20):
        quick.observed(100.0, 0.002)
        slow.observed(100.0, 600.0)
    assert (quick.delay_s(100.0), slow.delay_s(100.0)) == (0.02, 30.0)


@pytest.mark.parametrize(("told", "low", "high"), [(True, 0.04, 0.06), (False, 0.08, 1.0)])
def test_hedging_does_not_feed_on_itself(told: bool, low: float, high: float) -> None:
    """Told of the cancelled attempts as well it hedges 5 in 100; told of the winners only it hedges more."""
    random = Random(3)
    hedge, budget = Hedge(POLICY), RetryBudget(PLENTY)
    later: list[tuple[float, float]] = []
    now = 100.0
    for number in range(20_000):
        now += random.expovariate(20.0)
        while later and later[0][0] <= now:
            hedge.observed(*heapq.heappop(later))
        budget.deposit(now)
        first, second = (random.lognormvariate(math.log(0.3), 0.8) for _ in range(2))
        delay = hedge.delay_s(now)
        if first > delay and hedge.may(now + delay, delay, 0, False, budget):
            won = min(first, delay + second)
            heapq.heappush(later, (now + won, won - delay if won < first else won))
            if told:
                heapq.heappush(later, (now + won, won if won < first else won - delay))
        else:
            heapq.heappush(later, (now + first, first))
        if number == 10_000:
            before = hedge.hedged
    assert low < (hedge.hedged - before) / 10_000 < high


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantile": 0.0}, {"quantile": 1.0}, {"window_s": 0.0}, {"buckets": 0}, {"samples_min": 0},
        {"delay_min_s": 0.0}, {"delay_min_s": 31.0}, {"unknown_s": 0.0}, {"hedges_max": -1},
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="is not possible"):
        HedgePolicy(**wrong)  # type: ignore[arg-type]


class Measuring(RuleBasedStateMachine):
    """Measurements at any time, beside a list of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sketch = Quantile(0.8, 60.0, 3)
        self.book: list[tuple[int, float]] = []

    @rule(step=st.floats(0, 70))
    def time_passes(self, step: float) -> None:
        self.now += step
        self.sketch.look(self.now)

    @rule(values=st.lists(st.floats(0.0011, 3000), min_size=1, max_size=20))
    def add(self, values: list[float]) -> None:
        for value in values:
            self.sketch.add(self.now, value)
            self.book.append((int(self.now // 20), value))

    @invariant()
    def it_is_the_quantile_of_the_window(self) -> None:
        recent = [value for bucket, value in self.book if bucket > int(self.now // 20) - 3]
        assert self.sketch.count == len(recent)
        if recent:
            ordered = sorted(recent)
            above = int((1 - 0.8) * len(ordered))
            value = ordered[len(ordered) - above - 1]
            assert value * 0.999 <= self.sketch.value() <= value * 1.101


TestMeasuring = Measuring.TestCase
