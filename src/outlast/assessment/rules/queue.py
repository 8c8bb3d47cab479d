"""Queues: work that is lost, repeated, or late while somebody is away."""

from __future__ import annotations

import math
from collections.abc import Iterator

from outlast.assessment.arithmetic import Line, time_text
from outlast.assessment.backlog import backlog
from outlast.assessment.component import Component
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.rule import Rule, Weakness, about, change

keep_min_s = 86400.0
"""A message should outlive a day: a night and a morning in which nobody looks."""
outage_s = 3600.0
"""The outage that a backlog is computed for: an hour."""


def _readers(facts: Facts, queue: Component) -> list[Edge]:
    return [edge for edge in facts.graph.needed_by[queue.name] if not edge.synchronous]


def _weight(facts: Facts, queue: Component) -> float:
    return facts.weight_of(queue.name)


def _no_dead_letters(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.queue is None or component.queue.dead_letters:
            continue
        fix = Fix(
            text="give up on a message after some tries, and keep it where somebody looks",
            edits=(change(component.place, "attempts", 5),),
            buys="one bad message no longer stops or burns its readers",
            costs="a queue more, and an alarm on it",
        )
        reason = f"a message of {component.name} that cannot be worked on is tried for as long as it is kept"
        yield about(component, 0.5 * _weight(facts, component), reason, fix)


def _too_visible(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.queue is None or component.queue.visibility_s is None:
            continue
        for edge in _readers(facts, component):
            reader = facts.system.components[edge.source]
            if reader.deadline_s is None or component.queue.visibility_s >= reader.deadline_s.value:
                continue
            wanted = time_text(math.ceil(reader.deadline_s.value * 1.5))
            fix = Fix(
                text=f"hide a taken message for longer than its work may take: {wanted}",
                edits=(change(component.place, "visibility", wanted),),
                buys="no message is worked on twice at the same time",
                costs="after a crash a message waits longer for its next try",
            )
            reason = (
                f"{reader.name} may work for {time_text(reader.deadline_s.value)} on a message that others see "
                f"again after {time_text(component.queue.visibility_s)}"
            )
            yield about(component, 0.4 * _weight(facts, component), reason, fix)


def _forgets(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.queue is None or component.queue.keep_s is None or component.queue.keep_s >= keep_min_s:
            continue
        fix = Fix(
            text="keep messages for longer than any outage of their readers",
            edits=(change(component.place, "keep", "14d"),),
            buys="an outage delays work and loses none",
            costs="storage of what waits",
        )
        reason = f"{component.name} drops what nobody has read for {time_text(component.queue.keep_s)}"
        yield about(component, 0.7 * _weight(facts, component), reason, fix)


def _drains_too_slowly(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind not in ("queue", "stream"):
            continue
        for edge in _readers(facts, component):
            reader = facts.system.components[edge.source]
            load = next((facts.system.load[work] for work in reader.classes if work in facts.system.load), None)
            site = next((site for site in reader.sites if not site.standby), None)
            if reader.capacity is None or load is None or site is None:
                continue
            carried = reader.capacity.value * max(site.instances, reader.instances_max or 0)
            arriving = load.steady or load.peak
            found = backlog(arriving, carried, outage_s)
            promised = (
                facts.promised(reader.classes, "dependency") or facts.promised(reader.classes, "zone") or outage_s
            )
            if found.drain_s <= max(promised, outage_s):
                continue
            drains = time_text(found.drain_s) if found.drain_s < math.inf else "never"
            key = "workers.max" if reader.kind == "agent" else "redundancy.instances"
            wanted = math.ceil(2 * arriving / reader.capacity.value)
            fix = Fix(
                text=f"let {reader.name} grow to twice what arrives: {wanted} instances",
                edits=(change(reader.place, key, wanted),),
                buys="an hour's backlog is gone in an hour",
                costs="instances while there is a backlog",
            )
            lines = (*found.lines, Line("until it is late", time_text(max(promised, outage_s)), "default"))
            reason = f"after an hour without {reader.name}, {found.messages:.0f} messages wait; they drain in {drains}"
            yield about(component, 0.5 * _weight(facts, component), reason, fix, lines)


RULES = (
    Rule(
        id="OL-QUE-001",
        title="a queue without dead letters",
        why="A message that kills its reader comes back and kills the next one.",
        trigger="process",
        pillar="REL05-BP04",
        lens="AGENTREL01",
        check=_no_dead_letters,
    ),
    Rule(
        id="OL-QUE-002",
        title="a message is seen again while it is worked on",
        why="When a message becomes visible before its work ends, a second reader does the same work.",
        trigger="process",
        pillar="REL04-BP04",
        check=_too_visible,
    ),
    Rule(
        id="OL-QUE-003",
        title="a queue that forgets before its readers are back",
        why="A queue protects for as long as it keeps.",
        trigger="dependency",
        pillar="REL05-BP04",
        check=_forgets,
    ),
    Rule(
        id="OL-QUE-004",
        title="a backlog that does not drain in time",
        why="After an outage the backlog drains with what readers have to spare; with nothing to spare it never does.",
        trigger="zone",
        pillar="REL07-BP03",
        check=_drains_too_slowly,
    ),
)
