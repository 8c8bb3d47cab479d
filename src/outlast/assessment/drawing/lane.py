"""Which frame a component stands in: the regions that it runs in, and within those its zones.

A component is drawn once. What runs in the same regions shares a frame, and what uses the same zones shares one
within it: what stands in one frame goes down together. A frame of several regions or zones is drawn as that many
sheets.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from outlast.assessment.component import Component, Site
from outlast.assessment.system import System


class Heading(msgspec.Struct, frozen=True):
    """The title of a frame, and of how many regions or zones it stands for."""

    text: str
    sheets: int = 1


class Lane(msgspec.Struct, frozen=True):
    """A band of the drawing: a frame of regions, and in it a frame of zones."""

    regions: Heading | None
    """None: outside of all regions."""
    zones: Heading | None
    """None: regional services, which no zone takes down."""


outside = Lane(None, None)
_more_than_any = 1000
"""Zones: a regional service uses all."""


def lanes(system: System) -> tuple[list[Lane], dict[str, int]]:
    """All lanes from the top down, and the lane of each component."""
    found = {name: _lane(_standing(system, component)) for name, component in system.components.items()}
    ordered = sorted(set(found.values()), key=lambda lane: _rank(lane, found.values()))
    index = {lane: i for i, lane in enumerate(ordered)}
    return ordered, {name: index[lane] for name, lane in found.items()}


def _rank(lane: Lane, all_lanes: Collection[Lane]) -> tuple[int, int, int, str, int, str]:
    """What is outside first; then the frames with the most regions and components; in them regional services first."""
    if lane.regions is None:
        return (0, 0, 0, "", 0, "")
    members = sum(other.regions == lane.regions for other in all_lanes)
    zones = lane.zones or Heading("", _more_than_any)
    return (1, -lane.regions.sheets, -members, lane.regions.text, -zones.sheets, zones.text)


def _standing(system: System, component: Component) -> tuple[Site, ...]:
    """Where it runs; what is only a name for others, in the regions of those."""
    if component.sites or component.kind != "model":
        return component.sites
    others = [system.components[edge.target] for edge in system.edges if edge.source == component.name]
    sites = {site.region: msgspec.structs.replace(site, zones=()) for other in reversed(others) for site in other.sites}
    return tuple(sites.values())


def _lane(standing: Sequence[Site]) -> Lane:
    sites = sorted(standing, key=lambda site: (site.standby, site.region))
    if not sites:
        return outside
    serving = [site.region for site in sites if not site.standby]
    standby = [site.region for site in sites if site.standby]
    text = " + ".join(serving) if serving else ""
    if standby:
        text += (", standby " if text else "standby ") + " + ".join(standby)
    return Lane(Heading(text, len(sites)), _zones(sites))


def used_zones(site: Site) -> tuple[str, ...]:
    """The zones in which instances stand."""
    return tuple(dict.fromkeys(site.zones[: max(site.instances, 1)]))


def _zones(sites: list[Site]) -> Heading | None:
    used = [used_zones(site) for site in sites]
    if not any(used) or all(zones == (site.region,) for zones, site in zip(used, sites, strict=True)):
        return None
    counts = sorted({len(zones) for zones in used}, reverse=True)
    if len(sites) > 1:
        each = f"{counts[0]} zone{'' if counts == [1] else 's'}" if len(counts) == 1 else ""
        said = f"{each} in each region" if each else " + ".join(str(len(zones)) for zones in used) + " zones"
        return Heading(said, counts[0])
    names = [zone.removeprefix(sites[0].region).lstrip("-") or zone for zone in used[0]]
    return Heading(f"zone {names[0]} alone" if len(names) == 1 else f"zones {', '.join(names)}", len(names))
