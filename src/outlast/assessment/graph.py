"""The dependency graph of a system: who needs whom, what each class of work stands on, and the cycles."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from outlast.assessment.component import Component, compute_kinds
from outlast.assessment.edge import Edge
from outlast.assessment.system import System

all_work = "all"
"""The class of work of a system that names none: whatever enters anywhere."""
_class_weights = (1.0, 0.6, 0.4)
"""How much of "all work" a class is, by rank: the first whole, then less; what is lower counts as the last."""


class Graph:
    """An index over one `System`; everything is computed once."""

    def __init__(self, system: System) -> None:
        """Edges whose ends do not exist are left out; `describe.py` refuses them."""
        self.system = system
        self.needs: dict[str, list[Edge]] = {name: [] for name in system.components}
        """Edges by their source."""
        self.needed_by: dict[str, list[Edge]] = {name: [] for name in system.components}
        """Edges by their target."""
        for edge in system.edges:
            if edge.source in self.needs and edge.target in self.needs:
                self.needs[edge.source].append(edge)
                self.needed_by[edge.target].append(edge)

    def component(self, name: str) -> Component:
        """By its name."""
        return self.system.components[name]

    @functools.cached_property
    def entries(self) -> dict[str, tuple[str, ...]]:
        """By class of work, the components where it enters: those that say they serve it and that no other such needs.

        What stands before them (an edge, a balancer, a gateway) is added, so that its loss counts.
        """
        if self.works == (all_work,):
            return {all_work: self._tops()}
        found: dict[str, tuple[str, ...]] = {}
        for work in self.works:
            serving = [name for name, component in self.system.components.items() if work in component.classes]
            inner = {edge.target for name in serving for edge in self.needs[name] if edge.hard and edge.synchronous}
            first = [name for name in serving if name not in inner] or serving
            found[work] = tuple(dict.fromkeys([*first, *self._before(first)]))
        return found

    def _tops(self) -> tuple[str, ...]:
        """Whatever runs code, or leads to it, and is needed by nothing else."""
        first = (*compute_kinds, "balancer", "edge")
        return tuple(
            name
            for name, component in self.system.components.items()
            if component.kind in first and component.kind not in ("endpoint", "training") and not self.needed_by[name]
        )

    def _before(self, names: Iterable[str]) -> Iterator[str]:
        waiting = list(names)
        seen = set(waiting)
        while waiting:
            for edge in self.needed_by[waiting.pop()]:
                if edge.source not in seen and self.component(edge.source).kind in ("edge", "balancer", "gateway"):
                    seen.add(edge.source)
                    waiting.append(edge.source)
                    yield edge.source

    def leads(self, work: str, edge: Edge) -> bool:
        """Whether a request of `work` may go along `edge`: what stands before several classes leads each to its own."""
        return edge.source not in self._fronts[work] or edge.target not in self._elsewhere[work]

    @functools.cached_property
    def _fronts(self) -> dict[str, frozenset[str]]:
        """By class of work, what only stands before it."""
        return {
            work: frozenset(name for name in self.entries[work] if work not in self.component(name).classes)
            for work in self.works
        }

    @functools.cached_property
    def _elsewhere(self) -> dict[str, frozenset[str]]:
        """By class of work, where only other classes enter."""
        every = {name for names in self.entries.values() for name in names}
        return {work: frozenset(every.difference(self.entries[work])) for work in self.works}

    def fronts(self, work: str) -> tuple[str, ...]:
        """What stands before a class of work, from where it enters outwards."""
        return tuple(name for name in self.entries[work] if name in self._fronts[work])

    @functools.cached_property
    def works(self) -> tuple[str, ...]:
        """All classes of work: those with objectives first, in their order, then those that components name."""
        named = [work for component in self.system.components.values() for work in component.classes]
        return tuple(dict.fromkeys([*self.system.objectives, *self.system.load, *named])) or (all_work,)

    def weight(self, work: str) -> float:
        """How much a class of work counts: 1 for the most important."""
        if not self.system.objectives:
            return 1.0
        objective = self.system.objectives.get(work)
        rank = objective.rank if objective is not None else len(_class_weights) - 1
        return _class_weights[min(rank, len(_class_weights) - 1)]

    @functools.cached_property
    def hard(self) -> dict[str, frozenset[str]]:
        """By class of work, all components that it cannot do without, over any number of synchronous edges.

        Alternatives are counted in: `alternatives` says which are.
        """
        return {work: frozenset(self._reach(work, hard_only=True)) for work in self.works}

    @functools.cached_property
    def reach(self) -> dict[str, frozenset[str]]:
        """By class of work, all components that it uses at all."""
        return {work: frozenset(self._reach(work, hard_only=False)) for work in self.works}

    @functools.cached_property
    def works_of(self) -> dict[str, tuple[str, ...]]:
        """By component, the classes of work that use it, the most important first."""
        return {name: tuple(work for work in self.works if name in self.reach[work]) for name in self.system.components}

    @functools.cached_property
    def hard_works_of(self) -> dict[str, tuple[str, ...]]:
        """By component, the classes of work that cannot do without it, the most important first."""
        return {name: tuple(work for work in self.works if name in self.hard[work]) for name in self.system.components}

    def _reach(self, work: str, *, hard_only: bool) -> Iterator[str]:
        waiting = list(self.entries[work])
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            yield name
            for edge in self.needs[name]:
                wanted = edge.hard and edge.synchronous if hard_only else True
                if wanted and edge.target not in seen and self.leads(work, edge):
                    seen.add(edge.target)
                    waiting.append(edge.target)

    @functools.cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """Groups of components that need one another over synchronous edges (Tarjan's strong components)."""
        return tuple(sorted(_strong_components({n: self._called(n) for n in self.system.components})))

    def _called(self, name: str) -> list[str]:
        return [edge.target for edge in self.needs[name] if edge.synchronous]

    def path(self, start: str, end: str) -> tuple[str, ...]:
        """The shortest way from one to the other along edges; empty where there is none."""
        before = {start: ""}
        waiting = [start]
        for name in waiting:
            if name == end:
                break
            for edge in self.needs[name]:
                if edge.target not in before:
                    before[edge.target] = name
                    waiting.append(edge.target)
        if end not in before:
            return ()
        way = [end]
        while before[way[-1]]:
            way.append(before[way[-1]])
        return tuple(reversed(way))


def _strong_components(called: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Those with more than one member, or that call themselves. Iterative: depth is not bounded by the stack.

    R. Tarjan, Depth-first search and linear graph algorithms, 1972.
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root, first in called.items():
        if root in number:
            continue
        work: list[tuple[str, Iterator[str]]] = [(root, iter(first))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, targets = work[-1]
            for target in targets:
                if target not in number:
                    number[target] = low[target] = len(number)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(called[target])))
                    break
                if target in on_stack:
                    low[name] = min(low[name], number[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    group: list[str] = []
                    while not group or group[-1] != name:
                        group.append(stack.pop())
                        on_stack.discard(group[-1])
                    if len(group) > 1 or name in called[name]:
                        yield tuple(sorted(group))
