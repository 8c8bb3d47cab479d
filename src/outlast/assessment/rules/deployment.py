"""Deployments: a bad change that reaches everything at once."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.precaution import Deployment
from outlast.assessment.rule import Rule, Weakness


def _weight(facts: Facts) -> float:
    return max((facts.graph.weight(work) for work in facts.system.objectives), default=0.0)


def _weakness(facts: Facts, share: float, reason: str, fix: Fix) -> Weakness:
    deployment = facts.system.deployment
    subject, radius = "deploy", share * _weight(facts)
    if deployment is None:
        return Weakness(subject=subject, radius=radius, reason=reason, fix=fix)
    return Weakness(subject=subject, radius=radius, reason=reason, fix=fix, place=deployment.place)


def _edit(key: str, value: object) -> tuple[Edit, ...]:
    return (Edit(("deploy", key), value),)


def _known(facts: Facts) -> Deployment | None:
    return facts.system.deployment if facts.system.objectives else None


def _nothing_said(facts: Facts) -> Iterator[Weakness]:
    if facts.system.deployment is not None or not facts.system.objectives:
        return
    fix = Fix(
        text="change a small part first, watch it, and take it back by itself",
        edits=(Edit(("deploy",), {"first": "10%", "bake": "15m"}),),
        buys="a bad change is felt by a few, for minutes",
        costs="deployments that take longer",
    )
    yield _weakness(facts, 0.5, "nothing says how a change reaches production: taken as all at once", fix)


def _all_at_once(facts: Facts) -> Iterator[Weakness]:
    deployment = _known(facts)
    if deployment is None or deployment.first:
        return
    fix = Fix(
        text="change one cell first",
        edits=_edit("first", "1 cell"),
        buys="a bad change is felt by the tenants of one cell",
        costs="deployments that take longer",
    )
    yield _weakness(facts, 0.45, "a change reaches a whole region at once", fix)


def _nothing_takes_it_back(facts: Facts) -> Iterator[Weakness]:
    deployment = _known(facts)
    if deployment is None or deployment.roll_back_on:
        return
    alarms = [alarm.name for alarm in facts.system.alarms if alarm.watches][:2]
    fix = Fix(
        text="let alarms take a change back",
        edits=_edit("roll_back_on", alarms) if alarms else (),
        buys="minutes instead of a night",
        costs="a good change that is taken back by mistake",
    )
    yield _weakness(facts, 0.4, "a bad change stays until a person takes it back", fix)


def _not_watched(facts: Facts) -> Iterator[Weakness]:
    deployment = _known(facts)
    if deployment is None or deployment.bake_s > 0:
        return
    fix = Fix(
        text="watch the first part before the others follow",
        edits=_edit("bake", "15m"),
        buys="what shows only after minutes is seen in time",
        costs="a quarter of an hour for each step",
    )
    yield _weakness(facts, 0.3, "a change goes on before anybody has seen what it does", fix)


def _all_regions(facts: Facts) -> Iterator[Weakness]:
    deployment = _known(facts)
    holding = [region for region in facts.system.regions if region.place.path]
    if deployment is None or len(holding) < 2 or deployment.order:
        return
    order = [region.place.path[-1] for region in reversed(holding)]
    fix = Fix(
        text="change the standby first, the home region last",
        edits=_edit("order", order),
        buys="a bad change leaves a region to go to",
        costs="regions that differ for some time",
    )
    yield _weakness(facts, 0.5, "a change reaches all regions at once: a bad one leaves nowhere to fail over to", fix)


RULES = (
    Rule(
        id="OL-CHG-001",
        title="nothing says how changes are deployed",
        why="Most outages begin with a change.",
        trigger="change",
        pillar="REL08-BP05",
        lens="AGENTREL08",
        check=_nothing_said,
    ),
    Rule(
        id="OL-CHG-002",
        title="a change reaches everything at once",
        why="A change that is tried on a part hurts a part.",
        trigger="change",
        pillar="REL08-BP05",
        lens="AGENTREL08",
        check=_all_at_once,
    ),
    Rule(
        id="OL-CHG-003",
        title="nothing takes a bad change back",
        why="Rolling back by an alarm takes minutes; by a person, as long as a person takes.",
        trigger="change",
        pillar="REL08-BP05",
        lens="AGENTREL08",
        check=_nothing_takes_it_back,
    ),
    Rule(
        id="OL-CHG-004",
        title="a change that is not watched",
        why="Leaks, queues and worse answers show after minutes.",
        trigger="change",
        pillar="REL08-BP05",
        check=_not_watched,
    ),
    Rule(
        id="OL-CHG-005",
        title="a change reaches all regions at once",
        why="Correlated changes are how two independent regions fail together.",
        trigger="change",
        pillar="REL08-BP05",
        check=_all_regions,
    ),
)
