"""Whether a model still answers its golden prompts as well as it did: a sequential test on their scores.

Source: betting against "the mean score is at least the reference" with e-values for bounded scores (Waudby-Smith and
Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024), summed in the manner of Shiryaev and
Roberts, which bounds the false alarms of a test that never ends (Shin, Ramdas and Rinaldo, "E-detectors", 2024): if the
mean of the scores is not below the reference, there are on average at least `rounds_per_false_alarm` rounds before each
alarm, however the scores are distributed and however differently hard the prompts are. The loss of a factor in evidence
by not knowing how much worse a model is, is paid by betting with several stakes at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError, UsageError

State = Literal["learning", "steady", "worse"]
Event = Literal["learned", "alarm", "healed", "reset"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("learning", "learned"): "steady",
    ("steady", "alarm"): "worse",
    ("worse", "healed"): "steady",
    ("learning", "reset"): "learning",
    ("steady", "reset"): "learning",
    ("worse", "reset"): "learning",
}
"""What is not listed changes nothing."""

_STAKES = (0.1, 0.25, 0.5, 0.75)
"""Shares of the largest bet that a perfect score cannot ruin."""
_EVIDENCE_MAX = 1e12


class DriftPolicy(msgspec.Struct, frozen=True):
    """The reference is `score_min`, or, where that is None, learned: the mean of `learn_rounds` less `margin`.

    `margin` is at least three standard errors of that mean. After an alarm `heal_rounds` in a row with a mean not below
    the reference end it.
    """

    score_min: float | None = None
    learn_rounds: int = 5
    margin: float = 0.1
    rounds_per_false_alarm: float = 1_000.0
    heal_rounds: int = 3

    def __post_init__(self) -> None:
        if self.score_min is not None and not 0 < self.score_min < 1:
            raise ConfigurationError(f"drift score_min is {self.score_min}: write more than 0 and less than 1")
        if self.learn_rounds < 1 or self.heal_rounds < 1 or not 0 < self.margin < 1 or self.rounds_per_false_alarm < 1:
            raise ConfigurationError(
                f"drift {self} is not possible: learn_rounds, heal_rounds and rounds_per_false_alarm are 1 or more, "
                "margin is more than 0 and less than 1"
            )


class Drift:
    """What is known of one model behind one endpoint. A round costs O(prompts)."""

    __slots__ = ("_evidence", "_healthy_rounds", "_learned", "_policy", "_rounds", "reference", "state")

    def __init__(self, policy: DriftPolicy | None = None) -> None:
        self._policy = policy or DriftPolicy()
        self._begin()
        self.state: State = "learning" if self.reference is None else "steady"

    @property
    def evidence(self) -> float:
        """How strongly the last rounds speak against the model: 0 not at all, 1 an alarm. Logarithmic."""
        mean = sum(self._evidence) / len(self._evidence)
        return min(1.0, math.log1p(mean) / math.log1p(self._policy.rounds_per_false_alarm))

    def round(self, scores: Sequence[float]) -> State:
        """After a round: a score from 0 to 1 for each prompt that was answered. None answered: no round.

        Raises UsageError for a score outside 0 to 1.
        """
        for score in scores:
            if not 0 <= score <= 1:
                raise UsageError(f"score {score} of a golden prompt is not possible: scores are from 0 to 1")
        if not scores:
            return self.state
        if self.reference is None:
            self._learn(scores)
        elif self.state == "worse":
            healthy = sum(scores) / len(scores) >= self.reference
            self._healthy_rounds = self._healthy_rounds + 1 if healthy else 0
            if self._healthy_rounds >= self._policy.heal_rounds:
                self._evidence = [0.0] * len(_STAKES)
                self._move("healed")
        else:
            self._bet(scores, self.reference)
        return self.state

    def reset(self) -> None:
        """Another version of the model is there on purpose: begin anew."""
        self._begin()
        self._move("reset")
        if self.reference is not None:
            self._move("learned")

    def _begin(self) -> None:
        self.reference = self._policy.score_min
        self._evidence = [0.0] * len(_STAKES)
        self._learned: list[float] = []
        self._rounds = 0
        self._healthy_rounds = 0

    def _learn(self, scores: Sequence[float]) -> None:
        self._learned.extend(scores)
        self._rounds += 1
        if self._rounds < self._policy.learn_rounds:
            return
        count = len(self._learned)
        mean = sum(self._learned) / count
        spread = math.sqrt(sum((score - mean) ** 2 for score in self._learned) / count)
        self.reference = max(0.01, mean - max(self._policy.margin, 3 * spread / math.sqrt(count)))
        self._learned = []
        self._move("learned")

    def _bet(self, scores: Sequence[float], reference: float) -> None:
        largest = 1 / (1 - reference)
        for index, share in enumerate(_STAKES):
            stake = share * largest
            won = math.prod(1 + stake * (reference - score) for score in scores)
            self._evidence[index] = min(_EVIDENCE_MAX, (self._evidence[index] + 1) * won)
        if sum(self._evidence) / len(_STAKES) >= self._policy.rounds_per_false_alarm:
            self._healthy_rounds = 0
            self._move("alarm")

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS.get((self.state, event), self.state)
