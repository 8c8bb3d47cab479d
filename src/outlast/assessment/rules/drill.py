"""Drills: promises that nobody has tried, or not lately, or not with success."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.evidence import day_s, evidence_days_max, latest, state_of
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.judge import subjects
from outlast.assessment.precaution import Evidence
from outlast.assessment.rule import Rule, Weakness

_NAMES: dict[DisruptionKind, str] = {
    "process": "worker-crash",
    "node": "node-off",
    "zone": "zone-off",
    "region": "region-off",
    "corruption": "journal-restore",
    "dependency": "dependency-away",
}


def _promised(facts: Facts) -> dict[DisruptionKind, list[str]]:
    found: dict[DisruptionKind, list[str]] = {}
    for work, objective in facts.system.objectives.items():
        for kind in objective.survive:
            found.setdefault(kind, []).append(work)
    return found


def _shown(facts: Facts, work: str, kind: DisruptionKind) -> Evidence | None:
    hit = {disruption.subject for disruption in subjects(facts.graph, work, kind)}
    return latest(facts.system, work, kind, facts.now, hit)


def _no_drill(facts: Facts) -> Iterator[Weakness]:
    planned = {drill.proves for drill in facts.system.drills}
    monthly: list[Any] = [drill.name for drill in facts.system.drills if drill.every_s == 30 * day_s]
    for kind, promising in _promised(facts).items():
        works = [work for work in promising if not _shown(facts, work, kind)]
        if kind in planned or not works:
            continue
        fix = Fix(
            text=f"drill it every month: {_NAMES[kind]}",
            edits=(Edit(("drills", "monthly"), [*monthly, _NAMES[kind]]),),
            buys=f"survive {kind} of {' and '.join(works)} is shown, not hoped",
            costs="minutes of degraded service that one has chosen",
        )
        objective = facts.system.objectives[works[0]]
        reason = f"{' and '.join(works)} promise{'s' if len(works) == 1 else ''} to survive {kind}; no drill tries it"
        yield Weakness(
            subject=f"survive {kind}", radius=0.25 * facts.graph.weight(works[0]), reason=reason, fix=fix,
            place=objective.survive[kind].place,
        )  # fmt: skip


def _by_evidence(facts: Facts, state: str) -> Iterator[tuple[str, DisruptionKind, float, str]]:
    for kind, works in _promised(facts).items():
        for work in works:
            found = _shown(facts, work, kind)
            if found is not None and state_of(found, facts.now) == state:
                yield work, kind, (facts.now - found.at) / day_s, found.drill


def _expired(facts: Facts) -> Iterator[Weakness]:
    for work, kind, days, drill in _by_evidence(facts, "expired"):
        fix = Fix(
            text=f"run {drill} again",
            buys=f"survive {kind} of {work} is shown for another {evidence_days_max} days",
            costs="a drill",
        )
        reason = f"{drill} last showed that {work} survives {kind} {days:.0f} days ago; the system has changed since"
        place = facts.system.objectives[work].survive[kind].place
        yield Weakness(
            subject=f"{work}.{kind}", radius=0.2 * facts.graph.weight(work), reason=reason, fix=fix, place=place
        )


def _failed(facts: Facts) -> Iterator[Weakness]:
    for work, kind, days, drill in _by_evidence(facts, "failed"):
        fix = Fix(
            text=f"mend what {drill} found, and run it again",
            buys=f"survive {kind} of {work}",
            costs="see the report of the drill",
        )
        reason = f"{drill} failed {days:.0f} days ago: {work} does not survive {kind} as promised"
        place = facts.system.objectives[work].survive[kind].place
        yield Weakness(
            subject=f"{work}.{kind}", radius=0.8 * facts.graph.weight(work), reason=reason, fix=fix, place=place
        )


def _too_seldom(facts: Facts) -> Iterator[Weakness]:
    for drill in facts.system.drills:
        if drill.every_s is None or drill.every_s <= evidence_days_max * day_s:
            continue
        fix = Fix(
            text="drill it every month",
            buys="evidence that has not expired",
            costs="a drill a month",
        )
        reason = (
            f"{drill.name} runs every {drill.every_s / day_s:.0f} days; what it shows expires after {evidence_days_max}"
        )
        yield Weakness(subject=drill.name, radius=0.1, reason=reason, fix=fix, place=drill.place)


def _nothing_stops_it(facts: Facts) -> Iterator[Weakness]:
    if not facts.system.drills or facts.system.drill_stops:
        return
    first = next(iter(facts.system.objectives), "")
    if not first:
        return
    fix = Fix(
        text="end a drill when clients suffer",
        edits=(Edit(("drills", "stop_if"), {f"{first}_errors": "20%", "for": "60s"}),),
        buys="a drill that finds something does not become an incident",
        costs="nothing",
    )
    yield Weakness(
        subject="drills",
        radius=0.2,
        reason="nothing ends a drill when it harms clients",
        fix=fix,
        place=facts.system.drills[0].place,
    )


RULES = (
    Rule(
        id="OL-EVI-001",
        title="a promise that no drill tries",
        why="A failover that was never tried does not work.",
        trigger="always",
        pillar="REL12-BP04",
        lens="AGENTREL07",
        check=_no_drill,
    ),
    Rule(
        id="OL-EVI-002",
        title="evidence that has expired",
        why="What a drill has shown is true of the system of that day.",
        trigger="always",
        pillar="REL12-BP04",
        check=_expired,
    ),
    Rule(
        id="OL-EVI-003",
        title="the last drill failed",
        why="A failed drill is the cheapest outage that there is, once it is mended.",
        trigger="always",
        pillar="REL12-BP02",
        check=_failed,
    ),
    Rule(
        id="OL-EVI-004",
        title="drilled too seldom",
        why="Evidence expires after thirty days.",
        trigger="always",
        pillar="REL12-BP05",
        check=_too_seldom,
    ),
    Rule(
        id="OL-EVI-005",
        title="nothing ends a drill that harms",
        why="An experiment has a condition at which it is over.",
        trigger="always",
        pillar="REL12-BP04",
        check=_nothing_stops_it,
    ),
)
