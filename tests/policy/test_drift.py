from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.error import ConfigurationError, UsageError
from outlast.policy.drift import TRANSITIONS, Drift, DriftPolicy

Model = Callable[[random.Random], list[float]]


def right_or_wrong(mean: float, prompts: int) -> Model:
    return lambda chance: [float(chance.random() < mean) for _ in range(prompts)]


def similar(mean: float, prompts: int) -> Model:
    """Scores such as a similarity gives: spread around a mean."""
    return lambda chance: [min(1.0, max(0.0, chance.gauss(mean, 0.08))) for _ in range(prompts)]


def unevenly_hard(prompts: int) -> Model:
    """A tenth of the prompts is never answered well, the others always."""
    return lambda chance: [float(n % 10 != 0) for n in range(prompts)]


def false_alarms(drift: Drift, model: Model, chance: random.Random, rounds: int) -> int:
    """Each alarm is counted and the test begun anew with the same reference."""
    alarms = 0
    for _ in range(rounds):
        if drift.round(model(chance)) == "worse":
            alarms += 1
            drift = Drift(DriftPolicy(score_min=drift.reference))
    return alarms


def rounds_until_found(drift: Drift, model: Model, chance: random.Random) -> int:
    for number in range(1, 100):
        if drift.round(model(chance)) == "worse":
            return number
    return 100


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "model",
    [right_or_wrong(0.95, 10), right_or_wrong(0.9, 20), similar(0.9, 10), unevenly_hard(20), right_or_wrong(0.95, 3)],
)
def test_a_healthy_model_alarms_at_most_once_in_a_thousand_rounds(model: Model, seed: int) -> None:
    assert false_alarms(Drift(DriftPolicy(score_min=0.85)), model, random.Random(seed), 1_000) <= 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("model", [right_or_wrong(0.95, 10), similar(0.9, 10), unevenly_hard(20)])
def test_with_a_learned_reference_too(model: Model, seed: int) -> None:
    assert false_alarms(Drift(), model, random.Random(seed), 1_000) <= 1


def test_even_a_model_that_is_just_as_good_as_the_reference_alarms_once_in_a_thousand_rounds_on_average() -> None:
    """The bound itself, where it is tightest: 60,000 rounds, at most 60 alarms and what chance adds to that."""
    alarms = sum(
        false_alarms(Drift(DriftPolicy(score_min=0.85)), right_or_wrong(0.85, 10), random.Random(seed), 1_000)
        for seed in range(60)
    )
    assert 5 <= alarms <= 60 + 3 * 60**0.5


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (right_or_wrong(0.95, 10), right_or_wrong(0.4, 10)),
        (right_or_wrong(0.95, 20), right_or_wrong(0.6, 20)),
        (right_or_wrong(0.95, 40), right_or_wrong(0.65, 40)),
        (similar(0.95, 10), similar(0.6, 10)),
        (right_or_wrong(0.97, 3), right_or_wrong(0.05, 3)),
    ],
)
def test_a_clearly_worse_model_is_found_within_five_rounds(good: Model, bad: Model, learned: bool) -> None:
    """200 trials, each after twenty good rounds: 99% in time, 95% where the reference itself was learned by chance."""
    slow = 0
    for seed in range(200):
        chance = random.Random(seed)
        drift = Drift(DriftPolicy(score_min=None if learned else 0.85))
        for _ in range(20):
            drift.round(good(chance))
        if drift.state == "steady":
            slow += rounds_until_found(drift, bad, chance) > 5
    assert slow <= (10 if learned else 2)


def test_what_was_found_stays_found_until_it_is_good_again_for_some_rounds() -> None:
    drift = Drift(DriftPolicy(score_min=0.85, heal_rounds=3))
    for _ in range(3):
        drift.round([0.0] * 10)
    assert drift.state == "worse"
    assert drift.evidence == 1.0
    for scores in ([1.0] * 10, [1.0] * 10, [0.5] * 10, [1.0] * 10, [1.0] * 10):
        assert drift.round(scores) == "worse"
    assert drift.round([1.0] * 10) == "steady"
    assert drift.evidence == 0.0
    assert rounds_until_found(drift, lambda _: [0.0] * 10, random.Random(0)) <= 5


def test_a_round_that_nobody_answered_is_no_round() -> None:
    drift = Drift(DriftPolicy(score_min=0.85))
    for _ in range(10_000):
        assert drift.round([]) == "steady"
    assert drift.evidence == 0.0


def test_of_few_and_uneven_scores_less_is_expected() -> None:
    drift = Drift(DriftPolicy(learn_rounds=2))
    for _ in range(2):
        drift.round([1.0, 1.0, 1.0, 0.0])
    assert drift.reference == pytest.approx(0.75 - 3 * (0.75 * 0.25 / 8) ** 0.5)


def test_another_version_is_learned_anew() -> None:
    drift = Drift(DriftPolicy(learn_rounds=2))
    for _ in range(2):
        drift.round([0.9] * 10)
    assert drift.reference == pytest.approx(0.8)
    drift.reset()
    assert (drift.state, drift.reference) == ("learning", None)
    for _ in range(2):
        drift.round([0.5] * 10)
    assert (drift.state, drift.reference) == ("steady", pytest.approx(0.4))
    drift = Drift(DriftPolicy(score_min=0.5))
    drift.round([0.0] * 20)
    assert drift.state == "worse"
    drift.reset()
    assert (drift.state, drift.evidence) == ("steady", 0.0)


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan")])
def test_a_score_that_is_none_is_refused_and_changes_nothing(score: float) -> None:
    drift = Drift(DriftPolicy(score_min=0.85))
    with pytest.raises(UsageError, match="scores are from 0 to 1"):
        drift.round([0.0, score])
    assert drift.evidence == 0.0


@pytest.mark.parametrize(
    "wrong",
    [{"score_min": 0}, {"score_min": 1}, {"learn_rounds": 0}, {"margin": 0}, {"margin": 1}, {"heal_rounds": 0},
     {"rounds_per_false_alarm": 0.5}],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="drift"):
        DriftPolicy(**wrong)


class Judging(RuleBasedStateMachine):
    """Rounds of any quality and resets in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.drift = Drift(DriftPolicy(learn_rounds=2))
        self.state = self.drift.state

    @rule(scores=st.lists(st.floats(0, 1), max_size=12))
    def round(self, scores: list[float]) -> None:
        reference = self.drift.reference
        before = self.drift.evidence
        after = self.drift.round(scores)
        if reference is not None and scores:
            if min(scores) >= reference and self.state == "steady":
                assert after == "steady"
            if max(scores) < reference and self.state == "worse":
                assert after == "worse"
        if not scores:
            assert (after, self.drift.evidence) == (self.state, before)
        self._moved()

    @rule()
    def reset(self) -> None:
        self.drift.reset()
        assert self.drift.state == "learning"
        self._moved()

    def _moved(self) -> None:
        if self.drift.state != self.state:
            assert self.drift.state in {after for (before, _), after in TRANSITIONS.items() if before == self.state}
        self.state = self.drift.state

    @invariant()
    def state_and_reference_agree(self) -> None:
        assert (self.drift.reference is None) == (self.drift.state == "learning")
        assert 0 <= self.drift.evidence <= 1
        assert self.drift.reference is None or 0 < self.drift.reference < 1


TestJudging = Judging.TestCase
