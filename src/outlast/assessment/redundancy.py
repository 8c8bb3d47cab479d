"""How many of a component run, and where, so that the loss of a process, node or zone is as short as promised."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from outlast.assessment.availability import availability
from outlast.assessment.choice import Change, Choice, Estimated, Limit, Rung, choose
from outlast.assessment.component import Component
from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.facts import Facts
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph
from outlast.assessment.headroom import part_of
from outlast.assessment.hit import hits
from outlast.assessment.impact import State
from outlast.assessment.recovery import recovery
from outlast.assessment.system import System
from outlast.assessment.technology import technology
from outlast.assessment.variant import with_store
from outlast.blueprint.agent import Agent
from outlast.blueprint.component import Redundancy
from outlast.blueprint.deploy import Deploy
from outlast.blueprint.drill import Drills
from outlast.blueprint.schema import Blueprint, Stores
from outlast.blueprint.service import Service
from outlast.blueprint.store import Stored
from outlast.kernel.unit import hours_per_month

_kinds: tuple[DisruptionKind, ...] = ("process", "node", "zone")
_work = "the work"
month_s = hours_per_month * 3600


def limits_of(facts: Facts, name: str, kinds: tuple[DisruptionKind, ...], *, data: bool) -> Iterator[Limit]:
    """The promises that bear on one component: its own, else those of the classes that cannot do without it.

    A loss of data counts for every class that uses it, and only where `data` is said to be kept there.
    """
    component = facts.graph.component(name)
    for kind in kinds:
        own = component.survive.get(kind)
        owners = [(name, own)] if own is not None else [
            (work, facts.system.objectives[work].survive.get(kind))
            for work in facts.graph.works_of[name]
            if work in facts.system.objectives
        ]  # fmt: skip
        hard = facts.graph.hard_works_of[name]
        for owner, target in owners:
            if target is None:
                continue
            if target.rto_s is not None and (own is not None or owner in hard):
                yield Limit(owner, kind, "rto", target.rto_s)
            if target.rpo_s is not None and data:
                yield Limit(owner, kind, "rpo", target.rpo_s)


def downtime_of(facts: Facts, name: str) -> Iterator[Limit]:
    """What each promised availability leaves to one part, where all that the class cannot do without share it alike."""
    for work in facts.graph.hard_works_of[name]:
        objective = facts.system.objectives.get(work)
        if objective is None or objective.availability is None:
            continue
        parts = sum(1 for part in facts.graph.hard[work] if facts.graph.component(part).kind != "model")
        yield Limit(work, None, "downtime", (1 - objective.availability) * month_s / parts)


def instances(blueprint: Blueprint, facts: Facts, name: str, declared: Agent | Service) -> Choice | None:
    """How many workers or instances; None where the provider spreads it over zones by itself."""
    component = facts.graph.component(name)
    serving = [site for site in component.sites if not site.standby]
    if not serving or not serving[0].zones:
        return None
    section = "agents" if isinstance(declared, Agent) else "services"
    key = _key(blueprint, section, name)
    needed = _needed(facts, component, declared)
    zones = min(3, max(len(region.zones) for region in facts.system.regions) if facts.system.regions else 1)
    limits = (*limits_of(facts, name, _kinds, data=False), *downtime_of(facts, name))
    rungs: list[Rung] = []
    for count, text in _counts(needed, zones):
        placed = Redundancy(instances=count, needed=needed, zones=min(count, zones))
        change = _redundancy(section, key, placed)
        rungs.append(Rung(text, given(alone(change(blueprint), section, key), limits), change))
    return choose("instances", name, rungs, limits)


def _counts(needed: int, zones: int) -> Iterator[tuple[int, str]]:
    """As many as the peak needs; one more; so many that the others carry it without any one zone."""
    where = f"in {min(needed, zones)} zone{'s' if min(needed, zones) > 1 else ''}"
    yield needed, f"{needed} {where}: what the peak needs, more are launched"
    yield needed + 1, f"{needed + 1} in {min(needed + 1, zones)} zones: one to spare"
    if zones > 1:
        found = min((z * math.ceil(needed / (z - 1)), z) for z in range(2, zones + 1))
        count = max(found[0], needed + 1)
        yield count, f"{count} in {min(count, zones)} zones: the peak is carried without any one zone"


def _needed(facts: Facts, component: Component, declared: Agent | Service) -> int:
    """How many carry the peak in one region: from load and capacity, else as the file says, else one."""
    demand = facts.demands.get(component.name)
    if component.capacity is not None and demand is not None:
        part = max(part_of(facts.system, site.region) for site in component.sites)
        return max(1, math.ceil(demand.rate * part / component.capacity.value - 1e-9))
    return declared.redundancy.needed if declared.redundancy is not None else 1


def _redundancy(section: str, key: str, placed: Redundancy) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        every = dict(getattr(blueprint, section))
        every[key] = msgspec.structs.replace(every[key], redundancy=placed)
        return msgspec.structs.replace(blueprint, **{section: every})

    return change


def _key(blueprint: Blueprint, section: str, name: str) -> str:
    """The key in the file of a component: its name, or the end of its path where two have the same."""
    return name if name in getattr(blueprint, section) else name.partition(".")[2]


def standbys(blueprint: Blueprint, facts: Facts, name: str, key: str, declared: Stored) -> Choice | None:
    """How many copies of a store that runs on machines; None where the provider spreads it over zones by itself."""
    aws = (declared.aws or "").lower()
    if technology(aws).regional or not facts.graph.component(name).sites:
        return None
    kept = declared.data in ("critical", "eventual", None) and facts.graph.component(name).kind != "cache"
    limits = (*limits_of(facts, name, _kinds, data=kept), *downtime_of(facts, name))
    rungs: list[Rung] = []
    for service, copies, text in _copies(aws):
        change = _standbys(key, service or None, copies)
        rungs.append(Rung(text, given(alone(change(blueprint), "stores", key), limits), change))
    return choose("database redundancy" if getattr(declared, "kind", "") == "sql" else "replicas", name, rungs, limits)


def _copies(aws: str) -> tuple[tuple[str, int, str], ...]:
    if aws.startswith("rds"):
        return (
            ("rds", 0, "a single instance"),
            ("rds", 1, "Multi-AZ instance: a synchronous standby"),
            ("rds_cluster", 2, "Multi-AZ cluster: two readable standbys"),
        )
    if aws.startswith(("aurora", "neptune", "documentdb")):
        return (aws, 0, "a writer alone"), (aws, 1, "a writer and a reader in another zone")
    return (aws, 0, "one copy"), (aws, 1, "a replica in another zone")


def _standbys(key: str, aws: str | None, copies: int) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        return with_store(blueprint, key, aws=aws, standbys=copies, replicas=copies, zones=None, redundancy=None)

    return change


def alone(blueprint: Blueprint, section: str, key: str) -> System:
    """A system with nothing in it but that component, as the only one that a class of work needs."""
    named = getattr(blueprint, section)
    if section == "stores":
        only = Stores(journal=named.journal, more={key: named.more[key]} if key in named.more else {})
    else:
        only = {key: named[key]}
    nothing = {
        "agents": {"worker": Agent()}, "services": {}, "models": {}, "stores": Stores(), "queues": {}, "external": {},
        "training": {}, "objectives": {}, "load": {}, "alarms": {}, "escalation": {}, "drills": Drills(),
        "deploy": Deploy(),
    }  # fmt: skip
    backup = {key: blueprint.backup[key]} if section == "stores" and key in blueprint.backup else {}
    bare = msgspec.structs.replace(blueprint, **{**nothing, "backup": backup, section: only})
    whole = describe(bare)
    name = key if key in whole.components else f"{section}.{key}"
    component = msgspec.structs.replace(whole.components[name], classes=(_work,), survive={})
    return msgspec.structs.replace(whole, components={name: component}, edges=())


def given(system: System, limits: tuple[Limit, ...]) -> tuple[Estimated, ...]:
    """What the one component of a system gives, for each limit: as `recovery.py` computes it."""
    graph = Graph(system)
    return tuple(_worst(graph, limit) for limit in limits)


def _worst(graph: Graph, limit: Limit) -> Estimated:
    """The worst that such a disruption does to a class of work that needs nothing else."""
    if limit.kind is None:
        return _downtime(graph)
    home = graph.system.home()
    subjects = list(graph.system.components)
    if limit.kind in ("zone", "region") and home is not None:
        subjects = list(home.zones) if limit.kind == "zone" else [home.name]
    worst = Estimated(0.0)
    for subject in subjects:
        disruption = Disruption(limit.kind, subject)
        found = recovery(graph, _work, disruption)
        seconds, lines = (found.rto_s, found.rto_lines) if limit.measure == "rto" else (found.rpo_s, found.rpo_lines)
        for hit in hits(graph, disruption):
            # what is left does not carry the peak: it goes on, but not as promised
            if limit.measure == "rto" and hit.state == State.DEGRADED and (hit.until_s or 0.0) > seconds:
                seconds, lines = hit.until_s or 0.0, hit.lines
        if seconds > worst.seconds or not worst.lines:
            worst = Estimated(seconds, lines)
    return worst


def _downtime(graph: Graph) -> Estimated:
    """Of a month, in its home region, which is taken to be there: other regions are another decision."""
    system, home = graph.system, graph.system.home()
    stays = Figure(1.0, "default", "the region itself is not counted here")
    regions = () if home is None else (home,)
    found = availability(Graph(msgspec.structs.replace(system, regions=regions, region_availability=stays)), _work)
    return Estimated((1 - found.share) * month_s, found.lines)
