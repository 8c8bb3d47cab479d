"""Alarms: what nobody would notice, and what nobody is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.assessment.arithmetic import share_text, time_text
from outlast.assessment.component import Component
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.hit import lead_to_shift
from outlast.assessment.precaution import Alarm
from outlast.assessment.rule import Rule, Weakness, about, change

_waiting = frozenset(("queue", "backlog", "age", "depth", "waiting", "dead"))
_behind = frozenset(("lag", "lagging", "replica", "replication"))
_word = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
"""A word of a metric's name, however its words are put together: ``queue_age``, ``QueueAge``."""


def _words(metric: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _word.findall(metric))


def _watches(alarm: Alarm, name: str, several: bool) -> bool:
    """Whether it is about that component: it says so, or there is no other with such a metric."""
    if alarm.of:
        return name in alarm.of
    return not several or alarm.metric.startswith(f"{name}.") or _words(name) <= _words(alarm.metric)


def _followed(facts: Facts, words: frozenset[str], name: str, several: bool) -> bool:
    return any(_words(alarm.metric) & words and _watches(alarm, name, several) for alarm in facts.system.alarms)


def _unwatched(facts: Facts) -> Iterator[Weakness]:
    watched = {work for work in facts.system.objectives for alarm in facts.system.alarms
               if alarm.metric == f"slo:{work}.availability"}  # fmt: skip
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
    trailing = [
        one for one in facts.components if one.across_regions.mode == "async" and one.data in ("critical", "eventual")
    ]
    for component in trailing:
        lossless = _lossless(facts, component)
        if lossless is None or _followed(facts, _behind, component.name, len(trailing) > 1):
            continue
        above = time_text(max(1.0, 0.8 * lossless))
        value = {"metric": "replication_lag", "of": [component.name], "above": above, "for": "1m", **_page(facts)}
        fix = Fix(
            text="let an alarm follow the replication lag",
            edits=(Edit(("alarms", f"{component.name}_lagging"), value),),
            buys="the rpo is known to hold before it is needed",
            costs="an alarm",
        )
        reason = f"{component.name} may fall behind unseen, and what is behind is what a failover loses"
        yield about(component, 0.6 * facts.weight_of(component.name), reason, fix)


def _lossless(facts: Facts, component: Component) -> float | None:
    """What may be lost of it with a region: its own promise, else that of the classes that use it."""
    own = component.survive.get("region")
    return own.rpo_s if own is not None else facts.lossless(facts.graph.works_of[component.name], "region")


def _page(facts: Facts) -> dict[str, str]:
    return {"page": facts.system.escalations[0]} if facts.system.escalations else {}


def _queue_unwatched(facts: Facts) -> Iterator[Weakness]:
    queues = [one for one in facts.components if one.kind == "queue" and one.queue is not None]
    for component in queues:
        if _followed(facts, _waiting, component.name, len(queues) > 1):
            continue
        value = {"metric": "queue_age", "of": [component.name], "above": "15m", "for": "5m", **_page(facts)}
        fix = Fix(
            text="let an alarm follow the age of what waits longest",
            edits=(Edit(("alarms", f"{component.name}_waiting"), value),),
            buys="a reader that has stopped is noticed",
            costs="an alarm",
        )
        reason = f"nobody notices when what waits in {component.name} gets old: producers see no error"
        yield about(component, 0.3 * max(facts.weight_of(component.name), 0.4), reason, fix)


def _too_late(facts: Facts) -> Iterator[Weakness]:
    for work in facts.system.objectives:
        paging = [alarm for alarm in facts.system.alarms if alarm.page and work in alarm.watches]
        alarm = min(paging, key=lambda alarm: alarm.after_s, default=None)
        promised = min(_kept_by_people(facts, work), default=None)
        if alarm is None or promised is None or alarm.after_s <= promised:
            continue
        fix = Fix(
            text="add a faster burn rate",
            edits=(change(alarm.place, "burn_rate", ["14x over 1h", "6x over 6h"]),),
            buys="somebody looks before the promise is broken",
            costs="more false alarms",
        )
        reason = (
            f"{alarm.name}, the first to page, needs {time_text(alarm.after_s)} of a full outage; {work} is to be back "
            f"after {time_text(promised)}"
        )
        yield Weakness(
            subject=alarm.name, radius=0.25 * facts.graph.weight(work), reason=reason, fix=fix, place=alarm.place
        )


def _kept_by_people(facts: Facts, work: str) -> Iterator[float]:
    """The recovery times that nobody keeps unless somebody is told."""
    _, _, automatic = lead_to_shift(facts.graph)
    for promise in facts.promises:
        if promise.work != work or promise.measure != "rto":
            continue
        if promise.disruption == "region" and not automatic:
            yield promise.promised
        if promise.disruption == "dependency" and promise.estimated != 0:
            yield promise.promised


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
