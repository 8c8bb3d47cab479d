"""The system as the assessment sees it: components, what they need, where they run, what was promised.

`describe.py` makes one from a blueprint. Everything here is frozen and plain; the arithmetic stands elsewhere.

::

    System
    ├── components: name -> Component     component.py: sites (region, zones, instances), copies, capacity, data
    ├── edges: source needs target        edge.py: hard or soft, synchronous or not, time-outs, alternatives
    ├── regions, routing, failover        region.py: who serves, who stands by, how traffic moves
    ├── objectives: class of work         objective.py: availability, latency, RTO and RPO per disruption; load
    └── backups, alarms, drills           precaution.py: and evidence, deployments; acceptance.py
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlast.assessment.acceptance import Acceptance
from outlast.assessment.component import Component
from outlast.assessment.edge import Edge
from outlast.assessment.figure import Figure
from outlast.assessment.objective import Load, Objective
from outlast.assessment.precaution import Alarm, Backup, Deployment, Drill, Evidence
from outlast.assessment.region import Failover, Region, Routing, Strategy
from outlast.assessment.seen import Seen


class System(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Names of components are unique; edges name components that exist."""

    name: str
    file: str = ""
    """The file that it was read from, as errors show it."""
    components: Mapping[str, Component] = {}
    edges: tuple[Edge, ...] = ()
    regions: tuple[Region, ...] = ()
    strategy: Strategy = "single_region"
    residency: str = ""
    """The geography that data must not leave: ``eu``; empty: any."""
    routing: Routing | None = None
    failover: Failover | None = None
    objectives: Mapping[str, Objective] = {}
    load: Mapping[str, Load] = {}
    backups: Mapping[str, Backup] = {}
    alarms: tuple[Alarm, ...] = ()
    escalations: tuple[str, ...] = ()
    """The names that an alarm may page."""
    drills: tuple[Drill, ...] = ()
    drill_stops: bool = False
    """Whether something ends a drill that harms."""
    evidence: tuple[Evidence, ...] = ()
    observed: tuple[Seen, ...] = ()
    """What runs have shown of it, where somebody has looked."""
    deployment: Deployment | None = None
    acceptances: tuple[Acceptance, ...] = ()
    """Findings that the owner lives with for a time."""
    zone_availability: Figure = Figure(0.9995, "default", "an assumption: 4.4 h a year; declare your own")
    region_availability: Figure = Figure(0.99995, "default", "an assumption: 26 min a year; declare your own")

    def home(self) -> Region | None:
        """The region that serves in normal times; the one with the largest share."""
        serving = [region for region in self.regions if not region.standby]
        return max(serving, key=lambda region: region.share) if serving else None

    def holders(self, component: Component) -> tuple[str, ...]:
        """The regions that hold what a component holds: where it runs and, if it is strong, those that only witness."""
        witnesses = [region.name for region in self.regions if region.witness and component.across_regions.quorum]
        return tuple(dict.fromkeys([*(site.region for site in component.sites), *witnesses]))
