"""The graph that runs have shown, held against the one that is described.

Only what journals can show is compared: what agents ask, and which endpoints answered for the models that they asked.
What services do among themselves, what a gateway is asked, and how work comes out of a queue, no run tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from outlast.assessment.component import Kind
from outlast.assessment.edge import Edge
from outlast.assessment.seen import Seen
from outlast.assessment.system import System

Standing = Literal["seen", "undeclared", "never seen", "standing by", "out of sight"]
"""seen: declared and seen · undeclared: seen, not declared · never seen: declared, and no run did it · standing by:
another alternative was seen in its place · out of sight: no run could show it."""

_kinds: Mapping[str, Kind] = {"journal": "journal", "model": "model", "agent": "agent"}


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What some runs have shown."""

    v: int = 1
    system: str
    at: float
    """When it was looked at, in seconds since 1970."""
    runs: int
    events: int
    seen: tuple[Seen, ...]
    whole: bool = True
    """Whether every run was looked at, and no edge was left out for a bound."""


class Compared(msgspec.Struct, frozen=True):
    """One edge. `runs`, `last_at` and `via` are those of `Seen`; zero and empty where it was not."""

    source: str
    target: str
    standing: Standing
    runs: int = 0
    last_at: float = 0.0
    via: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True):
    """All edges, those that differ first."""

    edges: tuple[Compared, ...]

    def of(self, standing: Standing) -> tuple[Compared, ...]:
        """Those of one standing."""
        return tuple(edge for edge in self.edges if edge.standing == standing)

    @property
    def equal(self) -> bool:
        """Whether runs have shown what is declared, and nothing else."""
        return not self.of("undeclared") and not self.of("never seen")


def compare(system: System, seen: tuple[Seen, ...]) -> Comparison:
    """Hold what was seen against what `system` declares."""
    named = {_ends(system, one): one for one in seen}
    active = {source for source, _ in named}
    declared: dict[tuple[str, str], Edge] = {}
    for edge in system.edges:
        declared.setdefault((edge.source, edge.target), edge)
    found = [
        Compared(
            source, target, "seen" if (source, target) in declared else "undeclared", one.runs, one.last_at, one.via
        )
        for (source, target), one in named.items()
    ]
    alternatives = {(s, edge.any_of) for (s, t), edge in declared.items() if (s, t) in named and edge.any_of}
    for (source, target), edge in declared.items():
        if (source, target) not in named:
            found.append(Compared(source, target, _unseen(system, edge, active, alternatives)))
    order: list[Standing] = ["undeclared", "never seen", "seen", "standing by", "out of sight"]
    return Comparison(tuple(sorted(found, key=lambda one: (order.index(one.standing), one.source, one.target))))


def _unseen(system: System, edge: Edge, active: set[str], alternatives: set[tuple[str, str]]) -> Standing:
    source, target = system.components[edge.source], system.components.get(edge.target)
    if source.kind not in ("agent", "model") or source.name not in active or not edge.synchronous:
        return "out of sight"
    if target is not None and target.kind == "queue":
        return "out of sight"
    return "standing by" if edge.any_of and (source.name, edge.any_of) in alternatives else "never seen"


def _ends(system: System, seen: Seen) -> tuple[str, str]:
    """The components that an edge's names mean; a name that means none stays what it is."""
    if seen.kind == "endpoint":
        source = _named(system, seen.source, "model")
        return source, f"{source}.{seen.target.removeprefix(f'{seen.source}.')}"
    return _named(system, seen.source, "agent"), _named(system, seen.target, _kinds.get(seen.kind))


def _named(system: System, name: str, kind: Kind | None) -> str:
    """The component that has that name, or, where two sections have it, the one of that kind."""
    known = system.components.get(name)
    if known is not None and (kind is None or known.kind == kind):
        return name
    found = [one for one in system.components if one.rpartition(".")[2] == name or one == name]
    of_kind = [one for one in found if kind is None or system.components[one].kind == kind]
    if kind == "journal":
        of_kind = [one for one, component in system.components.items() if component.kind == "journal"]
    return of_kind[0] if len(of_kind) == 1 else name
