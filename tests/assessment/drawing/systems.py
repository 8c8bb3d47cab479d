"""Systems made by seed: as large and as tangled as a test wants."""

from __future__ import annotations

import random

from outlast.assessment.component import Component, Kind, Site
from outlast.assessment.edge import Edge
from outlast.assessment.figure import Figure
from outlast.assessment.objective import Objective
from outlast.assessment.region import Region
from outlast.assessment.system import System

zones = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
western = ("eu-west-1a", "eu-west-1b")
_kinds: tuple[Kind, ...] = (
    "service",
    "function",
    "agent",
    "sql",
    "table",
    "cache",
    "queue",
    "blobs",
    "external",
    "model",
)


def generated(count: int, seed: int = 1, *, cycles: bool = False) -> System:
    """`count` components in layers, in one or two regions, in one, three or no zones; some lines are shared by many."""
    chance = random.Random(seed)
    level: dict[str, int] = {}
    components: dict[str, Component] = {}
    for i in range(count):
        kind: Kind = "edge" if i == 0 else chance.choice(_kinds)
        name = f"{kind}_{chance.choice(('orders', 'ledger', 'risk', 'A' * 70, 'ünïcode', '文書'))}_{i}"
        level[name] = 0 if i == 0 else chance.randint(1, 5)
        components[name] = Component(
            name=name, kind=kind, sites=_sites(chance, kind), classes=("live",) if i == 0 else ()
        )
    names = list(components)
    edges: list[Edge] = []
    for source in names:
        later = [name for name in names if level[name] > level[source] or cycles]
        for target in chance.sample(later, min(len(later), chance.randint(1, 3))):
            hard, synchronous = chance.random() < 0.6, chance.random() < 0.8
            edges.append(Edge(source=source, target=target, hard=hard, synchronous=synchronous, timeout_s=Figure(2.0)))
    hub = max(names, key=lambda name: level[name])
    edges.extend(Edge(source=name, target=hub, hard=False) for name in names[::4] if level[name] < level[hub])
    return System(
        name=f"generated {count}",
        components=components,
        edges=tuple(edges),
        regions=(Region(name="eu-central-1", zones=zones), Region(name="eu-west-1", zones=western, standby=True)),
        objectives={"live": Objective(name="live", availability=0.999)},
    )


def _sites(chance: random.Random, kind: Kind) -> tuple[Site, ...]:
    if kind in ("edge", "external", "model"):
        return ()
    if kind in ("queue", "blobs"):
        return (Site("eu-central-1"),)
    return chance.choice(
        [
            (Site("eu-central-1", zones, 3, 2),),
            (Site("eu-central-1", zones[:1], 1, 1),),
            (Site("eu-central-1", zones, 6, 4), Site("eu-west-1", western, 6, 4, standby=True)),
        ]
    )
