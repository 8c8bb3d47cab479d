"""Load: whether what runs, and what providers admit, carries it, in normal times and after a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from outlast.assessment.arithmetic import Line, rate_text, share_text, time_text
from outlast.assessment.component import Component, Site, compute_kinds
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.headroom import part_of
from outlast.assessment.hit import lead_to_shift
from outlast.assessment.quota import capacity, fullest_zone
from outlast.assessment.rule import Rule, Weakness, about, change

launches_in_a_rush = 3.0
"""How many times as long a launch may take while everybody launches: an assumption."""


def _first(component: Component) -> Site | None:
    return next((site for site in component.sites if not site.standby), None)


def _too_small(facts: Facts) -> Iterator[Weakness]:
    for name, demand in facts.demands.items():
        component = facts.system.components[name]
        site = _first(component)
        if site is None or component.capacity is None:
            continue
        each = component.capacity.value
        serving = sum(1 for other in component.sites if not other.standby)
        most = max(site.instances, component.instances_max or 0) * each * serving
        if most >= demand.rate:
            continue
        wanted = math.ceil(demand.rate / each / serving)
        key = "workers.max" if component.kind == "agent" else "redundancy.instances"
        fix = Fix(
            text=f"run {wanted} of it, or let it scale that far",
            edits=(change(component.place, key, wanted),) if component.kind != "endpoint" else (),
            buys="the peak is answered",
            costs=f"{wanted - site.instances} more instances at the peak",
        )
        lines = (*demand.lines, Line(f"{site.instances} x {rate_text(each)}", rate_text(most), "declared"))
        reason = f"{name} carries {rate_text(most)} at most, the peak is {rate_text(demand.rate)}"
        yield about(component, 0.9 * facts.weight_of(name), reason, fix, lines)


def _preferred(facts: Facts, name: str) -> list[Edge]:
    return [edge for edge in facts.graph.needs[name] if edge.any_of and not edge.degrades]


def _over_quota(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        demand = facts.demands.get(component.name)
        if demand is None:
            continue
        if component.kind == "model":
            members = [facts.target(edge) for edge in _preferred(facts, component.name)]
            if not members or any(member.quota is None for member in members):
                continue
            quota = sum(member.quota.value for member in members if member.quota is not None)
        elif component.kind != "endpoint" and component.quota is not None:
            quota = component.quota.value
        else:
            continue
        if quota >= demand.rate:
            continue
        fix = Fix(
            text=f"ask for a quota of {rate_text(math.ceil(demand.rate * 1.3 * 60) / 60)}, or add another endpoint",
            buys="the peak is not throttled",
            costs="a request to the provider; nothing by the month",
        )
        lines = (*demand.lines, Line("quota", rate_text(quota), "declared"))
        reason = f"{component.name} is asked {rate_text(demand.rate)} at the peak and admits {rate_text(quota)}"
        yield about(component, 0.6 * facts.weight_of(component.name), reason, fix, lines)


def _standby_quota(facts: Facts) -> Iterator[Weakness]:
    """For each model, whether any of its endpoints may be asked in the standby as much as at home."""
    standbys = [region.name for region in facts.system.regions if region.standby]
    if not standbys:
        return
    for component in facts.components:
        members = [facts.target(edge) for edge in _preferred(facts, component.name)] or [component]
        if component.kind == "endpoint" or all(member.quota is None for member in members):
            continue
        if component.kind == "external" or facts.promised(facts.graph.works_of[component.name], "region") is None:
            continue
        for member in members:
            if member.quota is None or not member.sites:
                continue
            said = member.quota_standby
            if said is not None and said.value >= member.quota.value:
                continue
            alone = len(members) == 1
            found = rate_text(said.value) if said is not None else "not said"
            fix = Fix(
                text="ask for the same quota in the region that takes over, and say so",
                edits=(change(member.place, "from", "each_region"),) if member.kind == "endpoint" else (),
                buys="the failover is not throttled",
                costs="a request to the provider; nothing by the month",
            )
            reason = (
                f"{member.name} may be asked {rate_text(member.quota.value)} at home; in {standbys[0]} that is {found}"
            )
            yield about(member, (0.9 if alone else 0.5) * facts.weight_of(component.name), reason, fix)


def _zone_leaves_too_little(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        site = _first(component)
        if site is None or len(set(site.zones)) < 2 or component.kind not in compute_kinds:
            continue
        if not facts.graph.hard_works_of[component.name] or component.kind == "training":
            continue
        zone, count = fullest_zone(site)
        left = site.instances - count
        demand = facts.demands.get(component.name)
        carried = capacity(component, site, zone)
        needed = site.needed
        if carried is not None and demand is not None and component.capacity is not None:
            serving = sum(1 for other in component.sites if not other.standby)
            needed = max(needed, math.ceil(demand.rate / serving / component.capacity.value))
        if left >= needed or left == 0 or site.instances < needed:
            continue
        zones = len(set(site.zones))
        wanted = math.ceil(needed / (zones - 1)) * zones
        key = "workers.min" if component.kind == "agent" else "redundancy.instances"
        fix = Fix(
            text=f"run {wanted} all the time, so that {zones - 1} zones carry the peak",
            edits=(change(component.place, key, wanted),) if component.kind != "endpoint" else (),
            buys="the loss of a zone needs no launch: what is left is enough",
            costs=f"{wanted - site.instances} more instances in each region",
        )
        reason = (
            f"without {zone} {left} of {site.instances} instances of {component.name} are left; {needed} carry the peak"
        )
        yield about(component, 0.7 * facts.weight_of(component.name), reason, fix)


def _region_leaves_too_little(facts: Facts) -> Iterator[Weakness]:
    serving = [region.name for region in facts.system.regions if not region.standby]
    for name, demand in facts.demands.items():
        component = facts.system.components[name]
        sites = [site for site in component.sites if site.region in serving]
        if len(sites) < 2 or facts.promised(facts.graph.hard_works_of[name], "region") is None:
            continue
        for site in sites:
            carried, share = capacity(component, site), part_of(facts.system, site.region)
            needed = demand.rate * share
            if carried is None or carried >= needed - 1e-9 or component.capacity is None:
                continue
            wanted = math.ceil(needed / component.capacity.value - 1e-9)
            key = "workers.min" if component.kind == "agent" else "redundancy.instances"
            fix = Fix(
                text=f"run {wanted} of it in each region, so that the others carry what the largest one leaves",
                edits=(change(component.place, key, wanted),) if component.kind != "endpoint" else (),
                buys="the loss of a region needs no launch",
                costs=f"{wanted - site.instances} more instances in each region",
            )
            reason = (
                f"when another region is lost, {name} in {site.region} must carry {rate_text(round(needed, 2))} and "
                f"runs for {rate_text(carried)}"
            )
            lines = (*demand.lines, Line(f"the part of {site.region} without the largest other one", share_text(share)))
            yield about(component, 0.9 * facts.weight_of(name), reason, fix, lines)
            break


def _launch_to_recover(facts: Facts) -> Iterator[Weakness]:
    lead, lines, _ = lead_to_shift(facts.graph)
    for region in facts.system.regions:
        late: list[Component] = []
        for component in facts.components:
            works = facts.graph.hard_works_of[component.name]
            promised = facts.promised(works, "region")
            here = any(site.region == region.name and site.standby and site.running < 1 for site in component.sites)
            if not here or component.kind not in compute_kinds or promised is None:
                continue
            if lead + launches_in_a_rush * component.relaunch_s.value > promised:
                late.append(component)
        if not late:
            continue
        promised = min(facts.promised(facts.graph.hard_works_of[one.name], "region") or 0.0 for one in late)
        fix = Fix(
            text="let all of it run there before it is needed",
            edits=(change(region.place, "running", "100%"),) if region.place.path else (),
            buys="recovery starts nothing: no control plane, no missing capacity",
            costs="the compute of the standby, all the time",
        )
        names = ", ".join(one.name for one in late[:4]) + (f" and {len(late) - 4} more" if len(late) > 4 else "")
        reason = (
            f"{region.running * 100:g}% of {names} runs in {region.name}; the rest is launched while everybody else "
            f"launches too, and {time_text(promised)} is promised"
        )
        weight = max(facts.graph.weight(facts.graph.hard_works_of[one.name][0]) for one in late)
        yield Weakness(
            subject=region.name,
            components=tuple(one.name for one in late),
            radius=0.9 * weight,
            reason=reason,
            fix=fix,
            lines=lines,
            place=region.place,
        )


def _fallback_quota(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        demand = facts.demands.get(component.name)
        if component.kind != "model" or demand is None:
            continue
        for edge in facts.graph.needs[component.name]:
            target = facts.target(edge)
            if not edge.degrades or target.quota is None or target.quota.value >= demand.rate:
                continue
            fix = Fix(
                text=f"ask for {rate_text(demand.rate)}, or shed the lesser classes first",
                buys="the fallback carries what it stands in for",
                costs="a request to the provider; nothing by the month",
            )
            reason = (
                f"{target.name} admits {rate_text(target.quota.value)}, what it stands in for is asked "
                f"{rate_text(demand.rate)} at the peak"
            )
            yield about(target, 0.3 * facts.weight_of(component.name), reason, fix, demand.lines)


def _no_load(facts: Facts) -> Iterator[Weakness]:
    for work, objective in facts.system.objectives.items():
        if work in facts.system.load:
            continue
        fix = Fix(
            text="say how much arrives on average and at the peak",
            buys="capacity, quotas and backlogs are assessed",
            costs="nothing",
        )
        reason = f"nothing is said of how much work of {work} arrives: capacity and quotas are not assessed"
        yield Weakness(
            subject=work, radius=0.1 * facts.graph.weight(work), reason=reason, fix=fix, place=objective.place
        )


def _no_scaling(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        load = next((facts.system.load[work] for work in component.classes if work in facts.system.load), None)
        if component.kind != "agent" or load is None or component.capacity is not None:
            continue
        site = _first(component)
        if component.instances_max is not None or load.peak <= 3 * load.steady or site is None:
            continue
        most = min(64, max(4, site.instances * math.ceil(load.peak / max(load.steady, load.peak / 20))))
        fix = Fix(
            text="let it scale on what waits",
            edits=(
                change(component.place, "workers.max", most),
                change(component.place, "workers.scale_on", {"backlog_per_worker": 4}),
            ),
            buys="the peak waits less",
            costs="workers while there is a peak",
        )
        reason = (
            f"{component.name} does not scale: its peak is {load.peak / load.steady:.0f} times its average"
            if load.steady
            else f"{component.name} does not scale"
        )
        yield about(component, 0.25 * facts.weight_of(component.name), reason, fix)


RULES = (
    Rule(
        id="OL-LOD-001",
        title="too little capacity for the peak",
        why="Load that is not carried is queued or shed, and the queue is what fails next.",
        trigger="overload",
        pillar="REL07-BP03",
        lens="AGENTREL01",
        check=_too_small,
    ),
    Rule(
        id="OL-LOD-002",
        title="a quota below the peak",
        why="A provider throttles at its quota however well one's own side scales.",
        trigger="overload",
        pillar="REL01-BP01",
        lens="AGENTREL01",
        check=_over_quota,
    ),
    Rule(
        id="OL-LOD-003",
        title="no quota where it fails over to",
        why="Quotas are given by region. A standby that was never asked for has the default one.",
        trigger="region",
        pillar="REL01-BP06",
        check=_standby_quota,
    ),
    Rule(
        id="OL-LOD-004",
        title="the zones that are left do not carry the peak",
        why="Static stability: what must be launched while a zone is away competes with everybody else's launches.",
        trigger="zone",
        pillar="REL11-BP05",
        check=_zone_leaves_too_little,
    ),
    Rule(
        id="OL-LOD-009",
        title="the regions that are left do not carry the peak",
        why="Where all regions serve, each must hold what the loss of the largest other one sends it.",
        trigger="region",
        pillar="REL11-BP05",
        check=_region_leaves_too_little,
    ),
    Rule(
        id="OL-LOD-005",
        title="recovery must launch something",
        why="A recovery that depends on a control plane fails exactly when everybody needs it.",
        trigger="region",
        pillar="REL11-BP04",
        check=_launch_to_recover,
    ),
    Rule(
        id="OL-LOD-006",
        title="the fallback admits less than what it stands in for",
        why="A fallback that is throttled is a second outage.",
        trigger="dependency",
        pillar="REL01-BP06",
        lens="AGENTREL08",
        check=_fallback_quota,
    ),
    Rule(
        id="OL-LOD-007",
        title="the load is not said",
        why="Capacity without a load is not too much or too little.",
        trigger="always",
        pillar="REL07-BP04",
        check=_no_load,
    ),
    Rule(
        id="OL-LOD-008",
        title="peaks, and nothing that scales",
        why="What is sized for the average is too small for the peak.",
        trigger="overload",
        pillar="REL07-BP03",
        lens="AGENTREL01",
        check=_no_scaling,
    ),
)
