"""Everything that rules may ask about a system, computed once and on demand."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from outlast.assessment.amplification import Path, worst_paths
from outlast.assessment.availability import Availability, availability
from outlast.assessment.component import Component
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.edge import Edge
from outlast.assessment.finding import Finding
from outlast.assessment.graph import Graph
from outlast.assessment.hit import disruptions
from outlast.assessment.impact import Impact, State
from outlast.assessment.judge import promises
from outlast.assessment.promise import Promise
from outlast.assessment.quota import Demand, demands
from outlast.assessment.recovery import Recovery, recovery
from outlast.assessment.spread import spread
from outlast.assessment.system import System


class Facts:
    """One system at one time."""

    def __init__(self, system: System, now: float, seed: int = 1) -> None:
        """`now` in seconds since 1970: when evidence is judged. `seed`: of the Monte Carlo, where one is needed."""
        self.system = system
        self.graph = Graph(system)
        self.now = now
        self.seed = seed
        self.found: list[Finding] = []
        """What the rules found that have run; all of it for a rule that is `last`."""
        self._impacts: dict[Disruption, Impact] = {}
        self._recoveries: dict[tuple[str, Disruption], Recovery] = {}
        self._availabilities: dict[str, Availability] = {}

    @property
    def components(self) -> Iterable[Component]:
        """All of them."""
        return self.system.components.values()

    @property
    def edges(self) -> Iterable[Edge]:
        """Those whose ends exist."""
        return (edge for edges in self.graph.needs.values() for edge in edges)

    def target(self, edge: Edge) -> Component:
        """What an edge leads to."""
        return self.system.components[edge.target]

    def impact(self, disruption: Disruption) -> Impact:
        """What a disruption does."""
        found = self._impacts.get(disruption)
        if found is None:
            found = self._impacts[disruption] = spread(self.graph, disruption)
        return found

    def recovery(self, work: str, disruption: Disruption) -> Recovery:
        """How a class of work comes back from a disruption."""
        key = (work, disruption)
        found = self._recoveries.get(key)
        if found is None:
            impact = self.impact(disruption)
            found = self._recoveries[key] = recovery(self.graph, work, disruption, impact)
        return found

    def availability(self, work: str) -> Availability:
        """What the design gives a class of work."""
        found = self._availabilities.get(work)
        if found is None:
            found = self._availabilities[work] = availability(self.graph, work, self.seed)
        return found

    def radius(self, name: str, kind: DisruptionKind = "dependency") -> float:
        """The blast radius of losing one component, 0 to 1: of all of it, or as `kind` says."""
        return self.impact(Disruption(kind, name)).share

    def stopped_by(self, name: str) -> tuple[str, ...]:
        """The classes of work that stop when a component is gone as a whole."""
        work = self.impact(Disruption("dependency", name)).work
        return tuple(name for name, state in work.items() if state >= State.INTERRUPTED)

    def weight_of(self, name: str) -> float:
        """The weight of the most important class of work that uses a component at all; 0: none does."""
        return max((self.graph.weight(work) for work in self.graph.works_of[name]), default=0.0)

    def promised(self, works: Iterable[str], kind: DisruptionKind) -> float | None:
        """The shortest RTO that any of `works` promises for a kind of disruption; None: none does."""
        found: list[float] = []
        for work in works:
            objective = self.system.objectives.get(work)
            target = objective.survive.get(kind) if objective is not None else None
            if target is not None and target.rto_s is not None:
                found.append(target.rto_s)
        return min(found, default=None)

    def lossless(self, works: Iterable[str], kind: DisruptionKind) -> float | None:
        """The smallest RPO that any of `works` promises for a kind of disruption; None: none does."""
        found: list[float] = []
        for work in works:
            objective = self.system.objectives.get(work)
            target = objective.survive.get(kind) if objective is not None else None
            if target is not None and target.rpo_s is not None:
                found.append(target.rpo_s)
        return min(found, default=None)

    @functools.cached_property
    def promises(self) -> tuple[Promise, ...]:
        """All promises, judged."""
        return tuple(promises(self.graph, self.now, self.recovery, self.availability))

    @functools.cached_property
    def demands(self) -> dict[str, Demand]:
        """Requests a second that reach each component at the peak."""
        return demands(self.graph)

    @functools.cached_property
    def paths(self) -> tuple[Path, ...]:
        """The call paths on which attempts multiply most."""
        return worst_paths(self.graph)

    @functools.cached_property
    def losses(self) -> dict[str, Impact]:
        """By component, what losing all of it does."""
        return {name: self.impact(Disruption("dependency", name)) for name in self.system.components}

    @functools.cached_property
    def everything(self) -> tuple[Impact, ...]:
        """Every component, zone and region lost in turn, the widest first."""
        wide = [one for one in disruptions(self.graph) if one.kind in ("zone", "region", "dependency")]
        impacts = [self.impact(disruption) for disruption in wide]
        return tuple(sorted(impacts, key=lambda impact: (-impact.share, -len(impact.touches))))
