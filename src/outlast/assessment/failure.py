"""What can fail: for every component and every edge, how it shows, what protects it, which drill would prove it.

A failure mode and effects analysis (IEC 60812), made from the description: what the file does not say is shown as not
said, so that a review meeting sees the gaps. The effects are those of `spread.py`, the protections those declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from outlast.assessment.choice import brief
from outlast.assessment.component import Component, holds_data
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.hit import Hit, disruptions, hits
from outlast.assessment.impact import Impact, State
from outlast.assessment.precaution import Drill
from outlast.assessment.quota import fullest_zone
from outlast.assessment.spread import spread_from
from outlast.kernel.unit import duration_text

_SHOWN: Mapping[DisruptionKind, tuple[str, str, str]] = {
    "process": ("one process dies or hangs", "its heartbeat stops", "crash"),
    "node": ("one machine is lost", "its instances stop answering", "node-off"),
    "zone": ("the zone with most of it is lost", "all that runs in that zone stops answering", "zone-off"),
    "region": ("its region is lost or cut off", "the region's probes fail", "region-off"),
    "corruption": ("its data is destroyed or falsified", "checks of the data fail, or a person notices", "restore"),
    "dependency": ("all of it is away", "calls to it fail", "off"),
}
"""By disruption: what happens, how it shows, the end of the drill's name."""
_SYSTEM_DRILLS = ("zone", "region")
"""Disruptions of which one drill breaks everything at once, under one name."""


