"""What a disruption does to the component that it hits itself, before anything spreads, with the arithmetic shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from outlast.assessment.anew import made_anew, rebuild_assumed
from outlast.assessment.arithmetic import Line, duration_line, time_text
from outlast.assessment.component import Component, Copies, Site, compute_kinds, holds_data
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph
from outlast.assessment.impact import State


class Hit(msgspec.Struct, frozen=True):
    """One component, hit."""

    component: str
    state: State
    until_s: float | None
    """Seconds until it serves again; None where it always does."""
    why: str
    lines: tuple[Line, ...] = ()
    """The sum that gives `until_s`."""


def hits(graph: Graph, disruption: Disruption) -> Iterator[Hit]:
    """Every component that `disruption` hits directly."""
    if disruption.kind in ("zone", "region"):
        hit = _in_zone if disruption.kind == "zone" else _in_region
        for component in graph.system.components.values():
            found = hit(graph, component, disruption.subject)
            if found is not None:
                yield found
    elif disruption.subject in graph.system.components:
        yield _ALONE[disruption.kind](graph, graph.component(disruption.subject))


def disruptions(graph: Graph) -> Iterator[Disruption]:
    """Everything that can happen to this system, one at a time."""
    for region in graph.system.regions:
        yield Disruption("region", region.name)
        for zone in region.zones:
            yield Disruption("zone", zone)
    for component in graph.system.components.values():
        yield Disruption("dependency", component.name)
        if component.kind in compute_kinds or component.sites:
            yield Disruption("process", component.name)
            yield Disruption("node", component.name)
        if holds_data(component):
            yield Disruption("corruption", component.name)


def _process(graph: Graph, component: Component) -> Hit:
    name = component.name
    if component.across_processes.mode != "none":
        lines = _takeover_lines(component.across_processes)
        return Hit(name, State.WEAKENED, _sum(component.across_processes), "another process takes over", lines)
    if _spare(component) > 0:
        return Hit(name, State.WEAKENED, component.restart_s.value, "other instances go on", (_restart(component),))
    if not component.sites and component.kind not in compute_kinds:
        return Hit(name, State.UNTOUCHED, None, "has no process of ours")
    if _managed(component):
        return Hit(name, State.WEAKENED, 0.0, "the service replaces its processes by itself")
    lines = (_restart(component), *_warm(component))
    until = component.restart_s.value + component.warm_up_s.value
    return Hit(name, State.INTERRUPTED, until, "its only process is restarted", lines)


def _node(graph: Graph, component: Component) -> Hit:
    name = component.name
    for copies in (component.across_zones, component.across_processes):
        if copies.mode != "none":
            state = State.INTERRUPTED if copies.automatic else State.DOWN
            if copies is component.across_processes or _sum(copies) == 0:
                state = State.WEAKENED
            return Hit(name, state, _sum(copies), "a copy takes over", _takeover_lines(copies))
    if _spare(component) > 0 or _managed(component):
        return Hit(name, State.WEAKENED, component.relaunch_s.value, "other instances go on")
    if component.kind in compute_kinds:
        lines = (duration_line("a new node is launched", component.relaunch_s), *_warm(component))
        until = component.relaunch_s.value + component.warm_up_s.value
        return Hit(name, State.INTERRUPTED, until, "its only node is replaced", lines)
    restored = graph.system.backups.get(name)
    if restored is not None:
        return Hit(name, State.DOWN, *_restored(restored.restore_s, "it is restored from a backup"))
    return Hit(name, State.DOWN, *_repaired(component, "its only node is gone, and there is no copy"))


def _in_zone(graph: Graph, component: Component, zone: str) -> Hit | None:
    site = next((site for site in component.sites if zone in site.zones), None)
    if site is None:
        return None
    if site.standby:
        return Hit(component.name, State.WEAKENED, None, f"its standby in {site.region} loses {zone}")
    left = site.instances - site.by_zone().get(zone, 0)
    copies = component.across_zones
    if copies.mode != "none":
        state = State.WEAKENED if _sum(copies) == 0 else State.INTERRUPTED if copies.automatic else State.DOWN
        return Hit(component.name, state, _sum(copies), f"a copy outside of {zone} takes over", _takeover_lines(copies))
    if left == site.instances:
        return None
    if left >= site.needed:
        return Hit(component.name, State.WEAKENED, component.relaunch_s.value, f"{left} of {site.instances} go on")
    if component.kind not in compute_kinds and component.kind not in ("balancer", "edge"):
        why = f"{left} of {site.instances} instances are left, {site.needed} are needed"
        return Hit(component.name, State.DOWN, *_repaired(component, why))
    lines = (duration_line("instances are launched in other zones", component.relaunch_s), *_warm(component))
    until = component.relaunch_s.value + component.warm_up_s.value
    if left > 0:
        why = f"{left} of {site.instances} go on, the peak needs {site.needed}"
        return Hit(component.name, State.DEGRADED, until, why, lines)
    if len(site.zones) > 1:
        return Hit(component.name, State.INTERRUPTED, until, f"all its instances are in {zone}", lines)
    return Hit(component.name, State.DOWN, *_repaired(component, f"it is in {zone} alone"))


def _in_region(graph: Graph, component: Component, region: str) -> Hit | None:
    alone = _without_majority(graph, component, region)
    if alone is not None:
        return alone
    site = next((site for site in component.sites if site.region == region), None)
    if site is None:
        return None
    name = component.name
    others = [other for other in component.sites if other.region != region]
    if site.standby:
        return Hit(name, State.WEAKENED, None, "its standby is gone")
    if not others:
        return _region_alone(graph, component, region)
    lead, lead_lines, automatic = lead_to_shift(graph)
    own, own_lines, launches = _shift(component, others)
    served_there = any(not other.standby for other in others)
    if served_there:
        own, own_lines, launches = 0.0, (), False
    state = State.INTERRUPTED if automatic and not launches else State.DOWN
    why = f"{others[0].region} serves alone" if served_there else f"{others[0].region} takes over"
    return Hit(name, state, lead + own, why, (*lead_lines, *own_lines))


def _region_alone(graph: Graph, component: Component, region: str) -> Hit:
    """Made anew elsewhere where that is the plan and can be done; else it waits for the region."""
    name, why = component.name, f"it is in {region} alone"
    found = made_anew(graph, component, region) if graph.system.strategy == "backup_restore" else None
    if found is None:
        return _until_the_region_is_back(component, why)
    lead, lines, _ = lead_to_shift(graph)
    seconds, own = found
    return Hit(name, State.DOWN, lead + seconds, why, (*lines, *own))


def _until_the_region_is_back(component: Component, why: str) -> Hit:
    outage = Figure(region_outage_s, "default", "an assumption: a long regional outage")
    line = duration_line(f"{component.name}: until the region is back, {why}", outage)
    return Hit(component.name, State.DOWN, outage.value, why, (line,))


def _without_majority(graph: Graph, component: Component, region: str) -> Hit | None:
    """What is strong across too few regions acknowledges nothing while any of them is away."""
    quorum, holders = component.across_regions.quorum, graph.system.holders(component)
    if region not in holders or len(holders) < 2 or len(holders) >= quorum:
        return None
    why = f"it acknowledges with a majority only, and {len(holders)} of {quorum} regions hold it"
    return _until_the_region_is_back(component, why)


def lead_to_shift(graph: Graph) -> tuple[float, tuple[Line, ...], bool]:
    """Seconds from the loss of a region until its traffic begins to move, the sum, and whether nobody is asked."""
    routing, failover = graph.system.routing, graph.system.failover
    lines: list[Line] = []
    total = 0.0
    if routing is not None:
        detect = routing.probe_every_s.value * routing.probe_failures
        text = f"detection: {routing.probe_failures} probes of {time_text(routing.probe_every_s.value)}"
        lines.append(Line(text, time_text(detect), routing.probe_every_s.source, routing.probe_every_s.reference))
        total += detect
    automatic = failover is not None and failover.automatic and routing is not None
    if not automatic:
        decide = failover.decide_s if failover is not None else Figure(900.0, "default", "no failover is described")
        lines.append(duration_line("a person decides", decide))
        total += decide.value
    return total, tuple(lines), automatic


def _shift(component: Component, others: list[Site]) -> tuple[float, tuple[Line, ...], bool]:
    """Seconds until a standby serves once it was decided, the sum, and whether something must be launched."""
    total, lines = 0.0, list[Line]()
    copies = component.across_regions
    if copies.mode != "none":
        total += copies.takeover_s.value
        lines.append(duration_line(f"{component.name}: its copy takes over", copies.takeover_s))
    running = max(other.running for other in others)
    launches = copies.launches or running <= 0
    if launches:
        total += component.relaunch_s.value
        lines.append(duration_line(f"{component.name}: launched there", component.relaunch_s))
    if running < 1 and component.warm_up_s.value:
        total += component.warm_up_s.value
        lines.extend(_warm(component))
    return total, tuple(lines), launches


def _corruption(graph: Graph, component: Component) -> Hit:
    name = component.name
    backup = graph.system.backups.get(name)
    detect = Line("noticed, and a person decides", time_text(_notice_s), "default", "an assumption; drill it")
    if component.data == "disposable":
        return Hit(name, State.DEGRADED, 0.0, "it is emptied and fills again")
    if backup is not None:
        until, why, lines = _restored(backup.restore_s, "it is restored from a backup")
        return Hit(name, State.DOWN, _notice_s + until, why, (detect, *lines))
    if component.rebuild_s is not None:
        lines = (detect, duration_line(f"rebuilt from {component.rebuilt_from or 'its source'}", component.rebuild_s))
        return Hit(name, State.DOWN, _notice_s + component.rebuild_s.value, "it is rebuilt", lines)
    if component.rebuilt_from:
        lines = (detect, duration_line(f"rebuilt from {component.rebuilt_from}", rebuild_assumed))
        return Hit(name, State.DOWN, _notice_s + rebuild_assumed.value, "it is rebuilt", lines)
    return Hit(name, State.DOWN, float("inf"), "there is nothing to restore it from", (Line("never: no backup", ""),))


def _dependency(graph: Graph, component: Component) -> Hit:
    return Hit(component.name, State.DOWN, *_repaired(component, "it is gone"))


_notice_s = 900.0
"""Seconds until corrupted data is noticed and a restore is decided: an assumption, a quarter of an hour."""
region_outage_s = 12 * 3600.0
"""How long a region stays away that nothing takes over for: an assumption."""

_ALONE: dict[DisruptionKind, Callable[[Graph, Component], Hit]] = {
    "process": _process,
    "node": _node,
    "corruption": _corruption,
    "dependency": _dependency,
}


def _spare(component: Component) -> int:
    """Instances beyond those that are needed, in the region that has the fewest of them."""
    return min((site.instances - site.needed for site in component.sites if not site.standby), default=0)


def _managed(component: Component) -> bool:
    """Whether a provider runs it over all zones of a region."""
    serving = [site for site in component.sites if not site.standby]
    return bool(serving) and all(not site.zones for site in serving)


def _sum(copies: Copies) -> float:
    return copies.detect_s.value + copies.takeover_s.value


def _takeover_lines(copies: Copies) -> tuple[Line, ...]:
    return duration_line("detection", copies.detect_s), duration_line("takeover", copies.takeover_s)


def _restart(component: Component) -> Line:
    return duration_line(f"{component.name}: restarted", component.restart_s)


def _warm(component: Component) -> tuple[Line, ...]:
    return (duration_line(f"{component.name}: warm-up", component.warm_up_s),) if component.warm_up_s.value else ()


def _repaired(component: Component, why: str) -> tuple[float, str, tuple[Line, ...]]:
    return (
        component.repair_s.value,
        why,
        (duration_line(f"{component.name}: until it is repaired", component.repair_s),),
    )


def _restored(restore: Figure, why: str) -> tuple[float, str, tuple[Line, ...]]:
    return restore.value, why, (duration_line("restored from a backup", restore),)
