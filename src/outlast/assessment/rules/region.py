"""Regions: how traffic moves, who decides, and what two regions do to the same data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.assessment.arithmetic import duration_line, time_text
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.hit import lead_to_shift
from outlast.assessment.rule import Rule, Weakness, about, change

person_s = 1800.0
"""A promise shorter than this leaves no time to ask a person: half an hour."""
observers_min = 3
_records = re.compile(r"dns|record|route_?53", re.IGNORECASE)


def _several(facts: Facts) -> bool:
    return facts.system.strategy != "single_region"


def _weight(facts: Facts) -> float:
    """Of the most important class that promises to survive a region."""
    works = [work for work, one in facts.system.objectives.items() if "region" in one.survive]
    return max((facts.graph.weight(work) for work in works), default=0.0)


def _changes_records(facts: Facts) -> Iterator[Weakness]:
    mechanism = facts.system.routing is not None and facts.system.routing.mechanism == "records"
    acting = [alarm for alarm in facts.system.alarms if _records.search(alarm.do)]
    for alarm in acting:
        fix = Fix(
            text="let the state of health checks move the traffic: records stay as they are (ARC, or failover records)",
            edits=(change(alarm.place, "do", "reroute"),),
            buys="the failover works while the control plane of DNS does not",
            costs="health checks, or routing controls",
        )
        reason = f"{alarm.name} fails over by changing DNS records: a control plane in one region of the provider"
        yield Weakness(subject=alarm.name, radius=max(0.9, _weight(facts)), reason=reason, fix=fix, place=alarm.place)
    if mechanism and not acting and facts.system.routing is not None:
        fix = Fix(
            text="let the state of health checks move the traffic: records stay as they are",
            edits=(change(facts.system.routing.place, "switch", "health_checks"),),
            buys="the failover works while the control plane of DNS does not",
            costs="health checks",
        )
        reason = "the edge fails over by changing DNS records: a control plane in one region of the provider"
        yield Weakness(
            subject="edge", radius=max(0.9, _weight(facts)), reason=reason, fix=fix, place=facts.system.routing.place
        )


def _tight(facts: Facts) -> Iterator[Weakness]:
    routing = facts.system.routing
    promised = facts.promised(facts.system.objectives, "region")
    if routing is None or promised is None or not _several(facts):
        return
    lead, lines, _ = lead_to_shift(facts.graph)
    moved = lead + routing.ttl_s.value
    if moved <= 0.9 * promised:
        return
    fix = Fix(
        text="look more often, and let clients keep answers for a shorter time",
        edits=(change(routing.place, "ttl", "20s"), change(routing.place, "probe.every", "10s")),
        buys="room for what must happen after the traffic has moved",
        costs="more health checks and DNS queries",
    )
    reason = f"finding out and moving the traffic take {time_text(moved)} of the {time_text(promised)} promised"
    shown = (*lines, duration_line("clients keep the old address", routing.ttl_s))
    yield Weakness(
        subject="edge", components=("edge",), radius=0.5 * _weight(facts), reason=reason, fix=fix, lines=shown,
        place=routing.place,
    )  # fmt: skip


def _one_observer(facts: Facts) -> Iterator[Weakness]:
    routing, failover = facts.system.routing, facts.system.failover
    if routing is None or failover is None or not failover.automatic or routing.observers >= observers_min:
        return
    fix = Fix(
        text="let three places outside of the regions look, and a majority decide",
        edits=(change(routing.place, "probe.observers", 3),),
        buys="one broken observer, or its broken network, does not move the traffic",
        costs="two more observers",
    )
    reason = f"{routing.observers} observer{'s decide' if routing.observers > 1 else ' decides'} that a region is gone"
    yield Weakness(subject="edge", radius=0.9 * _weight(facts), reason=reason, fix=fix, place=routing.place)


def _asks_a_person(facts: Facts) -> Iterator[Weakness]:
    failover = facts.system.failover
    promised = facts.promised(facts.system.objectives, "region")
    if failover is None or failover.automatic or promised is None or promised >= person_s or not _several(facts):
        return
    fix = Fix(
        text="let it happen by itself when observers agree and little enough would be lost",
        edits=(change(failover.place, "mode", "automatic"), change(failover.place, "max_lag", "5s")),
        buys=f"rto region {time_text(promised)}",
        costs="trust in the observers: drill it",
    )
    reason = f"a person is asked, and {time_text(promised)} is promised: nobody wakes up and decides in that time"
    yield Weakness(subject="failover", radius=0.95 * _weight(facts), reason=reason, fix=fix, place=failover.place)


def _any_lag(facts: Facts) -> Iterator[Weakness]:
    failover = facts.system.failover
    if failover is None or not failover.automatic or failover.max_lag_s is not None:
        return
    trailing = [one for one in facts.components if one.across_regions.mode == "async" and one.data == "critical"]
    if not trailing:
        return
    lossless = facts.lossless(facts.system.objectives, "region")
    value = time_text(lossless) if lossless else "5s"
    fix = Fix(
        text="ask a person when more than so much would be lost",
        edits=(change(failover.place, "max_lag", value),),
        buys="a failover never loses more than was promised without being asked",
        costs="a failover that waits when replication is behind",
    )
    reason = f"the failover happens by itself however far {trailing[0].name} is behind"
    yield Weakness(
        subject="failover", components=(trailing[0].name,), radius=0.9 * _weight(facts), reason=reason, fix=fix,
        place=failover.place,
    )  # fmt: skip


def _no_way_back(facts: Facts) -> Iterator[Weakness]:
    failover = facts.system.failover
    if failover is None or failover.failback or not _several(facts):
        return
    fix = Fix(
        text="say how the home region serves again, and drill that too",
        edits=(Edit(("regions", "failback"), {"mode": "manual", "after_reconcile": True}),),
        buys="a way back that was walked before",
        costs="a drill",
    )
    reason = "nothing says how work comes back to the home region: the way back is a failover too"
    yield Weakness(subject="failback", radius=0.35 * _weight(facts), reason=reason, fix=fix, place=failover.place)


def _back_without_reconciling(facts: Facts) -> Iterator[Weakness]:
    failover = facts.system.failover
    if failover is None or failover.reconciled or not failover.failback or not _several(facts):
        return
    fix = Fix(
        text="settle what only the lost region had before it serves again",
        edits=(Edit(("regions", "failback", "after_reconcile"), True),),
        buys="nothing is overwritten, and nothing is done twice",
        costs="hours in the other region",
    )
    reason = "the home region serves again before what only it had is settled: two histories of the same data"
    yield Weakness(subject="failback", radius=0.9 * _weight(facts), reason=reason, fix=fix, place=failover.place)


def _last_writer_wins(facts: Facts) -> Iterator[Weakness]:
    if facts.system.strategy != "active_active":
        return
    serving = {region.name for region in facts.system.regions if not region.standby}
    for component in facts.components:
        places = [site for site in component.sites if site.region in serving]
        if component.kind == "journal" or component.data != "critical" or len(places) < 2:
            continue
        if component.across_regions.mode != "async" or component.kind not in ("table", "sql"):
            continue
        fix = Fix(
            text="make it strongly consistent across three regions, or give each record one region that writes it",
            edits=(change(component.place, "across_regions", "strong"),),
            buys="no write of one region undoes one of another",
            costs="writes that wait for another region; a third region",
        )
        reason = f"{len(places)} regions write {component.name}, copies follow later, and the last writer wins"
        yield about(component, 0.7 * max(facts.weight_of(component.name), 0.6), reason, fix)


def _no_edge(facts: Facts) -> Iterator[Weakness]:
    if not _several(facts) or facts.system.routing is not None or facts.system.strategy == "backup_restore":
        return
    entries = {facts.system.components[name].kind for names in facts.graph.entries.values() for name in names}
    if "edge" in entries or not _weight(facts):
        return
    fix = Fix(
        text="give clients one name that health checks move",
        edits=(Edit(("regions", "edge"), {"host": "service.example.com", "ttl": "20s"}),),
        buys="clients find the region that serves",
        costs="a hosted zone and health checks",
    )
    reason = "clients know the address of one region, and nothing takes them to another"
    place = facts.system.regions[0].place if facts.system.regions else None
    weakness = Weakness(subject="regions", radius=_weight(facts), reason=reason, fix=fix)
    yield (
        weakness
        if place is None
        else Weakness(subject="regions", radius=_weight(facts), reason=reason, fix=fix, place=place)
    )


def _strong_without_a_third(facts: Facts) -> Iterator[Weakness]:
    if not _several(facts):
        return
    for component in facts.components:
        quorum, holders = component.across_regions.quorum, facts.system.holders(component)
        if len(holders) >= quorum:
            continue
        fix = Fix(
            text="name a third region, which may hold the copy only (journal_only)",
            edits=(Edit(("regions", "witness"), {"aws": "eu-north-1", "journal_only": True}),),
            buys="a majority that survives the loss of one region",
            costs="a third copy of the writes",
        )
        reason = f"{component.name} is to be strong, and {len(holders)} of the {quorum} regions that this needs hold it"
        yield about(component, 0.45 * max(facts.weight_of(component.name), 0.6), reason, fix)


RULES = (
    Rule(
        id="OL-REG-001",
        title="fails over by changing DNS records",
        why="Records are changed in the control plane, which is in one region. Health checks are data plane.",
        trigger="region",
        pillar="REL11-BP04",
        check=_changes_records,
    ),
    Rule(
        id="OL-REG-002",
        title="detection and DNS use up the recovery time",
        why="Probes, their number and the time to live of the answer come before everything else.",
        trigger="region",
        pillar="REL11-BP02",
        check=_tight,
    ),
    Rule(
        id="OL-REG-003",
        title="too few observers decide on a failover",
        why="One observer cannot tell a lost region from its own lost network.",
        trigger="region",
        pillar="REL11-BP01",
        check=_one_observer,
    ),
    Rule(
        id="OL-REG-004",
        title="a person must decide in less time than a person needs",
        why="Being woken, looking and deciding take a quarter of an hour on a good night.",
        trigger="region",
        pillar="REL13-BP05",
        check=_asks_a_person,
    ),
    Rule(
        id="OL-REG-005",
        title="an automatic failover that accepts any loss",
        why="Replication that has stopped unnoticed turns an automatic failover into a loss of hours.",
        trigger="region",
        pillar="REL13-BP05",
        lens="AGENTREL03",
        check=_any_lag,
    ),
    Rule(
        id="OL-REG-006",
        title="no way back",
        why="The failover that is never drilled is the one back home.",
        trigger="region",
        pillar="REL13-BP02",
        check=_no_way_back,
    ),
    Rule(
        id="OL-REG-007",
        title="back home before histories are reconciled",
        why="Both regions may have acknowledged work that the other does not know.",
        trigger="region",
        pillar="REL13-BP05",
        lens="AGENTREL03",
        check=_back_without_reconciling,
    ),
    Rule(
        id="OL-REG-008",
        title="two regions write, and the last writer wins",
        why="Default global tables resolve conflicts by time: an acknowledged write disappears without an error.",
        trigger="always",
        pillar="REL04-BP04",
        lens="AGENTREL03",
        check=_last_writer_wins,
    ),
    Rule(
        id="OL-REG-009",
        title="clients do not find the other region",
        why="A standby that nobody is led to is a cost.",
        trigger="region",
        pillar="REL02-BP01",
        check=_no_edge,
    ),
    Rule(
        id="OL-REG-010",
        title="strong consistency without a majority",
        why="Multi-region strong consistency needs three regions; with two, the loss of either stops all writes.",
        trigger="change",
        pillar="REL10-BP01",
        check=_strong_without_a_third,
    ),
)
