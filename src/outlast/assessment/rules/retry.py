"""Retries: calls that multiply when something is slow, or repeat what must happen once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from outlast.assessment.amplification import attempts
from outlast.assessment.arithmetic import Line
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.rule import Rule, Weakness, between, change

attempts_max = 4.0
"""Calls that one request may become at the end of a path."""


def _amplified(facts: Facts) -> Iterator[Weakness]:
    seen: set[str] = set()
    for path in facts.paths:
        if path.attempts <= attempts_max or path.components[0] in seen:
            continue
        seen.add(path.components[0])
        edges = _along(facts, path.components)
        edits = tuple(
            change(edge.place, "retry.budget", "10%") for edge in edges if edge.retries and edge.retry_budget is None
        )
        lines = [Line(f"{e.source} -> {e.target}", f"x {attempts(e):g}", "declared") for e in edges if e.retries]
        fix = Fix(
            text="retry at one place of the path only, and on a budget",
            edits=edits,
            buys=f"at most {1.1 ** len(edits):.2f} calls instead of {path.attempts:g} while that fails",
            costs="a request that would have succeeded at the third try fails",
        )
        yield Weakness(
            subject=" -> ".join(path.components),
            components=path.components,
            radius=0.5 * facts.weight_of(path.components[0]),
            reason=f"while {path.components[-1]} fails, one request becomes {path.attempts:g} calls of it",
            fix=fix,
            lines=tuple(lines),
            place=edges[-1].place,
        )


def _along(facts: Facts, components: tuple[str, ...]) -> list[Edge]:
    """The edges of a path; of several between two components the one that tries most."""
    found: list[Edge] = []
    for source, target in itertools.pairwise(components):
        between_them = [edge for edge in facts.graph.needs[source] if edge.target == target]
        found.append(max(between_them, key=attempts))
    return found


def _no_backoff(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        if edge.retries == 0 or edge.backoff or edge.breaker:
            continue
        fix = Fix(
            text="wait between tries, longer each time, with jitter",
            edits=(change(edge.place, "retry.backoff", "200ms"),),
            buys=f"{edge.target} gets room to recover",
            costs="a retry comes later",
        )
        reason = f"{edge.source} tries {edge.target} {edge.retries + 1} times, and no wait between is said"
        yield between(edge, 0.25 * facts.weight_of(edge.source), reason, fix)


def _layers(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        if edge.retries == 0 or edge.retry_budget is not None:
            continue
        below = [other for other in facts.graph.needs[edge.target] if other.retries and other.synchronous]
        if not below or not edge.synchronous:
            continue
        fix = Fix(
            text="retry at one of the two layers only",
            edits=(change(edge.place, "retry.budget", "10%"),),
            buys="retries add instead of multiplying",
            costs="none while all is well",
        )
        reason = f"{edge.source} -> {edge.target} retries, and so does {edge.target} -> {below[0].target}"
        yield between(edge, 0.25 * facts.weight_of(edge.source), reason, fix)


def _twice(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        target = facts.target(edge)
        if edge.retries == 0 or target.effect != "once":
            continue
        fix = Fix(
            text="try once; after a lost answer let it be verified, or send a key that it recognizes and declare it "
            "repeatable",
            edits=(change(edge.place, "retry", 1),),
            buys="a lost answer is not paid for twice",
            costs="a person is asked when nothing can verify it",
        )
        reason = f"{edge.source} tries {target.name} {edge.retries + 1} times, whose effect must happen once"
        yield between(edge, 0.6 * facts.weight_of(edge.source), reason, fix)


RULES = (
    Rule(
        id="OL-RET-001",
        title="retries that multiply along a path",
        why="With two retries at each of three layers, one request is 27 calls of a service that is already failing.",
        trigger="overload",
        pillar="REL05-BP03",
        lens="AGENTREL02",
        check=_amplified,
    ),
    Rule(
        id="OL-RET-002",
        title="retries without a wait",
        why="Retries at once arrive together, in step, at what is overloaded.",
        trigger="overload",
        pillar="REL05-BP03",
        check=_no_backoff,
    ),
    Rule(
        id="OL-RET-003",
        title="retries at two layers",
        why="Each layer repeats what the layer below has already repeated.",
        trigger="overload",
        pillar="REL05-BP03",
        check=_layers,
    ),
    Rule(
        id="OL-RET-004",
        title="an effect that must happen once is retried",
        why="When an answer is lost nobody knows whether the effect happened. Trying again may do it twice.",
        trigger="dependency",
        pillar="REL04-BP04",
        lens="AGENTREL02",
        check=_twice,
    ),
)
