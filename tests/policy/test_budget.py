from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.error import ConfigurationError
from outlast.policy.budget import Budget, Spent, exceeded

limits = st.none() | st.integers(0, 20)


@given(limits, limits, limits, limits, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50),
       st.integers(0, 3))  # fmt: skip
def test_exactly_what_is_spent_up_to_its_limit_is_named(
    steps: int | None, tokens: int | None, usd: int | None, time: int | None, s: int, t: int, u: int, w: int,
    grants: int,
) -> None:  # fmt: skip
    reason = exceeded(Budget(steps, tokens, usd, time), Spent(s, t, float(u), float(w)), grants)
    over = [
        name
        for name, limit, spent in (("steps", steps, s), ("tokens", tokens, t), ("usd", usd, u), ("time", time, w))
        if limit is not None and spent >= limit * (1 + grants)
    ]
    assert (reason is None) == (not over)
    if reason is not None:
        assert reason.startswith(f"budget {over[0]}: ")


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"tokens": -5}, {"usd": -0.5}, {"usd": "5EUR"}, {"time": "5x"}, {"time": -1}]
)
def test_what_is_no_budget_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Budget(**wrong)


def test_units_are_understood() -> None:
    budget = Budget(usd="0.25USD", time="10m")
    assert exceeded(budget, Spent(usd=0.24, time_s=599)) is None
    assert exceeded(budget, Spent(usd=0.25)) == "budget usd: 0.25 of 0.25 USD spent"
    assert exceeded(budget, Spent(time_s=600)) == "budget time: 600 of 600 s spent"


class Spending(RuleBasedStateMachine):
    """A run that spends step by step, is held, and is granted its budget again."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(steps=5)
        self.steps = self.grants = 0

    @rule()
    def step(self) -> None:
        if exceeded(self.budget, Spent(self.steps), self.grants) is None:
            self.steps += 1

    @rule()
    def redrive(self) -> None:
        if exceeded(self.budget, Spent(self.steps), self.grants) is not None:
            self.grants += 1
            assert exceeded(self.budget, Spent(self.steps), self.grants) is None

    @invariant()
    def never_overdrawn(self) -> None:
        assert self.steps <= 5 * (1 + self.grants)


TestSpending = Spending.TestCase
