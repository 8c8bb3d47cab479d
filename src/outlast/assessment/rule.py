"""A rule: data, and one function that looks for one weakness.

Others add rules by an entry point (`rulebook.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from outlast.assessment.arithmetic import Line
from outlast.assessment.component import Component
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Finding, Fix, severity_of
from outlast.assessment.place import Place, nowhere

Trigger = Literal["always", "process", "dependency", "node", "overload", "change", "zone", "corruption", "region"]
likelihoods: dict[Trigger, float] = {
    "always": 1.0,
    "process": 1.0,
    "dependency": 0.9,
    "node": 0.8,
    "overload": 0.8,
    "change": 0.8,
    "zone": 0.6,
    "corruption": 0.5,
    "region": 0.4,
}
"""How likely what makes a weakness hurt is, next to the death of a process. An order of magnitude is a third."""


class Weakness(msgspec.Struct, frozen=True, kw_only=True):
    """What the function of a rule finds, at one place."""

    subject: str
    radius: float
    """The blast radius, 0 to 1: `Facts.radius` of what fails, or a part of it."""
    reason: str
    fix: Fix
    components: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    place: Place = nowhere


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `check` yields a `Weakness` for each place that breaks it."""

    id: str
    """Stable: ``OL-AVL-001``, or any prefix but ``OL-`` for a rule of others."""
    title: str
    """The weakness in a few words."""
    why: str
    """Why it is one: a sentence or two, for the reference page."""
    trigger: Trigger
    """What makes it hurt, and so how likely that is."""
    pillar: str = ""
    """The best practice of the Well-Architected reliability pillar."""
    lens: str = ""
    """The capability of the Well-Architected agentic AI lens."""
    check: Callable[[Facts], Iterable[Weakness]]
    last: bool = False
    """Whether it runs when the others have, and so may ask `Facts.found`."""

    @property
    def family(self) -> str:
        """``AVL`` of ``OL-AVL-001``."""
        return self.id.split("-")[-2]


def findings(rule: Rule, facts: Facts) -> Iterable[Finding]:
    """Everything that `rule` finds."""
    likelihood = likelihoods[rule.trigger]
    for weakness in rule.check(facts):
        radius = min(1.0, max(0.0, weakness.radius))
        yield Finding(
            rule=rule.id,
            title=rule.title,
            subject=weakness.subject,
            components=weakness.components,
            severity=severity_of(radius * likelihood),
            blast_radius=round(radius, 3),
            likelihood=likelihood,
            reason=weakness.reason,
            lines=weakness.lines,
            fix=weakness.fix,
            pillar=rule.pillar,
            lens=rule.lens,
            place=weakness.place,
        )


def about(component: Component, radius: float, reason: str, fix: Fix, lines: tuple[Line, ...] = ()) -> Weakness:
    """A weakness of one component."""
    return Weakness(
        subject=component.name,
        components=(component.name,),
        radius=radius,
        reason=reason,
        fix=fix,
        lines=lines,
        place=component.place,
    )


def between(edge: Edge, radius: float, reason: str, fix: Fix, lines: tuple[Line, ...] = ()) -> Weakness:
    """A weakness of one edge."""
    return Weakness(
        subject=f"{edge.source} -> {edge.target}",
        components=(edge.source, edge.target),
        radius=radius,
        reason=reason,
        fix=fix,
        lines=lines,
        place=edge.place,
    )


def change(place: Place, key: str, value: Any) -> Edit:
    """What stands under `key` (``redundancy.zones``) of what stands at `place` becomes `value`."""
    return Edit((*place.path, *key.split(".")), value)
