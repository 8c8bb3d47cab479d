"""How long until clients succeed again, and how much is lost: per class of work and disruption, line by line.

RTO is the time until the slowest part that the class cannot do without serves again. For a region: detection, decision,
then side by side the moving of traffic (DNS TTL) and the takeover of each store, with what must be launched or warmed.
RPO is the largest lag of a copy of data that counts; for corruption, the age of the newest good backup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from outlast.assessment.arithmetic import Line, duration_line, time_text
from outlast.assessment.component import Component, Copies, holds_data
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.graph import Graph
from outlast.assessment.hit import Hit, hits, lead_to_shift
from outlast.assessment.impact import Impact, State
from outlast.assessment.spread import spread_from

point_in_time_lag_s = 300.0
"""RDS and DynamoDB restore to any second up to about five minutes ago (their "latest restorable time")."""
whole_copy_every_s = 86_400.0
"""How often another region gets a whole copy, where that is not said: a day."""
never = math.inf
_in_flight: tuple[DisruptionKind, ...] = ("process", "node", "zone")
"""Disruptions that take some of several processes: what those were at work on is taken over."""


class Recovery(msgspec.Struct, frozen=True):
    """What one disruption costs one class of work."""

    disruption: Disruption
    rto_s: float
    rpo_s: float
    rto_lines: tuple[Line, ...]
    rpo_lines: tuple[Line, ...]
    cause: str = ""
    """The component that takes longest."""
    loser: str = ""
    """The component that loses most."""


def recovery(graph: Graph, work: str, disruption: Disruption, impact: Impact | None = None) -> Recovery:
    """How `work` comes back from `disruption`, whose impact may be given."""
    direct = {hit.component: hit for hit in hits(graph, disruption)}
    impact = impact or spread_from(graph, disruption, tuple(direct.values()))
    rto_s, rto_lines, cause = _rto(graph, work, disruption, impact, direct)
    rpo_s, rpo_lines, loser = _rpo(graph, work, disruption, direct)
    return Recovery(disruption, rto_s, rpo_s, rto_lines, rpo_lines, cause, loser)


def _rto(
    graph: Graph, work: str, disruption: Disruption, impact: Impact, direct: Mapping[str, Hit]
) -> tuple[float, tuple[Line, ...], str]:
    state = impact.work.get(work, State.UNTOUCHED)
    if state < State.WAITING:
        return _not_stopped(graph, work, disruption, impact, direct)
    known = {**impact.touches, **{touch.component: touch for touch in impact.entered[work]}}
    touch = max(impact.entered[work], key=lambda touch: (touch.state, touch.until_s or 0.0))
    way = [touch.component]
    while touch.via:
        touch = known[touch.via]
        way.append(touch.component)
    hit = direct.get(touch.component)
    until = hit.until_s or 0.0 if hit is not None else touch.until_s or 0.0
    lines = list(hit.lines) if hit is not None else []
    if len(way) > 1:
        lines.insert(0, Line(f"{' <- '.join(way)}: {touch.why}", ""))
    if disruption.kind == "region" and graph.system.routing is not None and until < never:
        until, lines = _with_traffic(graph, until, lines)
    lines.append(Line("until a client's next success", time_text(until) if until < never else "never"))
    return until, tuple(lines), touch.component


def _not_stopped(
    graph: Graph, work: str, disruption: Disruption, impact: Impact, direct: Mapping[str, Hit]
) -> tuple[float, tuple[Line, ...], str]:
    """The class goes on; what was in flight on the lost part may wait for its takeover."""
    inside = [direct[name] for name in graph.entries[work] if name in direct and disruption.kind in _in_flight]
    hit = max(inside, key=lambda hit: hit.until_s or 0.0, default=None)
    if hit is not None and graph.component(hit.component).across_processes.mode != "none":
        copies = graph.component(hit.component).across_processes
        seconds = copies.detect_s.value + copies.takeover_s.value
        lines = (duration_line("detection", copies.detect_s), duration_line("takeover", copies.takeover_s))
        return seconds, (*lines, Line("until a run in flight goes on", time_text(seconds))), hit.component
    return 0.0, (Line("the class goes on", "0s"),), ""


def _with_traffic(graph: Graph, until: float, lines: list[Line]) -> tuple[float, list[Line]]:
    """The DNS answer that clients keep runs out beside the takeover of the stores: the longer one counts."""
    routing = graph.system.routing
    assert routing is not None
    lead, _, _ = lead_to_shift(graph)
    moved = lead + routing.ttl_s.value
    lines = [*lines, duration_line("beside it, clients keep the old address", routing.ttl_s)]
    return max(until, moved), lines


def _rpo(
    graph: Graph, work: str, disruption: Disruption, direct: Mapping[str, Hit]
) -> tuple[float, tuple[Line, ...], str]:
    worst, lines, loser = 0.0, (Line("nothing that was acknowledged", "0s"),), ""
    for name in sorted(graph.reach[work]):
        component = graph.component(name)
        hit = direct.get(name)
        if hit is None or hit.state == State.UNTOUCHED or not holds_data(component) or not _counts(component):
            continue
        if disruption.kind in component.survive:
            continue  # it has a promise of its own
        if disruption.kind != "corruption" and _stays(component, disruption.kind, hit):
            continue
        lost, line = loss(graph, component, disruption.kind)
        if lost > worst:
            worst, loser = lost, name
            lines = (line, Line("acknowledged work that may be lost", time_text(lost) if lost < never else "all"))
    return worst, lines, loser


def _counts(component: Component) -> bool:
    """Whether losing it is losing something: not a cache, not what is made again from what is kept."""
    return component.data in ("critical", "eventual", None)


def _stays(component: Component, kind: DisruptionKind, hit: Hit) -> bool:
    """Whether the data is where it was when the disruption is over, or never left."""
    if kind in ("process", "dependency"):
        return component.across_processes.mode == "none"
    if kind == "node" and component.provider and component.settings.get("storage") != "instance":
        return component.across_zones.mode == "none"  # a provider's disks outlive the node
    if kind == "region":
        return hit.state == State.WEAKENED  # only what stood by is gone
    return hit.state == State.WEAKENED and component.across_zones.mode == "none"


def loss(
    graph: Graph, component: Component, kind: DisruptionKind, on_the_way: tuple[str, ...] = ()
) -> tuple[float, Line]:
    """Seconds of a component's data that such a disruption may lose, and why.

    `on_the_way`: what is made again from it, so that a circle of sources is none.
    """
    name = component.name
    copies = _copies(component, kind)
    served_elsewhere = kind == "region" and len(component.sites) > 1
    if copies is not None and (copies.mode != "none" or served_elsewhere):
        if copies.mode == "async":
            return copies.lag_s.value, duration_line(f"{name}: its copy may be behind", copies.lag_s)
        return 0.0, Line(f"{name}: its copy has what was acknowledged", "0s")
    if name not in graph.system.backups and component.rebuilt_from:
        return _made_again(graph, component, kind, on_the_way)
    lost, line = _backup_age(graph, name, kind)
    if kind == "region" and lost < never and not _kept_elsewhere(graph, name):
        return never, Line(f"{name}: its backups are in the region that is lost", "all", "declared", f"backup.{name}")
    return lost, line


def _made_again(
    graph: Graph, component: Component, kind: DisruptionKind, on_the_way: tuple[str, ...]
) -> tuple[float, Line]:
    """What its source has, unless a region takes that as well: then what the source loses."""
    name, source = component.name, graph.system.components.get(component.rebuilt_from)
    line = Line(f"{name}: made again from {component.rebuilt_from}", "0s", "declared", str(component.place))
    if kind != "region" or source is None or not source.sites:
        return 0.0, line
    if source.name == name or source.name in on_the_way:
        return never, Line(f"{name}: made again from itself, in a circle", "all", "declared", str(component.place))
    return loss(graph, source, kind, (*on_the_way, name))


def _copies(component: Component, kind: DisruptionKind) -> Copies | None:
    if kind == "region":
        return component.across_regions
    if kind == "zone":
        return component.across_zones
    if kind in ("process", "dependency"):
        return component.across_processes
    if kind == "node":
        return component.across_zones if component.across_zones.mode != "none" else component.across_processes
    return None


def _backup_age(graph: Graph, name: str, kind: DisruptionKind) -> tuple[float, Line]:
    """How old the newest good copy of a component's data may be, in seconds.

    Any instant can be restored where the data is; what is copied to other regions are whole backups.
    """
    backup = graph.system.backups.get(name)
    where = f"backup.{name}"
    if backup is None:
        return never, Line(f"{name}: no backup", "all", "declared", str(graph.component(name).place))
    if backup.versions_s is not None and kind == "corruption":
        return 0.0, Line(f"{name}: the version before is kept", "0s", "declared", f"{where}.versions")
    if backup.point_in_time_s is not None and kind != "region":
        text = f"{name}: any instant can be restored, up to about five minutes ago"
        return point_in_time_lag_s, Line(text, time_text(point_in_time_lag_s), "documented", "latest restorable time")
    if backup.full_every_s is not None:
        age = time_text(backup.full_every_s)
        return backup.full_every_s, Line(f"{name}: the last full backup", age, "declared", f"{where}.full_every")
    if kind == "region" and (backup.point_in_time_s is not None or backup.versions_s is not None):
        text = f"{name}: the last whole copy; other instants are kept in its own region only"
        age = time_text(whole_copy_every_s)
        return whole_copy_every_s, Line(text, age, "default", f"{where}.full_every is not said")
    return never, Line(f"{name}: no backup is scheduled", "all", "declared", where)


def _kept_elsewhere(graph: Graph, name: str) -> bool:
    backup = graph.system.backups[name]
    return bool(backup.copies or backup.region_copies)
