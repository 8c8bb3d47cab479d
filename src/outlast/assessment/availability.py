"""The availability that a design gives each class of work: what must be up, put together as series, parallel, k of n.

A request is answered while everything that its class of work cannot do without is up in one region: the region, the
zones of enough instances, the instances, of alternatives any one. Parts fail independently except through the zones,
regions and components that they share, which `structure.py` takes into account. The time that a takeover needs counts
as down: (1 - availability) x takeover / repair.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from outlast.assessment.arithmetic import Line, share_text
from outlast.assessment.component import Component, Site
from outlast.assessment.edge import Edge
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph
from outlast.assessment.hit import lead_to_shift
from outlast.assessment.structure import (
    Node,
    TooCorrelated,
    Variable,
    all_of,
    any_of,
    exact,
    fleet,
    k_of,
    leaf,
    sampled,
    samples_for,
)

outage_s = 3600.0
"""How long an outage is taken to last, next to which a failover takes its share: an assumption, an hour."""
lines_max = 12
"""So many parts, the worst ones, are listed with their own availability."""


class Availability(msgspec.Struct, frozen=True):
    """What the design gives one class of work."""

    work: str
    share: float
    """Of time in which a request can be answered."""
    error: float
    """Standard error of `share`: 0 where it was computed exactly."""
    method: str
    """``exact`` or ``Monte Carlo, 200000 samples, seed 1``."""
    lines: tuple[Line, ...]
    losses: tuple[tuple[str, float], ...] = ()
    """What each part alone costs, as a share of time, the largest first."""


def availability(graph: Graph, work: str, seed: int = 1) -> Availability:
    """That of one class of work."""
    plan = _Plan(graph)
    node = plan.of_work(work)
    try:
        share, error, method = exact(node, plan.up), 0.0, "exact"
    except TooCorrelated:
        samples = samples_for(node, plan.up)
        share, error = sampled(node, plan.up, seed, samples)
        method = f"Monte Carlo, {samples} samples, seed {seed}"
    losses = _losses(plan, graph, work)
    return Availability(work, share, error, method, _lines(graph, work, losses, share, error, method), tuple(losses))


class _Plan:
    """Builds the structure, and collects how probable each variable is."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.up: dict[Variable, float] = {}
        self._alone: dict[object, float] = {}
        self._work = ""

    def of_work(self, work: str) -> Node:
        """One region that has everything, together with what stands outside of all regions."""
        self._work = work
        entries = self._graph.entries[work]
        found = [self._in_region(entries, region.name) for region in self._graph.system.regions]
        regions = [parts for parts in found if parts is not None]
        if not regions:
            return all_of(self._required(entries, None, set()))
        outside = frozenset[Variable].intersection(*(_leaves(parts) for parts in regions))
        common = [part for part in regions[0] if part.variable in outside]
        inside = [all_of([part for part in parts if part.variable not in outside]) for parts in regions]
        if len(inside) > 1:
            moved = self._leaf(Figure(1 - self._failover_loss()), "failover")
            inside = [inside[0], *(all_of([other, moved]) for other in inside[1:])]
        return all_of([*common, any_of(inside)])

    def _failover_loss(self) -> float:
        """The share of a region's outage that passes until another one serves."""
        system = self._graph.system
        lead, _, _ = lead_to_shift(self._graph)
        ttl = system.routing.ttl_s.value if system.routing is not None else 0.0
        takes = system.failover.takes_s.value if system.failover is not None else 0.0
        return min(1.0, (lead + max(ttl, takes)) / outage_s)

    def _in_region(self, entries: tuple[str, ...], region: str) -> list[Node] | None:
        """What must be up there; None where something that is needed is not there, and it is not the home."""
        seen: set[str] = set()
        parts = self._required(entries, region, seen)
        missing = any(self._missing(self._graph.component(name), region) for name in seen)
        if missing and region != self._home():
            return None
        return [*parts, self._leaf(self._graph.system.region_availability, "region", region)]

    def _home(self) -> str:
        home = self._graph.system.home()
        return home.name if home is not None else ""

    @staticmethod
    def _missing(component: Component, region: str) -> bool:
        return bool(component.sites) and all(site.region != region for site in component.sites)

    def _required(self, names: tuple[str, ...], region: str | None, seen: set[str]) -> list[Node]:
        """Everything that `names` need, each component once; `seen` are those that are required already."""
        parts: list[Node] = []
        waiting = list(names)
        groups: dict[tuple[str, str], list[Edge]] = {}
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            parts.append(self._own(self._graph.component(name), region))
            parts.extend(self._majority(self._graph.component(name)))
            for edge in self._graph.needs[name]:
                if not self._graph.leads(self._work, edge):
                    continue
                if edge.any_of and edge.synchronous:
                    groups.setdefault((name, edge.any_of), []).append(edge)
                elif edge.hard and edge.synchronous:
                    waiting.append(edge.target)
        needed = [group for group in groups.values() if any(edge.hard for edge in group)]
        parts.extend(
            any_of([all_of(self._required((edge.target,), region, set(seen))) for edge in group]) for group in needed
        )
        return parts or [k_of(0, ())]

    def _majority(self, component: Component) -> Iterator[Node]:
        """What is strong across regions acknowledges while most of those that must hold it are there."""
        quorum, system = component.across_regions.quorum, self._graph.system
        holders = system.holders(component)
        if quorum and len(holders) > 1:
            most = max(quorum, len(holders)) // 2 + 1
            leaves = [self._leaf(system.region_availability, "region", region) for region in holders]
            yield k_of(min(most, len(leaves)), leaves)

    def _own(self, component: Component, region: str | None) -> Node:
        sites = [site for site in component.sites if region is None or site.region == region]
        if not sites:
            sites = list(component.sites)
        if not sites:
            return self._leaf(component.availability, "part", component.name)
        parts = [self._site(component, site) for site in sites]
        node = any_of(parts)
        lost = _takeover_loss(component)
        if lost <= 0:
            return node
        return all_of([node, self._leaf(Figure(1 - lost), "takeover", component.name, region or "")])

    def _site(self, component: Component, site: Site) -> Node:
        if not site.zones:
            return self._leaf(component.availability, "part", component.name, site.region)
        needed, zones = min(site.needed, site.instances), site.by_zone().items()
        for zone, _ in zones:
            self._leaf(self._graph.system.zone_availability, "zone", zone)
        in_zones = [(("zone", zone), count) for zone, count in zones]
        return fleet(needed, in_zones, component.availability.value, ("part", component.name, site.region))

    def _leaf(self, figure: Figure, *variable: str) -> Node:
        self.up[variable] = figure.value
        return leaf(*variable)

    def alone(self, component: Component) -> float:
        """The availability of one component by itself, zones included."""
        home = self._home()
        has_home = any(site.region == home for site in component.sites)
        like = component.availability.value, component.sites, _takeover_loss(component)
        found = self._alone.get(like)
        if found is None:
            found = self._alone[like] = exact(self._own(component, home if has_home else None), self.up)
        return found


