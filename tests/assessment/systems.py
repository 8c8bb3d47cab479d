"""Systems for tests, put together by hand."""

from __future__ import annotations

from typing import Any

from outlast.assessment.component import Component, Site
from outlast.assessment.edge import Edge
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph
from outlast.assessment.objective import Objective, Target
from outlast.assessment.region import Region
from outlast.assessment.system import System

HOME = Region(name="here", zones=("a", "b", "c"))


def service(
    name: str, *, instances: int = 1, needed: int = 1, zones: tuple[str, ...] = ("a",), **more: Any
) -> Component:
    """Code of one's own, in the region ``here``."""
    more.setdefault("kind", "service")
    more.setdefault("availability", Figure(0.99))
    return Component(name=name, sites=(Site("here", zones, instances, needed),), **more)


def system(*components: Component, edges: tuple[Edge, ...] = (), **more: Any) -> System:
    """Zones and regions that never fail, unless they are given."""
    more.setdefault("regions", (HOME,))
    more.setdefault("zone_availability", Figure(1.0))
    more.setdefault("region_availability", Figure(1.0))
    more.setdefault("objectives", {"live": Objective(name="live", survive={"zone": Target(60.0, 0.0)})})
    return System(name="test", components={one.name: one for one in components}, edges=edges, **more)


def graph(*components: Component, edges: tuple[Edge, ...] = (), **more: Any) -> Graph:
    """The graph of such a system."""
    return Graph(system(*components, edges=edges, **more))
