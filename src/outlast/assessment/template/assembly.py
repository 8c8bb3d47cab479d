"""From parts to a whole: the same part in two regions is one, classes of work, regions, how one takes over."""

from __future__ import annotations

import re
from typing import Any

from outlast.assessment.template.compute import compute_nouns
from outlast.assessment.template.front import front_nouns
from outlast.assessment.template.network import Network
from outlast.assessment.template.sketch import Part, Sketch, unique

_PLACE = re.compile(
    r"(?:^|[_\-.])(?:primary|secondary|standby|dr|home|main|failover|replica|backup|(?:eu|us|ap|sa|ca|me|af)(?:_?(?:north|south|east|west|central)+_?\d)?"
    r"|(?:north|south|east|west|central)+_?\d?)(?=$|[_\-.])"
)
_data_nouns = frozenset(
    ("table", "db_cluster", "bucket", "cache_group", "db_instance", "document_db", "search", "file_system")
)
live, background = "live", "background"


def merge(sketch: Sketch, regions: list[str]) -> None:
    """Parts of one noun and one name in different regions become one part in both."""
    if len(regions) < 2:
        return
    known: dict[tuple[str, str], Part] = {}
    order = {region: index for index, region in enumerate(regions)}
    parts = [part for part in sketch.parts.values() if part.regions]
    single = {noun: [p for p in parts if p.noun == noun] for noun in {part.noun for part in parts}}
    for part in sorted(parts, key=lambda part: order.get(part.regions[0], 9)):
        plain = _PLACE.sub("", re.sub(r"_\d+$", "", part.name)) or part.noun
        of_noun = single[part.noun]
        if len(of_noun) == 2 and {tuple(one.regions) for one in of_noun} == {(regions[0],), (regions[1],)}:
            plain = part.noun  # the only one of its kind in each of them
        first = known.get((part.noun, plain))
        if first is None or set(first.regions) & set(part.regions):
            known.setdefault((part.noun, plain), part)
            continue
        first.regions = unique([*first.regions, *part.regions])
        first.running |= part.running
        for target, need in part.needs.items():
            first.needs.setdefault(target, need)
        _twin(sketch, first, part)
        sketch.drop(part, first)
        first.needs.pop(first.id, None)
    for part in sketch.parts.values():
        shorter = _PLACE.sub("", part.name)
        if len(part.regions) > 1 and shorter and shorter not in {one.name for one in sketch.parts.values()}:
            part.name = shorter.strip("_-.")


def _twin(sketch: Sketch, first: Part, other: Part) -> None:
    if first.noun in _data_nouns and "across_regions" not in first.body and first.body.get("aws") != "aurora_global":
        linked = any(region in first.copies for region in other.regions) or any(
            region in other.copies for region in first.regions
        )
        first.body["across_regions"] = "eventual" if linked else "none"
        if not linked:
            first.note("each region has its own: nothing in the templates copies from one to the other")
    for key, value in other.backup.items():
        first.backup.setdefault(key, value)


def regions_of(sketch: Sketch) -> list[str]:
    """The regions of AWS that the templates name, the home first: that of most parts, unless records say otherwise."""
    counts: dict[str, int] = {}
    for part in sketch.parts.values():
        for region in part.regions:
            counts[region] = counts.get(region, 0) + 1
    standby: list[str] = sketch.regions.get("standby") or []
    return sorted(counts, key=lambda region: (region in standby, -counts[region]))


def described(sketch: Sketch, network: Network, regions: list[str]) -> dict[str, Any]:
    """The section ``regions:``."""
    if not regions:
        return {"home": {"zones": max(2, network.zones_in("")) if network.zones else 3}}
    found: dict[str, Any] = {}
    keys = key_of(regions)
    strategy = _strategy(sketch, regions) if len(regions) > 1 else None
    if strategy is not None:
        found["strategy"] = strategy
    for region in regions:
        zones = network.zones_in(region)
        said: dict[str, Any] = {"aws": region, "zones": max(2, zones) if zones else 3}
        running = _running(sketch, regions[0], region)
        if region != regions[0] and strategy in ("warm_standby", "pilot_light"):
            said |= {"share": "0%", "running": f"{running * 100:.0f}%"}
        found[keys[region]] = said
    if len(regions) > 1:
        edge = {key: value for key, value in sketch.regions.get("edge", {}).items() if key != "note"}
        if edge:
            found["edge"] = edge
        found["failover"] = {"mode": sketch.regions.get("failover", "manual")}
    return found