class FailureMode(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    subject: str
    """A component, or ``caller -> called``."""
    mode: str
    shows: str
    """How it is noticed: what happens first, then the alarms that would tell."""
    effect: str
    """What clients of each class of work notice, and how long."""
    protected_by: str
    """What the file says of it; ``nothing declared``."""
    drill: str
    """The declared drill that would prove it, else one that would, marked so."""
    declared: bool
    """Whether that drill is planned."""
    blast_radius: float
    """Share of all work, 0 to 1."""


def failures(facts: Facts) -> Iterator[FailureMode]:
    """Every row, component by component, then edge by edge, in the order of the file."""
    wide = {
        disruption: {hit.component: hit for hit in hits(facts.graph, disruption)}
        for disruption in disruptions(facts.graph)
        if disruption.kind in _SYSTEM_DRILLS
    }
    for component in facts.components:
        yield from _by_disruption(facts, component, wide)
        yield from _by_kind(facts, component)
    for edge in facts.edges:
        if facts.target(edge).kind != "endpoint":
            yield from _of_edge(facts, edge)


_Wide = Mapping[Disruption, Mapping[str, Hit]]
"""By zone and region that is lost, what it hits."""


def _by_disruption(facts: Facts, component: Component, wide: _Wide) -> Iterator[FailureMode]:
    for kind in _kinds(component):
        subject = _subject(facts, component, kind)
        if subject is None:
            continue
        disruption = Disruption(kind, subject)
        mode, shows, suffix = _SHOWN[kind]
        direct = (
            wide[disruption] if disruption in wide else {hit.component: hit for hit in hits(facts.graph, disruption)}
        )
        hit = direct.get(component.name)
        if hit is None or hit.state == State.UNTOUCHED:
            continue
        drill, declared = _drill(facts, component, kind, suffix)
        impact = spread_from(facts.graph, disruption, (hit,))
        yield FailureMode(
            subject=component.name,
            mode=mode,
            shows=_noticed(facts, shows, impact.work),
            effect=_effect(impact.work, hit.until_s),
            protected_by=_protection(facts, component, kind, hit, impact),
            drill=drill,
            declared=declared,
            blast_radius=impact.share,
        )


def _kinds(component: Component) -> Iterator[DisruptionKind]:
    if component.kind == "model":  # a name: its endpoints fail, and all of them together
        yield "dependency"
        return
    if any(site.zones for site in component.sites):  # else a provider runs it, over all zones
        yield from ("process", "node", "zone")
    if component.sites:
        yield "region"
    if holds_data(component):
        yield "corruption"
    yield "dependency"


def _subject(facts: Facts, component: Component, kind: DisruptionKind) -> str | None:
    if kind not in _SYSTEM_DRILLS:
        return component.name
    site = next((site for site in component.sites if not site.standby), None)
    if site is None:
        return None
    return fullest_zone(site)[0] if kind == "zone" else site.region


def _drill(facts: Facts, component: Component, kind: DisruptionKind, suffix: str) -> tuple[str, bool]:
    """The planned drill that breaks just this, else the name of one that would."""
    name = component.name
    planned = [drill for drill in facts.system.drills if drill.proves == kind]
    own = [drill for drill in planned if drill.subject == name]
    general = [drill for drill in planned if not drill.subject and _breaks(drill.name, component, kind)]
    found = next(iter([*own, *general]), None)
    if found is not None:
        return f"{found.name}{_every(found)}", True
    return (suffix if kind in _SYSTEM_DRILLS else f"{name}-{suffix}"), False


def _breaks(drill: str, component: Component, kind: DisruptionKind) -> bool:
    """Whether a drill that names no component breaks this one, by the first word of its name."""
    if kind in _SYSTEM_DRILLS:
        return drill.startswith(kind)
    return {"worker": "agent", "model": "model"}.get(drill.partition("-")[0]) == component.kind


def _every(drill: Drill) -> str:
    return f", every {duration_text(drill.every_s)}" if drill.every_s is not None else ""


def _noticed(facts: Facts, shows: str, work: Mapping[str, State]) -> str:
    """The alarms on classes of work that are hit, or that no alarm would tell."""
    hit = {name for name, state in work.items() if state >= State.DEGRADED}
    alarms = [alarm.name for alarm in facts.system.alarms if hit.intersection(alarm.watches)]
    if not hit:
        return f"{shows}; clients notice nothing"
    return f"{shows}; alarm: {', '.join(alarms)}" if alarms else f"{shows}; no alarm on what clients notice"


def _effect(work: Mapping[str, State], until_s: float | None) -> str:
    felt = [f"{name} is {state.word}" for name, state in work.items() if state >= State.DEGRADED]
    if not felt:
        return "no class of work notices"
    lasting = "" if not until_s else f"; over after {brief(until_s)}" if until_s < float("inf") else "; for ever"
    return ", ".join(felt) + lasting


def _protection(facts: Facts, component: Component, kind: DisruptionKind, hit: Hit, impact: Impact) -> str:
    found = [hit.why] if hit.state < State.DOWN else []
    callers = [impact.touches.get(edge.source) for edge in facts.graph.needed_by[component.name]]
    found += [touch.why for touch in callers if touch is not None and touch.state in (State.WEAKENED, State.DEGRADED)]
    backup = facts.system.backups.get(component.name)
    if kind == "corruption" and backup is not None:
        kept = [
            text
            for text, given in (
                ("any instant", backup.point_in_time_s),
                ("whole copies", backup.full_every_s),
                ("earlier versions", backup.versions_s),
                ("a lock", backup.lock_s),
                ("tried restores", backup.test_every_s),
            )
            if given is not None
        ]
        found.append(f"backups: {', '.join([*kept, *backup.copies]) or 'nothing scheduled'}")
    if kind == "corruption" and component.rebuilt_from:
        found.append(f"made again from {component.rebuilt_from}")
    if kind in ("dependency", "region") and component.on_loss:
        found.append(f"callers: {component.on_loss}")
    if kind == "region" and facts.system.strategy == "backup_restore" and hit.state == State.DOWN:
        copied = backup is not None and bool(backup.copies)
        if copied or not holds_data(component):
            found.append(
                "launched in another region" + (", restored there from a copy of its backups" if copied else "")
            )
    if kind == "region" and component.across_regions.mode != "none":
        found.append(f"a copy elsewhere, {brief(component.across_regions.lag_s.value)} behind at most")
    return "; ".join(dict.fromkeys(found)) or "nothing declared"


def _by_kind(facts: Facts, component: Component) -> Iterator[FailureMode]:
    """What else such a part can do wrong."""
    name, demand = component.name, facts.demands.get(component.name)
    if component.quota is not None or component.capacity is not None:
        peak = f", the peak is {demand.rate:g}/s" if demand is not None else ""
        said = [f"quota {component.quota.value:g}/s"] if component.quota is not None else []
        said += [f"{component.capacity.value:g}/s an instance"] if component.capacity is not None else []
        said += [f"scales to {component.instances_max}"] if component.instances_max is not None else []
        yield _row(
            facts,
            name,
            "more arrives than it carries",
            "refused or waiting requests",
            ", ".join(said) + peak,
            "overload",
        )
    if component.kind == "endpoint":
        yield _row(
            facts,
            name,
            "it is slow, not away",
            "time to first token, next to its peers",
            "breaker and ejection",
            "gray",
        )
    if component.kind == "model":
        fallback = any(edge.degrades for edge in facts.graph.needs[name])
        yield _row(
            facts,
            name,
            "its answers get worse",
            "the canary's score, or users",
            "fallback, marked" if fallback else "",
            "poisoned",
        )
    if component.kind == "queue":
        terms = component.queue
        dead = terms is not None and terms.dead_letters
        tried = f"dead letters after {terms.attempts} tries" if terms is not None and terms.attempts else "dead letters"
        yield _row(
            facts,
            name,
            "a message breaks whoever reads it",
            "the same run fails again",
            tried if dead else "",
            "poison",
        )
        kept = f"kept {duration_text(terms.keep_s)}" if terms is not None and terms.keep_s is not None else ""
        yield _row(facts, name, "its readers are away", "the age of what waits", kept, "readers-off")
    if component.kind == "cache":
        yield _row(
            facts, name, "it is empty", "every request reaches what it stands before", component.on_loss, "emptied"
        )
    if component.kind == "external" and component.effect == "once":
        yield _row(
            facts,
            name,
            "a call's outcome is not known",
            "a step in doubt",
            "intent recorded before, then verify or a person",
            "crash",
        )
    if component.kind == "agent":
        bounds = ", ".join(component.budget)
        yield _row(
            facts,
            name,
            "a run does not stop by itself",
            "steps, tokens, cost of one run",
            bounds and f"budget: {bounds}",
            "runaway",
        )


def _row(facts: Facts, name: str, mode: str, shows: str, protected: str, suffix: str) -> FailureMode:
    drill = f"{name}-{suffix}"
    planned = {one.name for one in facts.system.drills}
    return FailureMode(
        subject=name,
        mode=mode,
        shows=shows,
        effect="its callers wait, or get a lesser answer",
        protected_by=protected or "nothing declared",
        drill=drill,
        declared=drill in planned,
        blast_radius=facts.radius(name),
    )


def _of_edge(facts: Facts, edge: Edge) -> Iterator[FailureMode]:
    """The call itself: its answer is late, or does not come."""
    target = facts.target(edge)
    subject = f"{edge.source} -> {edge.target}"
    if not edge.synchronous:
        protected = "the work waits in between"
        if target.queue is not None and target.queue.keep_s is not None:
            protected = f"the work waits, {duration_text(target.queue.keep_s)} at most"
        yield _edge_row(facts, edge, subject, "work piles up", "the age of what waits", protected, "off")
        return
    said = [f"time-out {duration_text(edge.timeout_s.value)}"] if edge.timeout_s is not None else []
    if edge.retries:
        budget = f", {edge.retry_budget:.0%} of the calls at most" if edge.retry_budget is not None else ", no budget"
        said.append(f"{edge.retries} retries{budget}")
    said += ["a breaker"] if edge.breaker else []
    deadline = facts.graph.component(edge.source).deadline_s
    said += [f"a deadline of {duration_text(deadline.value)}"] if deadline is not None else []
    yield _edge_row(facts, edge, subject, "the answer is late", "the caller's latency", ", ".join(said), "gray")
    instead = edge.on_loss or target.on_loss
    lost = [f"answers up to {duration_text(edge.cache_s)} old"] if edge.cache_s is not None else []
    lost += [f"instead: {instead}"] if instead else []
    strength = "hard" if edge.hard else "soft"
    yield _edge_row(facts, edge, subject, f"no answer ({strength})", "the caller's errors", ", ".join(lost), "off")


def _edge_row(
    facts: Facts, edge: Edge, subject: str, mode: str, shows: str, protected: str, suffix: str
) -> FailureMode:
    impact = facts.impact(Disruption("dependency", edge.target))
    touch = impact.touches.get(edge.source)
    planned = [one for one in facts.system.drills if one.subject == edge.target and one.proves == "dependency"]
    effect = f"{edge.source} is {touch.state.word}: {touch.why}" if touch is not None else f"{edge.source} goes on"
    return FailureMode(
        subject=subject,
        mode=mode,
        shows=shows,
        effect=effect,
        protected_by=protected or "nothing declared",
        drill=planned[0].name if planned else f"{edge.target}-{suffix}",
        declared=bool(planned),
        blast_radius=impact.share,
    )
