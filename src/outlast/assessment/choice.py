"""A choice between designs that cost more the further down they stand, and the promises that decide it.

::

    rungs, the cheapest first      one region < backup and restore < pilot light < warm standby < active/active
    limits, from the objectives    live.rto <= 60s, live.rpo <= 5s
    choose -> the first rung that is within every limit

Where no rung is, each limit counts as the best that any of them gives: the choice then is the first that gives it. So a
looser limit never leads to a rung further down: the rungs within it are those of before, and perhaps more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from outlast.assessment.arithmetic import Line
from outlast.assessment.disruption import DisruptionKind
from outlast.blueprint.schema import Blueprint

Measure = Literal["rto", "rpo", "downtime"]
Change = Callable[[Blueprint], Blueprint]


def brief(seconds: float) -> str:
    """A time as people say it: three digits, ``2.67m``; ``never``."""
    if seconds == math.inf:
        return "never"
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= factor:
            return f"{seconds / factor:.3g}{unit}"
    return f"{seconds * 1000:.3g}ms" if seconds else "0s"


class Limit(msgspec.Struct, frozen=True):
    """One promise, as far as it bears on one choice."""

    owner: str
    """The class of work, or the component with a promise of its own."""
    kind: DisruptionKind | None
    """None: whatever the cause, for `downtime`."""
    measure: Measure
    seconds: float
    """For `downtime`: in a month."""

    def __str__(self) -> str:
        if self.kind is None:
            return f"{self.owner}: down {brief(self.seconds)} a month at most, as this part's share of its availability"
        return f"{self.owner}: {self.measure} {brief(self.seconds)} when {when[self.kind]}"


when: Mapping[DisruptionKind, str] = {
    "process": "a process dies",
    "node": "a node is lost",
    "zone": "a zone is lost",
    "region": "a region is lost",
    "corruption": "data is corrupted",
    "dependency": "a dependency is away",
}


class Estimated(msgspec.Struct, frozen=True):
    """What a rung gives, in seconds, and the sum."""

    seconds: float
    lines: tuple[Line, ...] = ()


class Rung(msgspec.Struct, frozen=True):
    """One design."""

    name: str
    estimates: tuple[Estimated, ...]
    """One for each limit of the choice, in their order."""
    change: Change
    """Makes it of a blueprint."""


class Choice(msgspec.Struct, frozen=True):
    """The rung that was chosen, and why."""

    question: str
    subject: str
    rungs: tuple[Rung, ...]
    limits: tuple[Limit, ...]
    index: int

    @property
    def rung(self) -> Rung:
        """The one that was chosen."""
        return self.rungs[self.index]

    def unmet(self) -> tuple[tuple[Limit, Estimated], ...]:
        """The limits that no rung meets."""
        found = zip(self.limits, self.rung.estimates, strict=True)
        return tuple((limit, given) for limit, given in found if given.seconds > limit.seconds)

    def against(self, index: int) -> tuple[tuple[Limit, Estimated], ...]:
        """The limits that speak against another rung, and what it would give."""
        reached = _reachable(self.rungs, self.limits)
        found = zip(self.limits, self.rungs[index].estimates, reached, strict=True)
        return tuple((limit, given) for limit, given, seconds in found if given.seconds > seconds)


def choose(question: str, subject: str, rungs: Sequence[Rung], limits: Sequence[Limit]) -> Choice:
    """The first of `rungs` that is within `limits`, as far as any is."""
    reached = _reachable(rungs, limits)
    index = next(
        i
        for i, rung in enumerate(rungs)
        if all(given.seconds <= seconds for given, seconds in zip(rung.estimates, reached, strict=True))
        or i == len(rungs) - 1
    )
    return Choice(question, subject, tuple(rungs), tuple(limits), index)


def _reachable(rungs: Sequence[Rung], limits: Sequence[Limit]) -> list[float]:
    best = [min(rung.estimates[i].seconds for rung in rungs) for i in range(len(limits))]
    return [max(limit.seconds, least) for limit, least in zip(limits, best, strict=True)]
