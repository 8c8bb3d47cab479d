"""Blueprint -> System: what the file says, what is known of the technologies it names, and where each of it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from outlast.assessment.acceptance import Acceptance
from outlast.assessment.component import Component
from outlast.assessment.dependency import edges, first_edges
from outlast.assessment.described import Described
from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.figure import Figure
from outlast.assessment.objective import Load, Objective
from outlast.assessment.part import parts, survive
from outlast.assessment.precaution import Alarm, Backup, Deployment, Drill, Evidence
from outlast.assessment.region import Failover, Mechanism, Routing, Strategy
from outlast.assessment.seen import Seen
from outlast.assessment.system import System
from outlast.assessment.technology import technology
from outlast.blueprint import alarm as declared_alarm
from outlast.blueprint.reader import Spot
from outlast.blueprint.schema import Blueprint

_DAYS: dict[str, float] = {"daily": 1, "weekly": 7, "monthly": 30, "quarterly": 91, "yearly": 365}
_day_s = 86400.0
_MECHANISMS: dict[str, Mechanism] = {
    "health_checks": "health_check",
    "routing_controls": "arc",
    "records": "records",
}
_DRILLS: tuple[tuple[str, DisruptionKind], ...] = (
    (r"region", "region"),
    (r"zone", "zone"),
    (r"replication", "region"),
    (r"node|machine|instance", "node"),
    (r"worker|process|crash|freeze", "process"),
    (r"restore|poison|corrupt", "corruption"),
    (r"failover", "node"),
    (r"gray|slow|off|away|down|lost|dependency", "dependency"),
)
"""What a drill proves, by a word in its name."""


def describe(
    blueprint: Blueprint,
    places: Mapping[str, Spot] | None = None,
    file: str = "outlast.yaml",
    evidence: tuple[Evidence, ...] = (),
    observed: tuple[Seen, ...] = (),
) -> System:
    """The system of a blueprint; `places` as `blueprint.load.parse_placed` gives them."""
    described = Described(blueprint, places or {})
    components = {component.name: component for component in parts(described)}
    found = list(edges(described))
    regions = blueprint.regions
    if regions is not None and regions.edge is not None:
        name = "edge" if "edge" not in components else "regions.edge"
        known = technology("route53")
        place = described.place("regions.edge")
        components[name] = Component(
            name=name, kind="edge", technology="dns", availability=known.availability, place=place
        )
        found.extend(first_edges(components, found, name, described))
    return System(
        name=blueprint.name,
        file=file,
        components=components,
        edges=tuple(found),
        regions=tuple(described.regions.values()),
        strategy=_strategy(blueprint),
        residency=(regions.residency or "") if regions is not None else "",
        routing=_routing(described),
        failover=_failover(described),
        objectives=_objectives(described),
        load=_load(described),
        backups=_backups(described),
        alarms=tuple(_alarm(described, name, one) for name, one in blueprint.alarms.items()),
        escalations=tuple(blueprint.escalation),
        drills=_drills(described, components),
        drill_stops=bool(blueprint.drills.stop_if.errors),
        evidence=evidence,
        observed=observed,
        deployment=_deployment(described),
        acceptances=tuple(_acceptances(described)),
    )


def _strategy(blueprint: Blueprint) -> Strategy:
    if blueprint.regions is None or len(blueprint.regions.all()) < 2:
        return "single_region"
    return blueprint.regions.strategy


def _routing(described: Described) -> Routing | None:
    regions = described.blueprint.regions
    if regions is None or regions.edge is None:
        return None
    edge, here = regions.edge, "regions.edge"
    source = "declared" if described.said(f"{here}.ttl") else "default"
    probe = "declared" if described.said(f"{here}.probe.every") else "default"
    return Routing(
        host=edge.host,
        ttl_s=Figure(edge.ttl, source, f"{here}.ttl"),
        probe_every_s=Figure(edge.probe.every, probe, f"{here}.probe"),
        probe_failures=edge.probe.fail_after,
        observers=edge.probe.observers,
        mechanism=_MECHANISMS[edge.switch],
        place=described.place(here),
    )


def _failover(described: Described) -> Failover | None:
    regions = described.blueprint.regions
    if regions is None or len(regions.all()) < 2:
        return None
    failover, here = regions.failover, "regions.failover"
    source = "declared" if described.said(f"{here}.takes") else "default"
    return Failover(
        automatic=failover.mode == "automatic",
        when=failover.when,
        max_lag_s=failover.max_lag,
        takes_s=Figure(failover.takes, source, f"{here}.takes"),
        failback=regions.failback.mode if described.said("regions.failback") else "",
        reconciled=regions.failback.after_reconcile,
        place=described.place(here),
    )


def _objectives(described: Described) -> dict[str, Objective]:
    found: dict[str, Objective] = {}
    for rank, (name, said) in enumerate(described.blueprint.objectives.items()):
        here = f"objectives.{name}"
        latency = {key: getattr(said.latency, key) for key in said.latency.__struct_fields__}
        found[name] = Objective(
            name=name,
            availability=said.availability,
            window_s=said.over,
            latency_s={key: value for key, value in latency.items() if value is not None},
            survive=survive(described, f"{here}.survive", said.survive),
            rank=rank,
            place=described.place(here),
        )
    return found


def _load(described: Described) -> dict[str, Load]:
    return {
        name: Load(
            name=name,
            steady=said.steady,
            peak=said.steady if said.peak is None else said.peak,
            turns_per_session=said.turns_per_session,
            model_calls_per_turn=said.model_calls_per_turn,
            place=described.place(f"load.{name}"),
        )
        for name, said in described.blueprint.load.items()
    }


def _backups(described: Described) -> dict[str, Backup]:
    found: dict[str, Backup] = {}
    for key, said in described.blueprint.backup.items():
        name = described.named(f"stores.{key}") or key
        here = f"backup.{key}"
        takes = Figure(3600.0, "default", "an assumption: an hour; declare restore_takes, or drill it")
        found[name] = Backup(
            component=name,
            point_in_time_s=said.point_in_time,
            full_every_s=said.full_every,
            versions_s=said.versions,
            copies=said.copies,
            region_copies=tuple(described.regions[copy].name for copy in said.copies if copy in described.regions),
            lock_s=said.lock,
            test_every_s=_DAYS[said.test_restore] * _day_s if said.test_restore is not None else None,
            restore_s=described.figure(said.restore_takes, f"{here}.restore_takes", takes),
            place=described.place(here),
        )
    return found


def _alarm(described: Described, name: str, said: declared_alarm.Alarm) -> Alarm:
    watches: tuple[str, ...] = ()
    after = said.lasting or 0.0
    if said.slo is not None:
        work, _, promise = said.slo.partition(".")
        watches = (work,)
        objective = described.blueprint.objectives.get(work)
        if said.burn_rate and objective is not None and promise == "availability" and objective.availability:
            # while nothing is answered, the budget of the window burns 1 / (1 - objective) times as fast
            after = round(min(rate.times * (1 - objective.availability) * rate.over for rate in said.burn_rate), 1)
    return Alarm(
        name=name,
        metric=said.metric or (f"slo:{said.slo}" if said.slo is not None else ""),
        watches=watches,
        of=tuple(described.named(one) or one for one in said.of),
        parts=(*said.all, *said.any),
        above=said.above.value if said.above is not None else None,
        after_s=after,
        page=said.page or "",
        do=said.do or "",
        place=described.place(f"alarms.{name}"),
    )


def _drills(described: Described, components: Mapping[str, Component]) -> tuple[Drill, ...]:
    found: list[Drill] = []
    for often in ("daily", "weekly", "monthly", "quarterly"):
        for index, name in enumerate(getattr(described.blueprint.drills, often)):
            kind: DisruptionKind | None = next((proof for word, proof in _DRILLS if re.search(word, name)), None)
            subject = next((part for part in components if name.startswith(f"{part}-")), "")
            place = described.place(f"drills.{often}[{index}]")
            found.append(Drill(name=name, proves=kind, subject=subject, every_s=_DAYS[often] * _day_s, place=place))
    return tuple(found)


def _acceptances(described: Described) -> Iterator[Acceptance]:
    for index, said in enumerate(described.blueprint.accept):
        yield Acceptance(
            rule=said.rule,
            component=said.component or "",
            subject=said.subject or "",
            reason=said.reason,
            until=said.until,
            place=described.place(f"accept[{index}]"),
        )


def _deployment(described: Described) -> Deployment | None:
    if not described.said("deploy"):
        return None
    said = described.blueprint.deploy
    return Deployment(
        order=said.order,
        first=str(said.first) if said.first is not None else "",
        bake_s=said.bake or 0.0,
        roll_back_on=said.roll_back_on,
        place=described.place("deploy"),
    )
