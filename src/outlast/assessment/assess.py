"""System -> Assessment: promises with their arithmetic, what each disruption does, the findings, worst first."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlast.assessment.amplification import Path
from outlast.assessment.availability import Availability
from outlast.assessment.finding import Finding
from outlast.assessment.impact import Impact
from outlast.assessment.promise import Promise


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found; the same system, evidence and `now` give the same one."""

    system: str
    file: str
    at: float
    """Seconds since 1970: when evidence is judged."""
    components: int
    edges: int
    findings: tuple[Finding, ...]
    promises: tuple[Promise, ...]
    availability: Mapping[str, Availability]
    """By class of work."""
    impacts: tuple[Impact, ...]
    """Of each component, zone, region: the widest first."""
    single_points: tuple[str, ...]
    """Components whose loss takes a whole class of work down."""
    shared_fates: Mapping[str, tuple[str, ...]]
    """What fails together, by what it shares: a zone, a region, a provider, an account."""
    cycles: tuple[tuple[str, ...], ...]
    amplification: tuple[Path, ...]
    """The worst call paths, largest first."""
    what_if: tuple[Impact, ...] = ()
    """The disruptions that were asked about."""
    counts: Mapping[str, int] = {}
    """Findings by severity."""
