"""Whether what runs, and what a provider admits, carries the load: on all days, without a zone, after a failover."""

from __future__ import annotations

import msgspec

from outlast.assessment.arithmetic import Line, rate_text
from outlast.assessment.component import Component, Site
from outlast.assessment.graph import Graph

depth_max = 50
"""Calls are counted over so many edges; longer ways are cycles."""


class Demand(msgspec.Struct, frozen=True):
    """Requests a second that reach a component at the peak, all regions together."""

    rate: float
    lines: tuple[Line, ...]


def demands(graph: Graph) -> dict[str, Demand]:
    """By component: the peaks of all classes of work, times the calls along the edges. Alternatives each get all."""
    rates: dict[str, float] = {}
    lines: dict[str, list[Line]] = {}
    for work in graph.works:
        load = graph.system.load.get(work)
        if load is None or not load.peak:
            continue
        for name, calls in _calls(graph, work).items():
            rates[name] = rates.get(name, 0.0) + load.peak * calls
            text = f"{work}: peak {rate_text(load.peak)} x {calls:g} calls"
            lines.setdefault(name, []).append(Line(text, rate_text(load.peak * calls), "declared", str(load.place)))
    return {name: Demand(rate, tuple(lines[name])) for name, rate in rates.items()}


def _calls(graph: Graph, work: str) -> dict[str, float]:
    """Calls of each component for one request of a class: the largest over all paths, so that nothing counts twice."""
    calls = dict.fromkeys(graph.entries[work], 1.0)
    front = list(calls)
    for _ in range(depth_max):
        following: dict[str, float] = {}
        for name in front:
            for edge in graph.needs[name]:
                if not graph.leads(work, edge):
                    continue
                total = calls[name] * edge.calls
                if total > max(calls.get(edge.target, 0.0), following.get(edge.target, 0.0)):
                    following[edge.target] = total
        if not following:
            break
        calls |= following
        front = list(following)
    return calls


def capacity(component: Component, site: Site, without_zone: str = "") -> float | None:
    """Requests a second that its instances in one region carry; None: not said."""
    if component.capacity is None:
        return None
    left = site.instances
    if without_zone and site.zones:
        left -= site.by_zone().get(without_zone, 0)
    return component.capacity.value * left


def fullest_zone(site: Site) -> tuple[str, int]:
    """The zone with the most instances, and how many those are."""
    counts = site.by_zone() if site.zones else {"": site.instances} if site.instances else {}
    return max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
