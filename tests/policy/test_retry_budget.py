from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outlast.kernel.error import ConfigurationError
from outlast.policy.retry_budget import RetryBudget, RetryBudgetPolicy

POLICY = RetryBudgetPolicy()


def withdrawn(budget: RetryBudget, now: float, most: int = 10_000) -> int:
    """How many extra attempts are allowed at this instant."""
    for number in range(most):
        if not budget.withdraw(now):
            return number
    return most


def test_a_little_is_allowed_without_any_traffic_and_again_after_the_window() -> None:
    budget = RetryBudget(POLICY)
    assert withdrawn(budget, 100.0) == 20
    assert withdrawn(budget, 109.9) == 0
    assert withdrawn(budget, 110.0) == 20


def test_each_request_adds_its_ratio_and_what_it_added_expires() -> None:
    budget = RetryBudget(POLICY)
    for _ in range(1000):
        budget.deposit(100.0)
    assert budget.left(100.0) == pytest.approx(120)
    assert budget.left(109.0) == pytest.approx(120)
    assert budget.left(110.0) == pytest.approx(20)
    assert withdrawn(budget, 110.0) == 20


def test_in_an_outage_the_amplification_stays_below_its_bound() -> None:
    """Each of 100 requests a second fails and would be tried four times."""
    budget = RetryBudget(POLICY)
    for number in range(60_000):
        now = 100.0 + number / 100
        budget.deposit(now)
        for _ in range(3):
            budget.withdraw(now)
    assert budget.first == 60_000
    assert budget.extra + budget.refused == 180_000
    assert 1.1 <= budget.amplification <= 1.1 + (20 / 10) / 100 + 0.001


def test_amplification_counts_every_attempt() -> None:
    budget = RetryBudget(POLICY)
    assert budget.amplification == 1.0
    for _ in range(4):
        budget.deposit(0.0)
    assert budget.amplification == 1.0
    assert budget.withdraw(0.0)
    assert (budget.first, budget.extra, budget.amplification) == (4, 1, 1.25)


def test_nothing_is_allowed_where_all_is_zero() -> None:
    budget = RetryBudget(RetryBudgetPolicy(ratio=0, per_s=0, burst=0))
    for _ in range(100):
        budget.deposit(0.0)
    assert not budget.withdraw(0.0)
    assert budget.refused == 1


def test_less_than_one_whole_attempt_is_none() -> None:
    budget = RetryBudget(RetryBudgetPolicy(ratio=0.2, per_s=0, burst=0))
    for _ in range(4):
        budget.deposit(0.0)
        assert not budget.withdraw(0.0)
    budget.deposit(0.0)
    assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    budget = RetryBudget(POLICY)
    assert withdrawn(budget, 1000.0) == 20
    assert withdrawn(budget, 10.0) == 0
    assert withdrawn(budget, 1001.0) == 0


@pytest.mark.parametrize(
    "wrong", [{"ratio": -0.1}, {"ratio": 10.1}, {"per_s": -1.0}, {"burst": -1}, {"window_s": 0.0}, {"buckets": 0}]
)
def test_what_is_not_possible_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="is not possible"):
        RetryBudgetPolicy(**wrong)  # type: ignore[arg-type]


class Spending(RuleBasedStateMachine):
    """First and extra attempts in any order, beside a book of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.first: list[int] = []
        self.extra: list[int] = []

    @initialize(
        ratio=st.sampled_from([0.0, 0.125, 0.5, 2.0]), per_s=st.sampled_from([0.0, 0.25, 1.0]), burst=st.integers(0, 4),
        buckets=st.integers(1, 5),
    )  # fmt: skip
    def start(self, ratio: float, per_s: float, burst: int, buckets: int) -> None:
        self.policy = RetryBudgetPolicy(ratio, per_s, burst, 10.0, buckets)
        self.budget = RetryBudget(self.policy)

    def recent(self, book: list[int]) -> int:
        return sum(self.bucket - bucket < self.policy.buckets for bucket in book)

    @property
    def bucket(self) -> int:
        return int(self.now // (10.0 / self.policy.buckets))

    @rule(step=st.floats(0, 12))
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(times=st.integers(1, 10))
    def deposit(self, times: int) -> None:
        for _ in range(times):
            self.budget.deposit(self.now)
            self.first.append(self.bucket)

    @rule(times=st.integers(1, 10))
    def withdraw(self, times: int) -> None:
        for _ in range(times):
            policy = self.policy
            bound = policy.burst + policy.per_s * 10 + policy.ratio * self.recent(self.first)
            allowed = self.recent(self.extra) + 1 <= bound
            assert self.budget.withdraw(self.now) == allowed
            if allowed:
                self.extra.append(self.bucket)

    @precondition(lambda self: self.first)
    @rule()
    def amplification(self) -> None:
        assert self.budget.amplification == pytest.approx(1 + len(self.extra) / len(self.first))

    @invariant()
    def counters_are_right(self) -> None:
        if hasattr(self, "budget"):
            assert (self.budget.first, self.budget.extra) == (len(self.first), len(self.extra))
            assert self.budget.left(self.now) >= 0


TestSpending = Spending.TestCase