def key_of(regions: list[str]) -> dict[str, str]:
    """By region of AWS, its name in the file."""
    names = ["home", "standby"]
    return {region: names[index] if index < 2 else region for index, region in enumerate(regions)}


def _strategy(sketch: Sketch, regions: list[str]) -> str:
    others = set(regions[1:])
    computing = [part for part in sketch.parts.values() if part.noun in compute_nouns - {"state_machine"}]
    there = [part for part in computing if others & set(part.regions)]
    if not there:
        return "pilot_light"
    if sketch.regions.get("active"):
        return "active_active"
    sized = [part for part in there if part.running]
    if sized and not any(part.running.get(region) for part in sized for region in others):
        return "pilot_light"
    return "warm_standby"


def _running(sketch: Sketch, home: str, region: str) -> float:
    """The smallest share of what runs at home that runs there; 1 where nothing is sized."""
    shares = [
        min(1.0, part.running.get(region, 0) / part.running[home])
        for part in sketch.parts.values()
        if part.running.get(home) and region in part.regions
    ]
    computing = any(region in part.regions for part in sketch.parts.values() if part.noun in compute_nouns)
    return min(shares, default=1.0 if computing else 0.0)


def classes(sketch: Sketch) -> list[str]:
    """Give a class of work to where work enters; returns the classes there are."""
    needed = {target for part in sketch.parts.values() for target in part.needs}
    found: set[str] = set()
    for part in sketch.parts.values():
        if part.noun in front_nouns and part.id not in needed:
            part.body["class"] = live
            found.add(live)
    callers = {
        part.id for part in sketch.parts.values() if part.noun in compute_nouns | {"bedrock_agent", "bedrock_flow"}
    }
    entered = {target for part in sketch.parts.values() if part.noun in front_nouns for target in part.needs}
    called = {target for part in sketch.parts.values() if part.id in callers or part.noun in front_nouns
              for target, need in part.needs.items() if need.mode == "synchronous"}  # fmt: skip
    for part in sketch.parts.values():
        if part.section != "services" or part.id in called | entered or part.id not in callers:
            continue
        if part.noun in front_nouns:
            continue
        reads = any(need.mode == "asynchronous" for need in part.needs.values())
        work = background if reads or live in found else live
        part.body["class"] = work
        part.note(
            f"it works on what others leave: taken as work of the class {work}"
            if reads
            else f"nothing is seen that calls it: taken as work of the class {work}"
        )
        found.add(work)
    for part in sketch.parts.values():
        reads = any(need.mode == "asynchronous" for need in part.needs.values())
        if (
            reads
            and part.noun in compute_nouns
            and "class" not in part.body
            and part.section == "services"
            and part.id not in called
        ):
            part.body["class"] = background
            found.add(background)
    return [work for work in (live, background) if work in found]


def objectives(found: list[str], regions: int) -> dict[str, Any]:
    """Promises, all of them assumed: a template holds none."""
    several = {"region": {"rto": "1h", "rpo": "5m"}} if regions > 1 else {}
    later = {"region": {"rto": "4h", "rpo": "1h"}} if regions > 1 else {}
    known: dict[str, Any] = {
        live: {
            "availability": "99.9%",
            "survive": {
                "process": {"rto": "1m", "rpo": "0s"},
                "node": {"rto": "5m", "rpo": "0s"},
                "zone": {"rto": "5m", "rpo": "0s"},
                **several,
                "corruption": {"rto": "4h", "rpo": "1h"},
            },
        },
        background: {
            "availability": "99%",
            "survive": {
                "process": {"rto": "10m", "rpo": "0s"},
                "node": {"rto": "15m", "rpo": "0s"},
                "zone": {"rto": "30m", "rpo": "0s"},
                **later,
                "corruption": {"rto": "8h", "rpo": "24h"},
            },
        },
    }
    return {work: known[work] for work in found}
