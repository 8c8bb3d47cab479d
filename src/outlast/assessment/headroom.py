"""What each part must carry at the peak, and whether that is admitted where it stands by, before it has to be."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from outlast.assessment.arithmetic import rate_text
from outlast.assessment.facts import Facts
from outlast.assessment.quota import capacity, fullest_zone
from outlast.assessment.system import System


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
    """For every part that has a bound and a load. Where several regions serve, each must hold what the loss of the
    largest other one sends it; a standby must hold all.
    """
    for name, demand in facts.demands.items():
        component = facts.graph.component(name)
        lines = tuple(str(line) for line in demand.lines)
        for site in component.sites:
            needed = demand.rate * part_of(facts.system, site.region)
            if component.quota is not None:
                quota = component.quota_standby if site.standby else component.quota
                given = quota.value if quota is not None else None
                yield Headroom(name, site.region, "quota", needed, given, (given or 0.0) >= needed, lines)
            if component.capacity is None:
                continue
            carried = capacity(component, site) or 0.0
            yield Headroom(name, site.region, "capacity", needed, carried, carried >= needed, lines)
            if len(site.zones) > 1:
                left = capacity(component, site, fullest_zone(site)[0]) or 0.0
                text = "capacity without its fullest zone"
                yield Headroom(name, site.region, text, needed, left, left >= needed, lines)


def part_of(system: System, region: str) -> float:
    """Of the peak, what one region must carry when the largest other one that serves is lost; all, if it stands by."""
    shares = {one.name: one.share for one in system.regions if not one.standby}
    others = [share for name, share in shares.items() if name != region]
    if region not in shares or not others or sum(shares.values()) > 1.001:
        return 1.0
    return min(1.0, shares[region] / max(1e-9, 1 - max(others)))


def told(one: Headroom) -> str:
    """One line for a person."""
    given = "nothing is said to be there" if one.given is None else rate_text(round(one.given, 2))
    verdict = "enough" if one.enough else "too little"
    bound = f"{one.bound} {given}"
    return f"{one.component} in {one.region}: {bound}, the peak is {rate_text(round(one.needed, 2))}: {verdict}"
