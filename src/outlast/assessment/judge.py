"""Holds promises against the design: the worst disruption of each kind, for each class of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from outlast.assessment.arithmetic import Line, share_text
from outlast.assessment.availability import Availability
from outlast.assessment.component import Component, compute_kinds, holds_data
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.evidence import latest, state_of
from outlast.assessment.graph import Graph
from outlast.assessment.hit import hits
from outlast.assessment.impact import State
from outlast.assessment.objective import Objective, Target
from outlast.assessment.precaution import Evidence
from outlast.assessment.promise import Promise, Status
from outlast.assessment.recovery import Recovery, loss, never
from outlast.assessment.timeout import longest_turn_s

Recover = Callable[[str, Disruption], Recovery]


def subjects(graph: Graph, work: str, kind: DisruptionKind) -> Iterator[Disruption]:
    """Every disruption of one kind that may concern a class of work."""
    if kind in ("zone", "region"):
        for region in graph.system.regions:
            if kind == "region":
                yield Disruption(kind, region.name)
            elif not region.standby:
                yield from (Disruption(kind, zone) for zone in region.zones)
        return
    for name in sorted(graph.reach[work]):
        if _is_subject(graph.component(name), kind):
            yield Disruption(kind, name)


def _is_subject(component: Component, kind: DisruptionKind) -> bool:
    if kind == "corruption":
        return holds_data(component)
    if kind == "dependency":
        return component.kind in ("external", "endpoint")
    return component.kind in compute_kinds or any(site.zones for site in component.sites)


def promises(graph: Graph, now: float, recover: Recover, available: Callable[[str], Availability]) -> Iterator[Promise]:
    """All promises of all classes of work, then those that components make for themselves."""
    for work, objective in graph.system.objectives.items():
        if objective.availability is not None:
            yield _availability(objective, available(work))
        yield from _latency(graph, objective)
        for kind, target in objective.survive.items():
            yield from _survive(graph, now, work, kind, target, recover)
    for component in graph.system.components.values():
        for kind, target in component.survive.items():
            yield from _own(graph, now, component, kind, target)


def _availability(objective: Objective, found: Availability) -> Promise:
    promised = objective.availability or 0.0
    lines = (*found.lines, Line("promised", share_text(promised), "declared", f"{objective.place}.availability"))
    status: Status = "met by design" if found.share >= promised else "missed by design"
    return Promise(
        work=objective.name,
        measure="availability",
        promised=promised,
        estimated=found.share,
        status=status,
        lines=lines,
        place=objective.place,
    )


def _latency(graph: Graph, objective: Objective) -> Iterator[Promise]:
    """The tail of a turn against what a turn may take when every call uses all of its time."""
    promised = objective.latency_s.get("turn_p99") or objective.latency_s.get("request_p99")
    if promised is None:
        return
    sums = [longest_turn_s(graph, name, objective.name) for name in graph.entries[objective.name]]
    seconds, lines = max(sums, key=lambda found: found[0], default=(0.0, ()))
    if not seconds:
        return
    yield Promise(
        work=objective.name,
        measure="latency",
        promised=promised,
        estimated=seconds,
        status="met by design" if seconds <= promised else "unknown",
        lines=lines,
        place=objective.place,
    )


def _survive(
    graph: Graph, now: float, work: str, kind: DisruptionKind, target: Target, recover: Recover
) -> Iterator[Promise]:
    hit = list(subjects(graph, work, kind))
    found = [recover(work, disruption) for disruption in hit]
    if not found:
        return
    slowest = max(found, key=lambda one: one.rto_s)
    dearest = max(found, key=lambda one: one.rpo_s)
    drill = latest(graph.system, work, kind, now, {disruption.subject for disruption in hit})
    if target.rto_s is not None:
        estimate = _Estimate(slowest.disruption, slowest.rto_s, slowest.rto_lines)
        yield _promise(work, "rto", kind, target, estimate, drill, now)
    if target.rpo_s is not None:
        estimate = _Estimate(dearest.disruption, dearest.rpo_s, dearest.rpo_lines)
        yield _promise(work, "rpo", kind, target, estimate, drill, now)


def _own(graph: Graph, now: float, component: Component, kind: DisruptionKind, target: Target) -> Iterator[Promise]:
    """A promise of one component: how long itself is away, and what it loses."""
    name = component.name
    serving = [site for site in component.sites if not site.standby]
    if kind == "region":
        found = [Disruption("region", site.region) for site in serving]
    elif kind == "zone":
        found = [Disruption("zone", zone) for site in serving for zone in site.zones]
    else:
        found = [Disruption(kind, name)]
    slowest = _Estimate(None, 0.0, (Line("it goes on", "0ms"),))
    for disruption in found:
        for hit in hits(graph, disruption):
            until = hit.until_s or 0.0
            if hit.component == name and until > slowest.seconds and hit.state >= State.DEGRADED:
                slowest = _Estimate(disruption, until, hit.lines)
    if target.rto_s is not None:
        yield _promise(name, "rto", kind, target, slowest, None, now)
    if target.rpo_s is not None:
        lost, line = loss(graph, component, kind) if found else (0.0, Line("a regional service loses nothing", "0ms"))
        yield _promise(name, "rpo", kind, target, _Estimate(slowest.worst, lost, (line,)), None, now)


class _Estimate(NamedTuple):
    worst: Disruption | None
    seconds: float
    lines: tuple[Line, ...]


def _promise(
    work: str,
    measure: Literal["rto", "rpo"],
    kind: DisruptionKind,
    target: Target,
    estimate: _Estimate,
    drill: Evidence | None,
    now: float,
) -> Promise:
    promised = (target.rto_s if measure == "rto" else target.rpo_s) or 0.0
    measured = None if drill is None else drill.rto_s if measure == "rto" else drill.rpo_s
    state = state_of(drill, now)
    status: Status = "met by design" if estimate.seconds <= promised else "missed by design"
    if measured is not None and state in ("current", "failed"):
        status = "met by drill" if measured <= promised else "missed by drill"
    elif measured is None and state == "failed":  # what a failed drill does not say, it has not shown
        status = "missed by drill"
    return Promise(
        work=work,
        measure=measure,
        disruption=kind,
        worst=estimate.worst,
        promised=promised,
        estimated=None if estimate.seconds == never else estimate.seconds,
        status=status,
        lines=estimate.lines,
        evidence=drill,
        evidence_state=state,
        evidence_age_s=None if drill is None else now - drill.at,
        place=target.place,
    )
