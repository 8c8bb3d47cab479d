"""What makes a lost region good: how many there are, the strategy, who decides, how each store's data comes there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from outlast.assessment.choice import Change, Choice, Estimated, Limit, Rung, choose
from outlast.assessment.component import holds_data
from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption
from outlast.assessment.facts import Facts
from outlast.assessment.redundancy import alone, given, limits_of
from outlast.assessment.technology import technology
from outlast.assessment.variant import copy_of, day_s, kept, with_store, with_strategy
from outlast.blueprint.link import vault
from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.region import Edge, Region, Regions, Strategy
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.store import AcrossRegions, Stored

E = TypeVar("E", bound=ModelEndpoint)

_quick_ttl_s = 20.0
_quick_probe_s = 10.0
_RUNGS: tuple[tuple[str, Strategy | None, bool, bool], ...] = (
    ("one region", None, False, False),
    ("backup and restore, a person decides", "backup_restore", False, False),
    ("pilot light, a person decides", "pilot_light", False, False),
    ("pilot light, automatic", "pilot_light", True, False),
    ("warm standby, all of it running, a person decides", "warm_standby", False, False),
    ("warm standby, all of it running, automatic", "warm_standby", True, False),
    ("warm standby, all of it running, automatic, probes every 10 s, names kept 20 s", "warm_standby", True, True),
    ("active/active", "active_active", True, False),
    ("active/active, probes every 10 s, names kept 20 s", "active_active", True, True),
)
"""Name, strategy, whether nobody is asked, whether it is noticed and followed quickly; the cheapest first."""
pilot_light = 2
"""The first of them that has data in the other region."""


def strategy(blueprint: Blueprint, facts: Facts, least: int) -> Choice:
    """The answer to the loss of a region; `least`: the first rung that may be chosen, for the sake of data."""
    limits = tuple(_limits(facts))
    rungs: list[Rung] = []
    several = facts.system.strategy == "active_active"
    for index, (name, how, automatic, quick) in enumerate(_RUNGS):
        if several and how == "warm_standby":
            continue  # regions that all serve need less each than one that must carry everything
        change = _answer(how, automatic, quick)
        rungs.append(Rung(name, tuple(_estimates(change(blueprint), limits, index)), change))
    found = choose("regions and strategy", "a lost region", rungs, limits)
    return found if found.index >= least else msgspec.structs.replace(found, index=least)


def _limits(facts: Facts) -> Iterator[Limit]:
    for name, objective in facts.system.objectives.items():
        target = objective.survive.get("region")
        if target is None:
            continue
        if target.rto_s is not None:
            yield Limit(name, "region", "rto", target.rto_s)
        if target.rpo_s is not None and any(
            holds_data(facts.graph.component(part)) for part in facts.graph.reach[name]
        ):
            yield Limit(name, "region", "rpo", target.rpo_s)


_kept_there = (math.inf, day_s)
"""What a region's loss costs in data with the first two rungs; with the others it is decided store by store."""


def _estimates(blueprint: Blueprint, limits: tuple[Limit, ...], index: int) -> Iterator[Estimated]:
    facts = Facts(describe(blueprint), now=0.0)
    home = facts.system.home()
    for limit in limits:
        if limit.measure == "rpo":
            yield Estimated(_kept_there[index]) if index < pilot_light else Estimated(0.0)
            continue
        if home is None or not facts.graph.entries.get(limit.owner):
            yield Estimated(0.0)
            continue
        found = facts.recovery(limit.owner, Disruption("region", home.name))
        yield Estimated(found.rto_s, found.rto_lines)


def _answer(how: Strategy | None, automatic: bool, quick: bool) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        if how is None:
            return _alone_at_home(blueprint)
        before = blueprint.regions or Regions(home=Region())
        if how in ("warm_standby", "active_active"):
            before = _whole(before)
        changed = with_strategy(msgspec.structs.replace(blueprint, regions=before), how)
        regions = changed.regions
        assert regions is not None
        mode = "automatic" if automatic else "manual"
        failover = msgspec.structs.replace(regions.failover, mode=mode)
        edge = regions.edge
        if edge is None and how != "backup_restore":
            edge = Edge(host=f"{blueprint.name}.example.com")
        if edge is not None and quick:
            probe = msgspec.structs.replace(edge.probe, every=min(edge.probe.every, _quick_probe_s))
            edge = msgspec.structs.replace(edge, ttl=min(edge.ttl, _quick_ttl_s), probe=probe)
        regions = msgspec.structs.replace(regions, failover=failover, edge=edge)
        return _without_copies(msgspec.structs.replace(changed, regions=regions), how)

    return change


def _whole(regions: Regions) -> Regions:
    """All that the work needs runs in every region: recovery launches nothing."""
    grown = {
        name: region if region.journal_only else msgspec.structs.replace(region, running=1.0)
        for name, region in regions.all().items()
    }
    home, standby = grown.pop("home"), grown.pop("standby", None)
    return msgspec.structs.replace(regions, home=home, standby=standby, more=grown)


