"""Time-outs: calls that wait too long, or give up before those below them."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.arithmetic import Line, time_text
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.rule import Rule, Weakness, about, between, change
from outlast.assessment.timeout import inversions, longest_turn_s
from outlast.kernel.unit import duration_text


def _no_timeout(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        source, target = facts.system.components[edge.source], facts.target(edge)
        if not edge.synchronous or edge.timeout_s is not None or edge.any_of or not edge.place.path:
            continue
        if source.kind in ("model", "edge", "training") or target.kind in ("model", "journal", "network", "secret"):
            continue
        bounded = source.deadline_s is not None
        share = 0.25 if bounded or not edge.hard else 0.5
        until = f"its deadline of {time_text(source.deadline_s.value)}" if source.deadline_s else "somebody gives up"
        fix = Fix(
            text="bound the wait: a little more than the slowest good answer takes",
            edits=(change(edge.place, "timeout", _short_of(source.deadline_s.value if source.deadline_s else None)),),
            buys=f"a slow {target.name} is given up on in time to do something else",
            costs="a good answer that is slower is lost",
        )
        reason = f"{edge.source} waits for {target.name} until {until}"
        yield between(edge, share * facts.weight_of(edge.source), reason, fix)


def _short_of(deadline_s: float | None) -> str:
    """A time-out that leaves room for others within a deadline."""
    return "2s" if deadline_s is None or deadline_s >= 8 else time_text(max(0.1, round(deadline_s / 4, 1)))


def _inverted(facts: Facts) -> Iterator[Weakness]:
    for found in inversions(facts.graph):
        edge = found.edge
        each = max(0.05, round(0.8 * found.outer_s / (1 + edge.retries), 2))
        fix = Fix(
            text=f"let all attempts of {edge.source} -> {edge.target} end within {time_text(found.outer_s)}",
            edits=(change(edge.place, "timeout", time_text(each)),),
            buys="work stops when nobody waits for it any more, and retries are answered",
            costs=f"slower answers of {edge.target} are given up on",
        )
        reason = (
            f"{found.outer} gives up after {time_text(found.outer_s)}, while {edge.source} -> {edge.target} "
            f"goes on for up to {time_text(found.inner_s)}"
        )
        yield between(edge, 0.45 * facts.weight_of(edge.source), reason, fix, found.lines)
    yield from _function_goes_on(facts)


def _function_goes_on(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        target = facts.target(edge)
        if target.kind != "function" or target.deadline_s is None or edge.timeout_s is None or not edge.synchronous:
            continue
        if edge.timeout_s.source != "declared" or edge.timeout_s.value >= target.deadline_s.value:
            continue
        waits, works = time_text(edge.timeout_s.value), time_text(target.deadline_s.value)
        fix = Fix(
            text=f"let {target.name} end before {waits}, or let what takes longer go over a queue",
            edits=(change(target.place, "timeout", duration_text(max(1.0, edge.timeout_s.value - 1))),),
            buys="work stops when nobody waits for it any more, and its outcome is known",
            costs="requests that take longer fail, and say so",
        )
        reason = f"{edge.source} gives up after {waits}, while {target.name} may work for {works}"
        yield between(edge, 0.45 * facts.weight_of(edge.source), reason, fix)


def _longer_than_promised(facts: Facts) -> Iterator[Weakness]:
    for name, component in facts.system.components.items():
        seconds, lines = longest_turn_s(facts.graph, name)
        bounds = [("its deadline", component.deadline_s.value)] if component.deadline_s is not None else []
        for work in component.classes:
            objective = facts.system.objectives.get(work)
            p99 = objective.latency_s.get("turn_p99") if objective is not None else None
            if p99 is not None:
                bounds.append((f"turn_p99 of {work}", p99))
        what, bound = min(bounds, key=lambda item: item[1], default=("", 0.0))
        if not bounds or seconds <= bound or _alone(facts.graph.needs[name], bound):
            continue
        fix = Fix(
            text="shorten the time-outs, call side by side, or promise less",
            buys=f"{what} holds also when everything below is slow",
            costs="slow answers are given up on",
        )
        reason = f"one request of {name} may take {time_text(seconds)}, {what} is {time_text(bound)}"
        shown = (*lines, Line(what, time_text(bound), "declared"))
        yield about(component, 0.25 * facts.weight_of(name), reason, fix, shown)


def _alone(edges: list[Edge], bound: float) -> bool:
    """Whether a single call is too long already: that is an inversion."""
    return any(e.timeout_s is not None and e.timeout_s.value * (1 + e.retries) > bound for e in edges)


def _no_deadline(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "agent" or component.deadline_s is not None:
            continue
        fix = Fix(
            text="say when a run must end; every call below gets what is left of it",
            edits=(change(component.place, "deadline", "30s" if _live(facts, component.name) else "10m"),),
            buys="nothing works on for somebody who has gone",
            costs="a run that takes longer fails, and says so",
        )
        reason = f"a run of {component.name} may go on for ever"
        yield about(component, 0.2 * facts.weight_of(component.name), reason, fix)


def _live(facts: Facts, name: str) -> bool:
    return any(facts.graph.weight(work) == 1 for work in facts.graph.works_of[name])


RULES = (
    Rule(
        id="OL-TIM-001",
        title="a call without a time-out",
        why="A dependency that is slow holds its callers, their workers and everybody behind them.",
        trigger="dependency",
        pillar="REL05-BP05",
        check=_no_timeout,
    ),
    Rule(
        id="OL-TIM-002",
        title="the caller gives up before the called does",
        why="An outer time-out that is shorter than an inner one leaves work that nobody waits for, and is often "
        "answered by a retry that doubles it.",
        trigger="dependency",
        pillar="REL05-BP05",
        check=_inverted,
    ),
    Rule(
        id="OL-TIM-003",
        title="calls that together take longer than promised",
        why="Time-outs of calls that follow one another add up.",
        trigger="dependency",
        pillar="REL05-BP05",
        lens="AGENTREL02",
        check=_longer_than_promised,
    ),
    Rule(
        id="OL-TIM-004",
        title="an agent without a deadline",
        why="One deadline, passed down, is what bounds everything that a run waits for.",
        trigger="dependency",
        pillar="REL05-BP05",
        lens="AGENTREL02",
        check=_no_deadline,
    ),
)
