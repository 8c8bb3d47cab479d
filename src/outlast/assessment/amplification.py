"""How many calls one request becomes when everything below fails: attempts multiply along a call path.

With r retries at each of n layers the last one gets (1 + r)^n attempts for one request (AWS Builders' Library,
"Timeouts, retries, and backoff with jitter"; Google SRE book, chapter 22). A retry budget of 10% makes that 1.1^n.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from outlast.assessment.edge import Edge
from outlast.assessment.graph import Graph

paths_max = 10
"""So many of the worst paths are kept."""
depth_max = 50
"""Longer paths are cut: they are cycles, or a finding by themselves."""


class Path(msgspec.Struct, frozen=True):
    """A call path and how many calls at its end one call at its start can cause."""

    components: tuple[str, ...]
    attempts: float
    retrying: int
    """How many of its layers retry."""


def attempts(edge: Edge) -> float:
    """Calls for one that is wanted, at the worst: all retries, or as many as the budget admits."""
    if edge.retry_budget is not None:
        return 1 + min(float(edge.retries), edge.retry_budget)
    return 1.0 + edge.retries


def worst_paths(graph: Graph) -> tuple[Path, ...]:
    """The paths from where work enters on which attempts multiply, worst first; one for each end."""
    best: dict[str, Path] = {}
    for work in graph.works:
        for entry in graph.entries[work]:
            for path in _from(graph, entry):
                known = best.get(path.components[-1])
                if known is None or path.attempts > known.attempts:
                    best[path.components[-1]] = path
    found = [path for path in best.values() if path.attempts > 1]
    return tuple(sorted(found, key=lambda path: (-path.attempts, path.components))[:paths_max])


def _from(graph: Graph, entry: str) -> Iterator[Path]:
    """Of all paths to a component the one with the most attempts: longest path by relaxation, cut at `depth_max`."""
    best = {entry: Path((entry,), 1.0, 0)}
    edge_front = [entry]
    for _ in range(depth_max):
        following: dict[str, Path] = {}
        for name in edge_front:
            path = best[name]
            for edge in graph.needs[name]:
                if not edge.synchronous or edge.target in path.components:
                    continue
                total = path.attempts * attempts(edge)
                known = following.get(edge.target) or best.get(edge.target)
                if known is None or total > known.attempts:
                    retrying = path.retrying + (edge.retries > 0)
                    following[edge.target] = Path((*path.components, edge.target), total, retrying)
        if not following:
            break
        best |= following
        edge_front = list(following)
    yield from best.values()
