"""Alarms: what nobody would notice, and what nobody is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.assessment.arithmetic import share_text, time_text
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.rule import Rule, Weakness, about, change

_waiting = re.compile(r"queue|backlog|age|depth|waiting|dead", re.IGNORECASE)
_lag = re.compile(r"lag|replica", re.IGNORECASE)


def _unwatched(facts: Facts) -> Iterator[Weakness]:
    watched = {work for alarm in facts.system.alarms for work in alarm.watches}
    page = facts.system.escalations[0] if facts.system.escalations else None
    for work, objective in facts.system.objectives.items():
        if objective.availability is None or work in watched:
            continue
        value = {
            "slo": f"{work}.availability",
            "burn_rate": ["14x over 1h", "6x over 6h"],
            **({"page": page} if page else {}),
        }
        fix = Fix(
            text="let an alarm follow how fast its errors use up what the objective permits",
            edits=(Edit(("alarms", f"{work}_failing"), value),),
            buys="the first to know are not the clients",
            costs="an alarm",
        )
        reason = f"{work} promises {share_text(objective.availability)}, and no alarm follows that promise"
        yield Weakness(
            subject=work, radius=0.5 * facts.graph.weight(work), reason=reason, fix=fix, place=objective.place
        )


def _tells_nobody(facts: Facts) -> Iterator[Weakness]:
    parts = {part for alarm in facts.system.alarms for part in alarm.parts}
    for alarm in facts.system.alarms:
        if alarm.page or alarm.do or alarm.name in parts:
            continue
        page = facts.system.escalations[0] if facts.system.escalations else None
        fix = Fix(
            text="tell somebody, or let something happen",
            edits=(change(alarm.place, "page", page),) if page is not None else (),
            buys="an alarm that is heard",
            costs="being woken",
        )
        yield Weakness(
            subject=alarm.name,
            radius=0.2,
            reason=f"{alarm.name} pages nobody and does nothing",
            fix=fix,
            place=alarm.place,
        )


def _lag_unwatched(facts: Facts) -> Iterator[Weakness]:
    if any(_lag.search(alarm.metric) for alarm in facts.system.alarms):
        return
    trailing = [
        one for one in facts.components if one.across_regions.mode == "async" and one.data in ("critical", "eventual")
    ]
    lossless = facts.lossless(facts.system.objectives, "region")
    if not trailing or lossless is None:
        return
    above = time_text(max(1.0, 0.8 * lossless))
    fix = Fix(
        text="let an alarm follow the replication lag",
        edits=(
            Edit(("alarms", "lagging"), {"metric": "replication_lag", "above": above, "for": "1m", **_page(facts)}),
        ),
        buys="the rpo is known to hold before it is needed",
        costs="an alarm",
    )
    names = ", ".join(one.name for one in trailing[:3])
    reason = f"{names} may fall behind unseen, and what is behind is what a failover loses"
    yield Weakness(
        subject="replication_lag",
        components=tuple(one.name for one in trailing),
        radius=0.6 * max(facts.weight_of(one.name) for one in trailing),
        reason=reason,
        fix=fix,
        place=trailing[0].place,
    )


def _page(facts: Facts) -> dict[str, str]:
    return {"page": facts.system.escalations[0]} if facts.system.escalations else {}


def _queue_unwatched(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "queue" or component.queue is None:
            continue
        if any(_waiting.search(alarm.metric) or component.name in alarm.metric for alarm in facts.system.alarms):
            continue
        value = {"metric": "queue_age", "above": "15m", "for": "5m", **_page(facts)}
        fix = Fix(
            text="let an alarm follow the age of what waits longest",
            edits=(Edit(("alarms", f"{component.name}_waiting"), value),),
            buys="a reader that has stopped is noticed",
            costs="an alarm",
        )
        reason = f"nobody notices when what waits in {component.name} gets old: producers see no error"
        yield about(component, 0.3 * max(facts.weight_of(component.name), 0.4), reason, fix)


def _too_late(facts: Facts) -> Iterator[Weakness]:
    for alarm in facts.system.alarms:
        for work in alarm.watches:
            promised = facts.promised([work], "region") or facts.promised([work], "dependency")
            if promised is None or not alarm.page or alarm.after_s <= promised:
                continue
            fix = Fix(
                text="add a faster burn rate",
                edits=(change(alarm.place, "burn_rate", ["14x over 1h", "6x over 6h"]),),
                buys="somebody looks before the promise is broken",
                costs="more false alarms",
            )
            reason = (
                f"{alarm.name} needs {time_text(alarm.after_s)} of a full outage; {work} is to be back after "
                f"{time_text(promised)}"
            )
            yield Weakness(
                subject=alarm.name, radius=0.25 * facts.graph.weight(work), reason=reason, fix=fix, place=alarm.place
            )


RULES = (
    Rule(
        id="OL-OBS-001",
        title="a promise that no alarm follows",
        why="What is promised to clients is what must be watched; causes are for looking, not for waking people.",
        trigger="dependency",
        pillar="REL06-BP02",
        lens="AGENTREL07",
        check=_unwatched,
    ),
    Rule(
        id="OL-OBS-002",
        title="an alarm that nobody hears",
        why="An alarm is worth what happens next.",
        trigger="always",
        pillar="REL06-BP03",
        check=_tells_nobody,
    ),
    Rule(
        id="OL-OBS-003",
        title="replication that may fall behind unseen",
        why="The lag at the moment of the failure is the loss.",
        trigger="region",
        pillar="REL06-BP01",
        lens="AGENTREL03",
        check=_lag_unwatched,
    ),
    Rule(
        id="OL-OBS-004",
        title="a queue that nobody watches",
        why="A queue turns an outage into silence.",
        trigger="overload",
        pillar="REL06-BP01",
        lens="AGENTREL07",
        check=_queue_unwatched,
    ),
    Rule(
        id="OL-OBS-005",
        title="an alarm that comes after the promise is broken",
        why="Detection is part of the recovery time.",
        trigger="dependency",
        pillar="REL11-BP01",
        check=_too_late,
    ),
)
