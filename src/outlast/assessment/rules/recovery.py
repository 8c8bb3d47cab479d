"""Recovery objectives: promises that the design does not keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from outlast.assessment.arithmetic import time_text
from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.promise import Measure, Promise
from outlast.assessment.rule import Rule, Weakness, change


def _missed(measure: Measure, *kinds: DisruptionKind) -> Callable[[Facts], Iterable[Weakness]]:
    def check(facts: Facts) -> Iterator[Weakness]:
        for promise in facts.promises:
            if promise.measure == measure and promise.disruption in kinds and promise.status == "missed by design":
                yield _weakness(facts, promise)

    return check


def _weakness(facts: Facts, promise: Promise) -> Weakness:
    work, kind = promise.work, promise.disruption
    assert kind is not None
    own = facts.system.components.get(work) if work not in facts.system.objectives else None
    weight = facts.radius(work) if own is not None else facts.graph.weight(work)
    found = "never" if promise.estimated is None else time_text(round(promise.estimated, 1))
    if promise.measure == "rpo" and promise.estimated is None:
        found = "all of it"
    wanted = time_text(promise.promised)
    cause = _cause(facts, promise)
    what = "may lose" if promise.measure == "rpo" else "is back" if promise.estimated is None else "is back after"
    reason = f"{work} {what} {found} when {promise.worst or kind} is hit; {wanted} is promised"
    text, edits = _fix(facts, promise, cause)
    fix = Fix(
        text=text,
        edits=edits,
        buys=f"{promise.measure} {kind} {wanted} of {work}",
        costs="see `outlast plan` and `outlast cost`",
    )
    return Weakness(
        subject=f"{work}.{kind}.{promise.measure}",
        components=(cause,) if cause else (),
        radius=weight,
        reason=reason,
        fix=fix,
        lines=promise.lines,
        place=promise.place,
    )


def _cause(facts: Facts, promise: Promise) -> str:
    """The component that takes longest, or loses most."""
    if promise.work in facts.system.components:
        return promise.work
    if promise.worst is None:
        return ""
    recovery = facts.recovery(promise.work, promise.worst)
    return recovery.cause if promise.measure == "rto" else recovery.loser


def _fix(facts: Facts, promise: Promise, cause: str) -> tuple[str, tuple[Edit, ...]]:
    component = facts.system.components.get(cause)
    place = component.place if component is not None else None
    store = place is not None and place.path[:1] == ("stores",)
    kind, system = promise.disruption, facts.system
    if kind == "region":
        if promise.measure == "rpo":
            edits = (change(place, "across_regions", "strong"),) if store and place is not None else ()
            return (
                f"let {cause or 'the store'} acknowledge only what another region has, or promise a larger rpo",
                edits,
            )
        if system.failover is not None and not system.failover.automatic and system.failover.place.path:
            return "let the failover happen by itself", (change(system.failover.place, "mode", "automatic"),)
        return f"shorten the longest line of the sum, {cause}: see its arithmetic", ()
    if kind == "corruption":
        if promise.measure == "rpo" and store and place is not None:
            return f"back up {cause} continuously", (Edit(("backup", *place.path[1:], "point_in_time"), "35d"),)
        return f"drill the restore of {cause}, declare how long it takes, and make it faster", ()
    if promise.measure == "rpo":
        edits = (change(place, "standbys", 1),) if store and place is not None else ()
        return f"let {cause} acknowledge only what a second place has", edits
    if store and place is not None:
        return f"let something stand by that takes over for {cause} faster", (change(place, "standbys", 2),)
    return f"shorten the recovery of {cause or 'the slowest part'}, or let callers do without it", ()


RULES = (
    Rule(
        id="OL-REC-001",
        title="back later than promised after a process or node is lost",
        why="Processes die every day. Detection plus takeover, or a restart, must fit into the promise.",
        trigger="process",
        pillar="REL11-BP03",
        lens="AGENTREL07",
        check=_missed("rto", "process", "node"),
    ),
    Rule(
        id="OL-REC-002",
        title="back later than promised after a zone is lost",
        why="The slowest takeover that the class cannot do without is the recovery time.",
        trigger="zone",
        pillar="REL13-BP02",
        check=_missed("rto", "zone"),
    ),
    Rule(
        id="OL-REC-003",
        title="back later than promised after a region is lost",
        why="Detection, decision, DNS and the slowest takeover add up.",
        trigger="region",
        pillar="REL13-BP02",
        check=_missed("rto", "region"),
    ),
    Rule(
        id="OL-REC-004",
        title="back later than promised after data is corrupted",
        why="Noticing, deciding and restoring add up. A restore that was never tried takes longer.",
        trigger="corruption",
        pillar="REL13-BP02",
        lens="AGENTREL03",
        check=_missed("rto", "corruption"),
    ),
    Rule(
        id="OL-REC-005",
        title="back later than promised when a dependency is away",
        why="What others mend is back when they have mended it, unless something stands in.",
        trigger="dependency",
        pillar="REL05-BP01",
        lens="AGENTREL08",
        check=_missed("rto", "dependency"),
    ),
    Rule(
        id="OL-REC-006",
        title="loses more than promised with a process, a node or a zone",
        why="What was acknowledged before a second place has it is lost with the first.",
        trigger="zone",
        pillar="REL13-BP01",
        lens="AGENTREL03",
        check=_missed("rpo", "process", "node", "zone", "dependency"),
    ),
    Rule(
        id="OL-REC-007",
        title="loses more than promised with a region",
        why="Asynchronous replication loses its lag.",
        trigger="region",
        pillar="REL13-BP02",
        lens="AGENTREL03",
        check=_missed("rpo", "region"),
    ),
    Rule(
        id="OL-REC-008",
        title="loses more than promised when data is corrupted",
        why="What is lost is what was written since the newest good backup.",
        trigger="corruption",
        pillar="REL09-BP03",
        lens="AGENTREL03",
        check=_missed("rpo", "corruption"),
    ),
)
