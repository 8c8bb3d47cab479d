"""How what stood in one region alone is made anew in another one: launched, and filled from what is kept elsewhere.

=================  ==================================================================================
what it holds      how long that takes
=================  ==================================================================================
nothing, a cache   it is launched
backed up          launched, then restored from a copy outside of the region
made from others   launched while its source is made anew, where that is not there already; then rebuilt
anything else      it cannot be: it waits for the region
=================  ==================================================================================
"""

from __future__ import annotations

from outlast.assessment.arithmetic import Line, duration_line
from outlast.assessment.component import Component, holds_data
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph

rebuild_assumed = Figure(4 * 3600.0, "default", "an assumption: declare how long it takes")

Sum = tuple[float, tuple[Line, ...]]
"""Seconds, and the lines that add up to them."""


def made_anew(graph: Graph, component: Component, region: str, on_the_way: tuple[str, ...] = ()) -> Sum | None:
    """Seconds from the decision until it is there without `region`, and the sum; None: it cannot be.

    `on_the_way`: what is being made from it already, so that a circle of sources is none.
    """
    name = component.name
    launched = duration_line(f"{name}: launched in another region", component.relaunch_s)
    if component.data == "disposable" or not holds_data(component):
        return component.relaunch_s.value, (launched,)
    backup = graph.system.backups.get(name)
    if backup is not None and (backup.copies or backup.region_copies):
        restored = duration_line(f"{name}: restored from a backup", backup.restore_s)
        return component.relaunch_s.value + backup.restore_s.value, (launched, restored)
    source = graph.system.components.get(component.rebuilt_from)
    if source is None or source.name == name or source.name in on_the_way:
        return None
    if not source.sites or any(site.region != region for site in source.sites):
        ready: Sum | None = (0.0, ())  # it is there
    else:
        ready = made_anew(graph, source, region, (*on_the_way, name))
    if ready is None:
        return None
    rebuild = component.rebuild_s or rebuild_assumed
    longer = max(ready, (component.relaunch_s.value, (launched,)), key=lambda found: found[0])
    again = duration_line(f"{name}: made again from {source.name}", rebuild)
    return longer[0] + rebuild.value, (*longer[1], again)
