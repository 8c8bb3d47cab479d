"""What each part must carry at the peak, and whether that is admitted where it stands by, before it has to be."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from outlast.assessment.arithmetic import rate_text
from outlast.assessment.facts import Facts
from outlast.assessment.quota import capacity, fullest_zone


class Headroom(msgspec.Struct, frozen=True):
    """One part, one bound, and the load that it must hold."""

    component: str
    region: str
    bound: str
    """``quota``, ``capacity``, or ``capacity without its fullest zone``."""
    needed: float
    """Requests a second at the peak."""
    given: float | None
    """None: the file does not say that there is any."""
    enough: bool
    lines: tuple[str, ...]


def headroom(facts: Facts) -> Iterator[Headroom]:
    """For every part that has a bound and a load; standbys must hold all of it."""
    for name, demand in facts.demands.items():
        component = facts.graph.component(name)
        lines = tuple(str(line) for line in demand.lines)
        for site in component.sites:
            if component.quota is not None:
                quota = component.quota_standby if site.standby else component.quota
                given = quota.value if quota is not None else None
                yield Headroom(name, site.region, "quota", demand.rate, given, (given or 0.0) >= demand.rate, lines)
            if component.capacity is None:
                continue
            carried = capacity(component, site) or 0.0
            yield Headroom(name, site.region, "capacity", demand.rate, carried, carried >= demand.rate, lines)
            if len(site.zones) > 1:
                left = capacity(component, site, fullest_zone(site)[0]) or 0.0
                text = "capacity without its fullest zone"
                yield Headroom(name, site.region, text, demand.rate, left, left >= demand.rate, lines)


def told(one: Headroom) -> str:
    """One line for a person."""
    given = "nothing is said to be there" if one.given is None else rate_text(one.given)
    verdict = "enough" if one.enough else "too little"
    return f"{one.component} in {one.region}: {one.bound} {given}, the peak is {rate_text(one.needed)}: {verdict}"
