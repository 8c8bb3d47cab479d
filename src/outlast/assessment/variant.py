"""The same blueprint with another answer to the loss of a region: what its stores, models and backups need for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlast.assessment.described import Described
from outlast.assessment.technology import technology
from outlast.blueprint.backup import Backup
from outlast.blueprint.component import Component as Declared
from outlast.blueprint.link import each_region
from outlast.blueprint.model import Model
from outlast.blueprint.region import Region, Regions, Strategy
from outlast.blueprint.schema import Blueprint, JournalStore, Stores
from outlast.blueprint.store import AcrossRegions, Store, Stored

standby = "standby"
_PARTNERS = {
    "eu-central-1": "eu-west-1", "eu-west-1": "eu-central-1", "eu-west-2": "eu-west-1", "eu-west-3": "eu-central-1",
    "eu-north-1": "eu-central-1", "us-east-1": "us-west-2", "us-west-2": "us-east-1", "us-east-2": "us-west-2",
    "ap-southeast-1": "ap-southeast-2", "ap-northeast-1": "ap-northeast-3", "ap-south-1": "ap-south-2",
}  # fmt: skip
"""A second region in the same geography, where the file names none."""
day_s = 86400.0


def partner(region: Region) -> str | None:
    """A region of AWS in the same geography."""
    return _PARTNERS.get(region.aws or "")


def with_strategy(blueprint: Blueprint, strategy: Strategy) -> Blueprint:
    """`blueprint` with that strategy, a second region if it has none, and whatever data must be there for it."""
    given = blueprint.regions or Regions(home=Region())
    others = {name: region for name, region in given.all().items() if name != "home" and not region.journal_only}
    if not others:
        others = {standby: Region(aws=partner(given.home))}
    running: float | None = {"pilot_light": 0.0, "backup_restore": 0.0}.get(strategy)
    if running is None and given.strategy in ("pilot_light", "backup_restore"):
        running = 1.0  # the file says how much runs while nothing is to run
    changed = {
        name: msgspec.structs.replace(
            region,
            share=region.share if strategy == given.strategy else None,
            running=region.running if running is None else running,
        )
        for name, region in others.items()
    }
    home = given.home if strategy == given.strategy else msgspec.structs.replace(given.home, share=None)
    more = {name: region for name, region in {**given.more, **changed}.items() if name != standby}
    regions = msgspec.structs.replace(
        given, home=home, standby=changed.get(standby, given.standby), more=more, strategy=strategy
    )
    result = msgspec.structs.replace(blueprint, regions=regions)
    first = next(iter(changed))
    if strategy == "backup_restore":
        for name in stores_of(result):
            result = with_store(result, name, across_regions=None)
        return with_backups(result, first)
    return with_models_everywhere(with_copies(result))


def kept(declared: Declared) -> bool:
    """Whether losing its data is losing something."""
    return isinstance(declared, Stored) and (declared.data or "critical") in ("critical", "eventual")


def stores_of(blueprint: Blueprint) -> Mapping[str, Stored]:
    """Every store by its name in the file, the journal only where something writes it."""
    known = Described(blueprint, {}).declared
    every: dict[str, Stored] = {"journal": blueprint.stores.journal, **blueprint.stores.more}
    return {name: store for name, store in every.items() if f"stores.{name}" in known}


def with_store(blueprint: Blueprint, name: str, **changes: object) -> Blueprint:
    """One store changed."""
    stores = blueprint.stores
    if name == "journal":
        journal: JournalStore = msgspec.structs.replace(stores.journal, **changes)
        return msgspec.structs.replace(blueprint, stores=msgspec.structs.replace(stores, journal=journal))
    changed: Store = msgspec.structs.replace(stores.more[name], **changes)
    more: Stores = msgspec.structs.replace(stores, more={**stores.more, name: changed})
    return msgspec.structs.replace(blueprint, stores=more)


def with_copies(blueprint: Blueprint) -> Blueprint:
    """Every store whose data counts has a copy in the other regions, by the means of its service."""
    for name, store in stores_of(blueprint).items():
        said = store.across_regions
        by_itself = technology((store.aws or "").lower()).regions.mode != "none"
        if kept(store) and (said is None or said.mode == "none") and not by_itself:
            blueprint = with_store(blueprint, name, across_regions=copy_of(store.aws or ""))
    return blueprint


def copy_of(aws: str) -> AcrossRegions:
    """A copy that follows, by the means of a service; S3 promises a time only as Replication Time Control."""
    return AcrossRegions(within=900.0) if aws.lower().startswith("s3") else AcrossRegions()


def with_backups(blueprint: Blueprint, region: str) -> Blueprint:
    """Every store that is not disposable has backups, and copies of them in another region."""
    backups = dict(blueprint.backup)
    for name, store in stores_of(blueprint).items():
        if store.data == "disposable":
            continue
        found = backups.get(name) or Backup(full_every=day_s)
        if region not in found.copies:
            found = msgspec.structs.replace(found, copies=(*found.copies, region))
        backups[name] = found
    return msgspec.structs.replace(blueprint, backup=backups)


def with_models_everywhere(blueprint: Blueprint) -> Blueprint:
    """Every region asks models in its own region, unless the file says which."""
    models: dict[str, Model] = {}
    for name, model in blueprint.models.items():
        endpoints = tuple(
            msgspec.structs.replace(endpoint, source=each_region)
            if endpoint.url is None and endpoint.region is None and endpoint.source is None
            else endpoint
            for endpoint in model.endpoints
        )
        fallback = model.fallback
        if fallback is not None and fallback.url is None and fallback.region is None and fallback.source is None:
            fallback = msgspec.structs.replace(fallback, source=each_region)
        models[name] = msgspec.structs.replace(model, endpoints=endpoints, fallback=fallback)
    return msgspec.structs.replace(blueprint, models=models)
