"""Time-outs along call paths: an outer one that is shorter than an inner one gives up while the work still goes on.

What a caller must wait for is all attempts of the call below: time-out x (1 + retries). Calls of one component are
taken as made one after the other (AWS Well-Architected, REL05-BP05 "Set client timeouts").
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from outlast.assessment.arithmetic import Line, time_text
from outlast.assessment.edge import Edge
from outlast.assessment.graph import Graph
from outlast.assessment.spread import patience_s


class Inversion(msgspec.Struct, frozen=True):
    """A caller that gives up before what it called does."""

    outer: str
    """The edge or the component whose time-out is too short: ``a -> b`` or ``a``."""
    edge: Edge
    """The inner call."""
    outer_s: float
    inner_s: float
    lines: tuple[Line, ...]


def inversions(graph: Graph) -> Iterator[Inversion]:
    """Every pair of neighbouring time-outs where the outer one is shorter."""
    for name, component in graph.system.components.items():
        for inner in graph.needs[name]:
            longest = patience_s(inner)
            if longest == 0.0:
                continue
            if component.deadline_s is not None and component.deadline_s.value < longest:
                yield _inversion(name, component.deadline_s.value, inner, longest)
            for outer in graph.needed_by[name]:
                if outer.synchronous and outer.timeout_s is not None and outer.timeout_s.value < longest:
                    yield _inversion(f"{outer.source} -> {name}", outer.timeout_s.value, inner, longest)


def _inversion(outer: str, outer_s: float, inner: Edge, inner_s: float) -> Inversion:
    once = inner.timeout_s.value if inner.timeout_s is not None else 0.0
    tries = f"{1 + inner.retries} x {time_text(once)}" if inner.retries else "one attempt"
    lines = (
        Line(f"{outer} waits", time_text(outer_s), "declared"),
        Line(f"{inner.source} -> {inner.target} may take, {tries}", time_text(inner_s), "declared"),
    )
    return Inversion(outer, inner, outer_s, inner_s, lines)


def longest_turn_s(graph: Graph, name: str, work: str = "") -> tuple[float, tuple[Line, ...]]:
    """Seconds that one request at `name` may take when every call below uses all of its time, and the sum.

    `work`: of that class, where what stands before several leads each to its own.
    """
    lines: list[Line] = []
    total = 0.0
    alternatives: dict[str, float] = {}
    for edge in graph.needs[name]:
        seconds = patience_s(edge) * edge.calls
        if not seconds or (work and not graph.leads(work, edge)):
            continue
        if edge.any_of:
            alternatives[edge.any_of] = max(alternatives.get(edge.any_of, 0.0), seconds)
            continue
        total += seconds
        text = f"{edge.target}: {edge.calls:g} x {1 + edge.retries} x {time_text(edge.timeout_s.value)}"  # type: ignore[union-attr]
        lines.append(Line(text, time_text(seconds), "declared"))
    for group, seconds in alternatives.items():
        total += seconds
        lines.append(Line(f"one of {group}", time_text(seconds), "declared"))
    lines.append(Line("one request, at the longest", time_text(total)))
    return total, tuple(lines)
