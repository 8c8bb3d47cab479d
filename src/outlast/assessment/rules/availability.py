"""Redundancy: what stops when one instance, one zone or one region is gone."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.arithmetic import loss_text, share_text, time_text
from outlast.assessment.component import Component, Site, holds_data, state_kinds
from outlast.assessment.disruption import Disruption
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.impact import State
from outlast.assessment.rule import Rule, Weakness, about, between, change

chain_max = 4
"""More hard synchronous calls in a row are a finding."""
workers_of_one_cell_max = 4
"""So many workers of one cell are a finding: a bad change or a poisoned tenant reaches them all."""
_month_s = 30 * 86400.0


_shared_engine = Fix(
    text="put it on an engine that machines share: PostgreSQL with a synchronous standby, or DynamoDB",
    buys="another machine goes on with every run",
    costs="a database, and its operation",
)


def _serving(component: Component) -> list[Site]:
    return [site for site in component.sites if not site.standby]


def _redundant_edits(component: Component, instances: int, zones: int) -> tuple[Edit, ...]:
    """The keys that make it so many instances in so many zones, by where the component stands in the file."""
    if not component.place.path:
        return ()
    section = component.place.path[0]
    if section == "models":
        return (change(component.place, "min", instances),)
    if section == "stores":
        return (change(component.place, "standbys", instances - 1),)
    if section == "agents":
        return (change(component.place, "workers.min", instances), change(component.place, "workers.zones", zones))
    return (
        change(component.place, "redundancy.instances", instances),
        change(component.place, "redundancy.zones", zones),
    )


def _saves(facts: Facts, component: Component) -> str:
    """How much time a month the loss of this part alone costs the class that it matters most to."""
    works = facts.graph.hard_works_of[component.name]
    lost = dict(facts.availability(works[0]).losses).get(component.name, 0.0) if works else 0.0
    if lost <= 0:
        return "its loss is no longer noticed"
    return f"up to {time_text(round(lost * _month_s, 1))} of downtime a month for {works[0]}"


def _alone(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind in ("training", "model") or not facts.graph.hard_works_of[component.name]:
            continue
        if component.across_zones.mode != "none" or component.across_processes.mode != "none":
            continue
        sites = [site for site in _serving(component) if site.zones and site.instances <= site.needed]
        if not sites:
            continue
        impact = facts.impact(Disruption("node", component.name))
        touch = impact.touches.get(component.name)
        until = touch.until_s if touch is not None and touch.until_s is not None else 0.0
        promised = facts.promised(facts.graph.hard_works_of[component.name], "node")
        if impact.share == 0 or (promised is not None and until <= promised):
            continue
        site = sites[0]
        one = "one instance" if site.instances == 1 else f"{site.instances} instances, all of them needed"
        reason = f"{component.name} is {one}; when it is gone, {_who(facts, component.name)} for {time_text(until)}"
        wanted = site.needed + 1
        if component.technology == "sqlite":
            yield about(component, impact.share, reason, _shared_engine)
            continue
        fix = Fix(
            text=f"run {wanted} of it, in two zones",
            edits=_redundant_edits(component, wanted, 2),
            buys=_saves(facts, component),
            costs=f"{wanted - site.instances} more of it in each region",
        )
        yield about(component, impact.share, reason, fix)


def _who(facts: Facts, name: str) -> str:
    works = facts.stopped_by(name)
    return f"{' and '.join(works)} stop{'s' if len(works) == 1 else ''}" if works else "answers are worse"


def _in_one_zone(facts: Facts) -> Iterator[Weakness]:
    many = {region.name for region in facts.system.regions if len(region.zones) > 1}
    for component in facts.components:
        if component.kind in ("training", "model") or not facts.graph.works_of[component.name]:
            continue
        for site in _serving(component):
            zones = set(site.by_zone())
            if site.region not in many or len(zones) != 1 or facts.radius(component.name) == 0:
                continue
            zone = zones.pop()
            instances = max(2, site.instances)
            fix = Fix(
                text="spread it over at least two zones",
                edits=_redundant_edits(component, instances, 2),
                buys=f"the loss of {zone} is survived",
                costs=f"{instances - site.instances} more instances, and traffic between zones",
            )
            reason = f"all of {component.name} is in {zone}: with that zone, {_who(facts, component.name)}"
            yield about(component, facts.radius(component.name), reason, fix)
            break


def _in_one_region(facts: Facts) -> Iterator[Weakness]:
    if facts.system.strategy in ("single_region", "backup_restore"):
        return
    for component in facts.components:
        regions = {site.region for site in component.sites}
        works = facts.graph.hard_works_of[component.name]
        if len(regions) != 1 or component.kind == "training" or facts.promised(works, "region") is None:
            continue
        region = regions.pop()
        touch = facts.impact(Disruption("region", region)).touches.get(component.name)
        radius = facts.radius(component.name)
        if radius == 0 or touch is None or touch.state < State.INTERRUPTED:
            continue
        fix = Fix(
            text="run it in the region that takes over as well, or let those who need it do without it",
            edits=_everywhere(component),
            buys=f"the failover from {region} finds it there",
            costs="the same again in another region",
        )
        yield about(component, radius, f"{component.name} is in {region} alone, and a failover needs it", fix)


def _everywhere(component: Component) -> tuple[Edit, ...]:
    """The key that puts it into the region that takes over as well."""
    if not component.place.path:
        return ()
    if component.kind == "endpoint":
        return (change(component.place, "from", "each_region"),)
    return (change(component.place, "regions", ["home", "standby"]),)


def _promise_missed(facts: Facts) -> Iterator[Weakness]:
    for promise in facts.promises:
        if promise.measure != "availability" or promise.status != "missed by design" or promise.estimated is None:
            continue
        losses = facts.availability(promise.work).losses
        name, lost = losses[0] if losses else ("", 0.0)
        short = (promise.promised - promise.estimated) * _month_s
        reason = (
            f"{promise.work} promises {share_text(promise.promised)}, the design gives "
            f"{share_text(promise.estimated)}: "
            f"{time_text(round(short, 1))} a month too much"
        )
        fix = Fix(
            text=f"begin with {name}, which alone is away {loss_text(lost)} of the time: a second one, a cache, or "
            "an answer without it",
            buys=f"{share_text(min(1.0, promise.estimated + lost))} if {name} were never missed",
            costs="see the fixes of the single findings",
        )
        yield Weakness(
            subject=promise.work,
            components=(name,) if name else (),
            radius=0.7 * facts.graph.weight(promise.work),
            reason=reason,
            fix=fix,
            lines=promise.lines,
            place=promise.place,
        )


def _shared_fate(facts: Facts) -> Iterator[Weakness]:
    for name, edges in facts.graph.needs.items():
        for group in sorted({edge.any_of for edge in edges if edge.any_of}):
            members = [facts.target(edge) for edge in edges if edge.any_of == group]
            common = [share for share in members[0].shares if all(share in member.shares for member in members)]
            if len(members) < 2 or not common:
                continue
            shared = min(common)
            fix = Fix(
                text=f"add an alternative that does not stand on {shared}: an endpoint of your own, another provider",
                buys=f"an outage of {shared} is survived",
                costs="another contract, or machines of your own",
            )
            reason = f"all {len(members)} {group} of {name} stand on {shared}: they fail together"
            yield about(facts.system.components[name], 0.3 * facts.weight_of(name), reason, fix)


def _circle(facts: Facts) -> Iterator[Weakness]:
    for cycle in facts.graph.cycles:
        weight = max(facts.weight_of(name) for name in cycle)
        fix = Fix(
            text="let one of these calls go over a queue, or make it soft",
            buys="each can start, be deployed and fail without the other",
            costs="an answer that comes later",
        )
        reason = f"{', '.join(cycle)} wait for one another: none can start, or recover, without the others"
        yield Weakness(
            subject=" -> ".join(cycle), components=cycle, radius=0.5 * weight, reason=reason, fix=fix,
            place=facts.system.components[cycle[0]].place,
        )  # fmt: skip


def _hard_on_disposable(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        target = facts.target(edge)
        if not edge.hard or not edge.synchronous or edge.any_of:
            continue
        if target.kind != "cache" and target.data != "disposable":
            continue
        fix = Fix(
            text="make it soft: without it the work is slower, not gone",
            edits=(change(edge.place, "strength", "soft"), change(edge.place, "on_loss", "skip")),
            buys=f"the loss of {target.name} is survived",
            costs="load on what it shields: check that this can carry it",
        )
        reason = f"{edge.source} cannot do without {target.name}, which may be empty or gone at any time"
        yield between(edge, facts.radius(target.name), reason, fix)


def _on_a_lesser_class(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        source, target = facts.system.components[edge.source], facts.target(edge)
        if not (edge.hard and edge.synchronous and source.classes and target.classes):
            continue
        if set(source.classes) & set(target.classes):
            continue
        mine, its = facts.graph.weight(source.classes[0]), facts.graph.weight(target.classes[0])
        if its >= mine:
            continue
        fix = Fix(
            text="let a queue stand between them, or give it the class of its caller",
            edits=(change(edge.place, "mode", "asynchronous"),),
            buys=f"{source.classes[0]} no longer waits for {target.classes[0]}",
            costs="the answer comes later",
        )
        reason = f"{source.name} ({source.classes[0]}) waits for {target.name}, which only promises {target.classes[0]}"
        yield between(edge, 0.5 * mine, reason, fix)


def _one_cell(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        workers = sum(site.instances for site in _serving(component))
        if component.kind != "agent" or component.cells > 1 or workers < workers_of_one_cell_max:
            continue
        fix = Fix(
            text="split it into two cells; tenants are spread over them",
            edits=(change(component.place, "cells", 2),),
            buys="what one tenant or one change breaks is felt by half of them",
            costs="a second, smaller set of workers",
        )
        reason = f"all tenants of {component.name} share one cell of {workers} workers"
        yield about(component, 0.15 * facts.weight_of(component.name), reason, fix)


def _long_chain(facts: Facts) -> Iterator[Weakness]:
    for work in facts.graph.works:
        none: tuple[str, ...] = ()
        chain = max((_chain(facts, work, name, none) for name in facts.graph.entries[work]), key=len, default=none)
        if not chain or len(chain) <= chain_max + 1:
            continue
        fix = Fix(
            text="shorten it: call side by side, keep what rarely changes, or put a queue after the first answer",
            buys="availability multiplies over fewer parts",
            costs="work on the design",
        )
        reason = f"{len(chain) - 1} calls in a row, each of which must succeed: {' -> '.join(chain)}"
        yield Weakness(
            subject=work, components=chain, radius=0.25 * facts.graph.weight(work), reason=reason, fix=fix,
            place=facts.system.components[chain[0]].place,
        )  # fmt: skip


def _chain(facts: Facts, work: str, name: str, before: tuple[str, ...]) -> tuple[str, ...]:
    """The longest way down over hard synchronous edges to what runs code; alternatives and stores are leaves."""
    if len(before) > chain_max + 2:
        return before
    best = (*before, name)
    for edge in facts.graph.needs[name]:
        target = facts.target(edge)
        if not (edge.hard and edge.synchronous) or edge.any_of or edge.target in best:
            continue
        if not facts.graph.leads(work, edge):
            continue
        if holds_data(target) or target.kind in state_kinds:
            continue
        best = max(best, _chain(facts, work, edge.target, (*before, name)), key=len)
    return best


RULES = (
    Rule(
        id="OL-AVL-001",
        title="one instance, and nothing takes over",
        why="A single instance is away whenever it is restarted, replaced, updated or lost, and everything that cannot "
        "do without it is away with it.",
        trigger="node",
        pillar="REL11-BP02",
        lens="AGENTREL01",
        check=_alone,
    ),
    Rule(
        id="OL-AVL-002",
        title="all of it in one zone",
        why="Zones fail as a whole. What stands in one zone alone is away with it until it comes back or is built "
        "elsewhere.",
        trigger="zone",
        pillar="REL10-BP01",
        check=_in_one_zone,
    ),
    Rule(
        id="OL-AVL-003",
        title="the region that takes over lacks it",
        why="A failover succeeds only if everything that the class of work cannot do without is there.",
        trigger="region",
        pillar="REL10-BP01",
        check=_in_one_region,
    ),
    Rule(
        id="OL-AVL-004",
        title="the availability that is promised is not reached",
        why="The availability of a chain is the product of its parts: every hard dependency takes away from it.",
        trigger="always",
        pillar="REL11-BP07",
        check=_promise_missed,
    ),
    Rule(
        id="OL-AVL-005",
        title="alternatives that fail together",
        why="Alternatives help against what hits one of them alone. A shared provider, account or host takes all.",
        trigger="dependency",
        pillar="REL10-BP03",
        lens="AGENTREL08",
        check=_shared_fate,
    ),
    Rule(
        id="OL-AVL-006",
        title="components that need one another in a circle",
        why="In a circle of synchronous calls nothing can start first, and one slow part slows all.",
        trigger="change",
        pillar="REL04-BP02",
        lens="AGENTREL04",
        check=_circle,
    ),
    Rule(
        id="OL-AVL-007",
        title="a hard dependency on what may be lost",
        why="A cache is allowed to be empty. Who cannot work without it has made it a database.",
        trigger="node",
        pillar="REL05-BP01",
        check=_hard_on_disposable,
    ),
    Rule(
        id="OL-AVL-008",
        title="an important class waits for a lesser one",
        why="A class of work is never better than what it waits for.",
        trigger="dependency",
        pillar="REL04-BP02",
        check=_on_a_lesser_class,
    ),
    Rule(
        id="OL-AVL-009",
        title="all tenants in one cell",
        why="Cells bound what a bad change, a poisoned input or an overload of one tenant can reach.",
        trigger="change",
        pillar="REL10-BP03",
        lens="AGENTREL01",
        check=_one_cell,
    ),
    Rule(
        id="OL-AVL-010",
        title="a long chain of calls that must all succeed",
        why="Each further call multiplies its availability into the whole, adds its latency, and widens every outage.",
        trigger="dependency",
        pillar="REL04-BP02",
        lens="AGENTREL04",
        check=_long_chain,
    ),
)