def _without_copies(blueprint: Blueprint, how: Strategy) -> Blueprint:
    """Copies of backups lie in another region only where they are what it is restored from, or in the vault."""
    if how == "backup_restore":
        return blueprint
    backups = {
        name: msgspec.structs.replace(backup, copies=tuple(copy for copy in backup.copies if copy == vault))
        for name, backup in blueprint.backup.items()
    }
    return msgspec.structs.replace(blueprint, backup=backups)


def _alone_at_home(blueprint: Blueprint) -> Blueprint:
    """One region: what named another one runs at home."""
    before = blueprint.regions or Regions(home=Region())
    regions = Regions(
        home=msgspec.structs.replace(before.home, share=None), residency=before.residency, edge=before.edge
    )
    gone = set(before.all()) - {"home"} | {region.aws for region in before.all().values() if region is not before.home}
    changed = msgspec.structs.replace(blueprint, regions=regions)
    for section in ("agents", "services", "models", "queues", "external"):
        named = getattr(changed, section)
        kept_there = {
            name: msgspec.structs.replace(one, regions=tuple(region for region in one.regions if region not in gone))
            for name, one in named.items()
        }
        changed = msgspec.structs.replace(changed, **{section: kept_there})
    for name, store in {"journal": changed.stores.journal, **changed.stores.more}.items():
        where = tuple(region for region in store.regions if region not in gone)
        changed = with_store(changed, name, regions=where, across_regions=None)
    models = {name: _asked_at_home(model, gone) for name, model in changed.models.items()}
    return _without_copies(msgspec.structs.replace(changed, models=models), "pilot_light")


def _asked_at_home(model: Model, gone: set[str | None]) -> Model:
    endpoints = tuple(_at_home(endpoint, gone) for endpoint in model.endpoints)
    fallback = model.fallback if model.fallback is None else _at_home(model.fallback, gone)
    return msgspec.structs.replace(model, endpoints=endpoints, fallback=fallback)


def _at_home(endpoint: E, gone: set[str | None]) -> E:
    return msgspec.structs.replace(endpoint, source="home") if endpoint.source in gone else endpoint


class Elsewhere(msgspec.Struct, frozen=True):
    """The blueprint with another region, in the two ways in which data can be there."""

    restored: Blueprint
    """From backups."""
    running: Blueprint


def elsewhere(blueprint: Blueprint) -> Elsewhere:
    """Both of them."""
    return Elsewhere(
        _answer("backup_restore", False, False)(blueprint), _answer("warm_standby", True, False)(blueprint)
    )


def copies(there: Elsewhere, facts: Facts, name: str, key: str, declared: Stored) -> Choice | None:
    """How one store's data comes to the other regions; None where losing it is losing nothing."""
    if not kept(declared):
        return None
    limits = tuple(limit for limit in limits_of(facts, name, ("region",), data=True) if limit.measure == "rpo")
    aws = (declared.aws or "").lower()
    found = declared.across_regions if declared.across_regions and declared.across_regions.mode == "eventual" else None
    follows = None if technology(aws).regions.mode != "none" else found or copy_of(aws)
    restored, running = _daily(there.restored, key), there.running
    ways = [
        ("no copy but that of its backups, a day old at most", restored, _across(key, None)),
        ("a copy that follows", running, _across(key, follows)),
    ]
    if aws.startswith("dynamodb"):
        ways.append(("strong: acknowledged when another of three regions has it", running, _strong(key)))
    rungs = [Rung(text, given(alone(change(base), "stores", key), limits), change) for text, base, change in ways]
    return choose("data in other regions", name, rungs, limits)


def _daily(blueprint: Blueprint, key: str) -> Blueprint:
    """Its backups are whole copies: what restores to any instant does so in its own region only."""
    found = msgspec.structs.replace(blueprint.backup[key], point_in_time=None, versions=None, full_every=day_s)
    return msgspec.structs.replace(blueprint, backup={**blueprint.backup, key: found})


def _across(key: str, across: AcrossRegions | None) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        return with_store(blueprint, key, across_regions=across)

    return change


def _strong(key: str) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        changed = with_store(blueprint, key, across_regions=AcrossRegions(mode="strong"))
        regions = changed.regions
        if regions is None or len(regions.all()) > 2:
            return changed
        witness = Region(aws=_witness(regions), journal_only=True)
        regions = msgspec.structs.replace(regions, more={**regions.more, "witness": witness})
        return msgspec.structs.replace(changed, regions=regions)

    return change


def _witness(regions: Regions) -> str | None:
    used = {region.aws for region in regions.all().values()}
    for name in ("eu-north-1", "eu-west-1", "eu-central-1"):
        if (regions.home.aws or "").startswith("eu-") and name not in used:
            return name
    for name in ("us-east-2", "us-west-2", "us-east-1"):
        if (regions.home.aws or "").startswith("us-") and name not in used:
            return name
    return None
