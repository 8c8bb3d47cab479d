"""Parts of a blueprint as components: how many of it run where, what takes over, what is known of its technology."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from outlast.assessment.component import Component, Copies, Kind, QueueTerms, Site
from outlast.assessment.described import Described, here
from outlast.assessment.disruption import DisruptionKind, disruption_kinds
from outlast.assessment.endpoint import endpoints
from outlast.assessment.figure import Figure
from outlast.assessment.objective import Target
from outlast.assessment.region import Region
from outlast.assessment.technology import Technology, technology
from outlast.blueprint.agent import Agent
from outlast.blueprint.component import Component as Declared
from outlast.blueprint.model import Model
from outlast.blueprint.objective import Survive
from outlast.blueprint.queue import Queue
from outlast.blueprint.schema import JournalStore, default_pool
from outlast.blueprint.service import External, Service
from outlast.blueprint.store import Stored
from outlast.blueprint.training import Training

_STORE_KINDS: dict[str, Kind] = {
    "journal": "journal",
    "sql": "sql",
    "vector": "vector",
    "search": "vector",
    "cache": "cache",
    "blobs": "blobs",
    "files": "volume",
    "volume": "volume",
}
_SERVICE_KINDS: dict[str, Kind] = {
    "load_balancer": "balancer",
    "function": "function",
    "stream": "stream",
    "event_bus": "queue",
    "topic": "queue",
    "cdn": "edge",
    "dns": "edge",
    "gateway": "gateway",
    "network": "network",
    "nat": "network",
    "identity": "secret",
    "secret": "secret",
    "key": "secret",
    "log": "other",
    "metric": "other",
    "trace": "other",
}
"""Kinds of a service that are not `service`; kinds of a store that are not here are tables."""
_SERVICE_TECHNOLOGIES = {"function": "lambda", "load_balancer": "alb", "nat": "nat", "dns": "route53"}


def parts(described: Described) -> Iterator[Component]:
    """Every component of the blueprint, the endpoints of its models among them."""
    for path, declared in described.declared.items():
        yield _part(described, path, declared)
        if isinstance(declared, Model):
            yield from endpoints(described, path, declared)


def _part(described: Described, path: str, declared: Declared | Training) -> Component:
    if isinstance(declared, Training):
        return _training(described, path, declared)
    kind, known, name = _known(described, declared)
    cloud = name if getattr(declared, "aws", None) else ""
    common: dict[str, Any] = {
        "name": described.name_of[path],
        "kind": kind,
        "technology": name,
        "provider": "aws" if cloud or (isinstance(declared, Agent) and _on_aws(described)) else "",
        "classes": _classes(described, declared),
        "data": declared.data,
        "residency": declared.residency or "",
        "on_loss": declared.on_loss or "",
        "availability": described.figure(declared.availability, f"{path}.availability", known.availability),
        "repair_s": described.figure(declared.repair, f"{path}.repair", known.repair_s),
        "restart_s": known.restart_s,
        "relaunch_s": known.relaunch_s,
        "capacity": _declared(declared.capacity, f"{path}.capacity"),
        "quota": _declared(declared.quota, f"{path}.quota"),
        "quota_standby": _declared(declared.quota, f"{path}.quota"),
        "place": described.place(path),
        **_redundancy(described, path, declared, known),
    }
    if isinstance(declared, Agent):
        common |= _agent(described, path, declared)
    elif isinstance(declared, Stored):
        common |= _stored(described, path, declared, known)
    elif isinstance(declared, Queue):
        common["queue"] = _queue(described, path, declared)
    elif isinstance(declared, External):
        common["effect"] = {"once": "once", "repeatable": "idempotent", "read": "pure"}[declared.effect]
        if declared.quota is None and declared.rate is not None:
            common["quota"] = Figure(declared.rate, "declared", f"{path}.rate")
    elif isinstance(declared, Model):
        canary = declared.canary
        versions = canary.keep_versions if canary is not None else None
        common["settings"] = {"canary": canary is not None, "keep_versions": versions or 0}
    elif isinstance(declared, Service):
        if declared.kind == "machine" and declared.repair is not None:  # no group replaces it
            common["relaunch_s"] = Figure(declared.repair, "declared", f"{path}.repair")
        if declared.kind == "function" and declared.timeout is not None:
            common["deadline_s"] = Figure(declared.timeout, "declared", f"{path}.timeout")  # the platform ends it then
        common["settings"] = {
            "kind": declared.kind,
            "health_check": declared.health or "",
            **({"keep_s": declared.keep} if declared.keep else {}),
        }
    return Component(**common)


def _declared(value: float | None, path: str) -> Figure | None:
    return None if value is None else Figure(value, "declared", path)


def _on_aws(described: Described) -> bool:
    return described.blueprint.run_on.aws is not None or any(r.provider == "aws" for r in described.regions.values())


def _known(described: Described, declared: Declared) -> tuple[Kind, Technology, str]:
    """Its kind, what is known of its technology, and the name of that."""
    aws = str(getattr(declared, "aws", None) or "").lower()
    if isinstance(declared, Agent):
        engine = described.blueprint.run_on.aws
        return "agent", technology("worker"), engine.compute if engine is not None else "worker"
    if isinstance(declared, JournalStore):
        local = described.blueprint.run_on.local.journal
        return "journal", technology(aws, local), aws or local
    if isinstance(declared, Stored):
        kind = _STORE_KINDS.get(str(getattr(declared, "kind", "")), "table")
        return kind, technology(aws), aws
    if isinstance(declared, Queue):
        aws = aws or ("sqs" if declared.sqs else "")
        return "queue", technology(aws), aws
    if isinstance(declared, External):
        return "external", technology("external"), "external"
    if isinstance(declared, Model):
        return "model", Technology(outside=True, availability=Figure(1.0, "default", "a name, not a thing")), ""
    assert isinstance(declared, Service)
    implied = _SERVICE_TECHNOLOGIES.get(declared.kind, "")
    return _SERVICE_KINDS.get(declared.kind, "service"), technology(aws, implied), aws


def _classes(described: Described, declared: Declared) -> tuple[str, ...]:
    if not isinstance(declared, Agent | Service):
        return ()
    if declared.work_class is not None:
        return (declared.work_class,)
    known = tuple(described.blueprint.objectives)
    return known if isinstance(declared, Agent) and len(known) == 1 else ()


def _redundancy(described: Described, path: str, declared: Declared, known: Technology) -> dict[str, Any]:
    """Where it runs, how often, and how another zone takes over."""
    said = declared.redundancy
    if known.outside and said is None:  # a name, or somebody else's: in no zone of ours
        return {"sites": tuple(_site(region, (), 1, 1) for region in described.where(declared) if declared.regions)}
    regions = described.where(declared)
    if known.regional and said is None and _zones(declared) is None:
        return {"sites": tuple(_site(region, (), 1, 1) for region in regions)}
    instances = _instances(described, declared, known)
    needed = said.needed if said is not None else 1
    standby = said is not None and said.mode == "standby"
    sites: list[Site] = []
    for region in regions:
        wanted = said.zones if said is not None and said.zones is not None else _zones(declared)
        count = min(wanted or len(region.zones), instances, len(region.zones)) or 1
        sites.append(_site(region, region.zones[:count], instances, needed))
    result: dict[str, Any] = {"sites": tuple(sites), "instances_max": said.max if said is not None else None}
    led = isinstance(declared, Stored) or standby
    if led and instances > 1 and any(len(site.zones) > 1 for site in sites):
        result["across_zones"] = _takeover(described, path, declared, known)
    elif led and instances > 1:
        result["across_processes"] = _takeover(described, path, declared, known)
    elif known.within.mode != "none":
        result["across_processes"] = known.within
    return result


def _takeover(described: Described, path: str, declared: Declared, known: Technology) -> Copies:
    copies = known.takeover
    if copies.mode == "none":
        copies = Copies("sync", takeover_s=Figure(60.0, "default", "an assumption: a standby takes over in a minute"))
    said = declared.redundancy
    if said is not None and said.takeover is not None:
        declared_s = Figure(said.takeover, "declared", f"{path}.redundancy.takeover")
        copies = msgspec.structs.replace(copies, detect_s=Figure(0.0), takeover_s=declared_s)
    return copies


def _site(region: Region, zones: tuple[str, ...], instances: int, needed: int) -> Site:
    running = region.running if region.standby else 1.0
    return Site(region.name, zones, instances, min(needed, instances), region.standby, running)


def _zones(declared: Declared) -> int | None:
    if isinstance(declared, Stored):
        return declared.zones
    if isinstance(declared, Agent) and declared.workers is not None:
        return declared.workers.zones
    return None


def _instances(described: Described, declared: Declared, known: Technology) -> int:
    if declared.redundancy is not None:
        return declared.redundancy.instances
    if isinstance(declared, Agent):
        return (declared.workers or described.blueprint.workers).min
    if isinstance(declared, Stored):
        copies = declared.standbys if declared.standbys is not None else declared.replicas
        return 1 + (known.standbys if copies is None else copies)
    return 1


def _agent(described: Described, path: str, declared: Agent) -> dict[str, Any]:
    blueprint = described.blueprint
    workers = declared.workers or blueprint.workers
    takeover = Figure(blueprint.takeover_after, "declared" if described.said("takeover_after") else "default",
                      "takeover_after: no sign of life for so long; others are running")  # fmt: skip
    budget = declared.budget
    own = declared.workers is not None
    return {
        "cells": declared.cells,
        "instances_max": workers.max,
        "scale_on": ""
        if workers.scale_on is None
        else "backlog"
        if workers.scale_on.queue_age is None
        else "queue_age",
        "across_processes": Copies("sync", Figure(0.0), takeover, Figure(0.0)),
        "restart_s": Figure(1.0, "default", "the supervisor starts another process"),
        "deadline_s": _declared(declared.deadline, f"{path}.deadline"),
        "budget": tuple(key for key in ("steps", "tokens", "cost", "time") if budget and getattr(budget, key)),
        "shares": () if own else (f"worker pool {default_pool}",),
        "settings": {"pool": declared_pool(path) if own else default_pool},
    }


def declared_pool(path: str) -> str:
    """The worker pool of an agent with workers of its own: its name."""
    return path.partition(".")[2]


def _stored(described: Described, path: str, declared: Stored, known: Technology) -> dict[str, Any]:
    cloud = bool(declared.aws)
    settings: dict[str, str | float | bool] = {
        "encrypted": declared.encrypted,
        "delete_protection": declared.delete_protection,
        "storage": "instance" if known.ephemeral or not cloud else "provider",
    }
    if declared.lock is not None:
        settings["lock_s"] = declared.lock
    return {
        "across_regions": _across_regions(described, path, declared, known),
        "survive": _survive(described, f"{path}.survive", declared.survive),
        "rebuilt_from": (described.named(declared.source) or "") if declared.source else "",
        "rebuild_s": _declared(declared.rebuild, f"{path}.rebuild"),
        "ttl_s": declared.ttl,
        "settings": settings,
    }


def _across_regions(described: Described, path: str, declared: Stored, known: Technology) -> Copies:
    said = declared.across_regions
    if said is None:
        return known.regions if len(described.where(declared)) > 1 else Copies()
    if said.mode == "none":
        return Copies()
    here_ = f"{path}.across_regions"
    regions = described.blueprint.regions
    takes = Figure(regions.failover.takes, "declared" if described.said("regions.failover.takes") else "default",
                   "regions.failover.takes") if regions else Figure(0.0)  # fmt: skip
    known_takeover = known.regions.takeover_s if known.regions.mode != "none" else takes
    if said.mode == "strong":
        return Copies("sync", takeover_s=known_takeover, strong=True, quorum=known.quorum)
    lag = Figure(1.0, "default", "an assumption: copies are usually a second behind")
    if said.within is not None:
        lag = Figure(said.within, "declared", f"{here_}.within")
    elif regions is not None and regions.failover.max_lag is not None:
        # a bound makes no copy faster: it says up to which lag nobody is asked
        at_most = Figure(regions.failover.max_lag, "declared", "regions.failover.max_lag: beyond it a person is asked")
        lag = max(lag, at_most, key=lambda figure: figure.value)
    return Copies("async", lag_s=lag, takeover_s=known_takeover)


def _survive(described: Described, path: str, said: Survive | None) -> dict[DisruptionKind, Target]:
    found: dict[DisruptionKind, Target] = {}
    for kind in disruption_kinds:
        recovery = getattr(said, kind, None)
        if recovery is not None:
            found[kind] = Target(recovery.rto, recovery.rpo, described.place(f"{path}.{kind}"))
    return found


def survive(described: Described, path: str, said: Survive) -> dict[DisruptionKind, Target]:
    """The promises of a class of work, by disruption."""
    return _survive(described, path, said)


def _queue(described: Described, path: str, declared: Queue) -> QueueTerms:
    readers = [agent.reads for agent in described.blueprint.agents.values() if agent.reads is not None]
    own = [reads for reads in readers if described.named(f"queues.{reads.queue}") == described.name_of[path]]
    attempts = declared.attempts if declared.attempts is not None else own[0].attempts if own else None
    return QueueTerms(
        visibility_s=declared.visibility,
        keep_s=declared.keep,
        dead_letters=declared.dead_letters is not None or attempts is not None,
        attempts=attempts,
    )


def _training(described: Described, path: str, declared: Training) -> Component:
    known = technology("sagemaker")
    home = next(iter(described.regions.values()))
    settings: dict[str, str | float | bool] = {"spot": declared.spot, "class": declared.work_class or ""}
    if declared.checkpoint_every is not None:
        settings["checkpoint_every_s"] = declared.checkpoint_every
    if declared.every is not None:
        settings["every_s"] = declared.every
    settings["promoted"] = declared.promote_if is not None
    settings["serves"] = (described.named(f"models.{declared.serves}") or "") if declared.serves else ""
    return Component(
        name=described.name_of[path],
        kind="training",
        technology="sagemaker" if home.name != here else "worker",
        sites=(Site(home.name, home.zones[:1], declared.nodes, declared.nodes),),
        availability=known.availability,
        relaunch_s=known.relaunch_s,
        settings=settings,
        place=described.place(path),
    )
