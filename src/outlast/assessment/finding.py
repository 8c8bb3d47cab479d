"""A weakness that was found: why it is one, how bad, and what would mend it."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from outlast.assessment.acceptance import Acceptance
from outlast.assessment.arithmetic import Line
from outlast.assessment.place import Place, nowhere

Severity = Literal["low", "medium", "high", "critical"]
severities: tuple[Severity, ...] = get_args(Severity)
"""From the least to the worst."""

_bounds: tuple[tuple[float, Severity], ...] = ((0.6, "critical"), (0.35, "high"), (0.12, "medium"), (0.0, "low"))


def severity_of(score: float) -> Severity:
    """The word for blast radius x likelihood: critical from 0.6, high from 0.35, medium from 0.12."""
    return next(word for bound, word in _bounds if score >= bound)


class Edit(msgspec.Struct, frozen=True):
    """One change of the file: what stands at `path` becomes `value`."""

    path: tuple[str | int, ...]
    """Keys and indexes from the top; keys that are missing are made."""
    value: Any
    """As it is written: text with its unit, a number, a list, a mapping; None removes the key."""


class Fix(msgspec.Struct, frozen=True):
    """What to do."""

    text: str
    edits: tuple[Edit, ...] = ()
    """Empty: a person has to decide more than a tool can."""
    buys: str = ""
    """What is better then: the objective that is met, the availability that is gained."""
    costs: str = ""
    """What it takes: more instances, another request a second, work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One weakness, by one rule, at one place."""

    rule: str
    """Stable: ``OL-AVL-001``."""
    title: str
    subject: str
    """What it is about: a component, ``a -> b``, a class of work, an alarm."""
    components: tuple[str, ...] = ()
    """Those that are to be marked in a drawing."""
    severity: Severity
    blast_radius: float
    """Share of all work that it can take down, 0 to 1."""
    likelihood: float
    """0 to 1; how often what triggers it happens, next to the loss of a process (1)."""
    reason: str
    lines: tuple[Line, ...] = ()
    """The arithmetic behind it, where there is one."""
    fix: Fix
    pillar: str
    """The best practice of the Well-Architected reliability pillar: ``REL10-BP01``; empty: none fits."""
    lens: str = ""
    """The topic of the Well-Architected agentic AI lens that it belongs to; empty: none."""
    place: Place = nowhere
    acceptance: Acceptance | None = None
    """What the owner has said of it, also where that day has passed."""
    accepted: bool = False
    """Whether that holds today: it is shown, and does not count."""

    @property
    def score(self) -> float:
        """Blast radius x likelihood."""
        return self.blast_radius * self.likelihood