def _leaves(parts: list[Node]) -> frozenset[Variable]:
    return frozenset(part.variable for part in parts if part.variable is not None)


def _takeover_loss(component: Component) -> float:
    """The share of time that is spent waiting for a copy in another zone."""
    copies = component.across_zones
    if copies.mode == "none":
        return 0.0
    seconds = copies.detect_s.value + copies.takeover_s.value
    return (1 - component.availability.value) * min(1.0, seconds / max(component.repair_s.value, 1.0))


def _losses(plan: _Plan, graph: Graph, work: str) -> list[tuple[str, float]]:
    optional = {edge.target for edge in graph.system.edges if edge.any_of}
    plain = [name for name in sorted(graph.hard[work]) if name not in optional]
    found: list[tuple[str, float]] = []
    for name in plain:
        try:
            found.append((name, 1 - plan.alone(graph.component(name))))
        except TooCorrelated:
            continue
    return sorted(found, key=lambda item: (-item[1], item[0]))


def _lines(
    graph: Graph, work: str, losses: list[tuple[str, float]], share: float, error: float, method: str
) -> tuple[Line, ...]:
    lines: list[Line] = []
    for name, lost in losses[:lines_max]:
        figure = graph.component(name).availability
        text = f"{name}{_shape(graph.component(name))}"
        lines.append(Line(text, share_text(1 - lost), figure.source, figure.reference))
    if len(losses) > lines_max:
        lines.append(Line(f"and {len(losses) - lines_max} more parts, each better than these", ""))
    needed = graph.hard[work]
    groups = sorted(
        {(edge.source, edge.any_of) for edge in graph.system.edges if edge.any_of and edge.source in needed}
    )
    lines.extend(Line(f"of {source}'s {group}, any one is enough", "") for source, group in groups)
    if graph.system.regions:
        zone, region = graph.system.zone_availability, graph.system.region_availability
        lines.append(Line("each zone", share_text(zone.value), zone.source, zone.reference))
        lines.append(Line("each region", share_text(region.value), region.source, region.reference))
    spread = f" ± {error * 100:.2g}%" if error else ""
    lines.append(Line("everything it cannot do without, together", share_text(share) + spread, "computed", method))
    return tuple(lines)


def _shape(component: Component) -> str:
    sites = [site for site in component.sites if not site.standby]
    if not sites or not sites[0].zones:
        return ""
    site = sites[0]
    zones = len(set(site.zones[: site.instances]))
    return f" ({site.needed} of {site.instances} in {zones} zone{'s' if zones > 1 else ''})"
