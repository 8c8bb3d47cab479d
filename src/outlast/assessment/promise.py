"""One promise and what became of it: kept by design, shown by a drill, or missed."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.assessment.arithmetic import Line
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.place import Place, nowhere
from outlast.assessment.precaution import Evidence

Measure = Literal["availability", "rto", "rpo", "latency"]
Status = Literal["met by drill", "met by design", "missed by design", "missed by drill", "unknown"]
EvidenceState = Literal["none", "current", "expired", "failed"]


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """A class of work, a measure, what was promised and what the design gives."""

    work: str
    measure: Measure
    disruption: DisruptionKind | None = None
    """Of which kind; None for availability and latency."""
    worst: Disruption | None = None
    """The one of that kind that takes longest or loses most."""
    promised: float
    """Seconds for rto, rpo, latency; a share for availability."""
    estimated: float | None
    """In the same unit; None: not computed, or never."""
    status: Status
    lines: tuple[Line, ...] = ()
    """How the estimate came about."""
    evidence: Evidence | None = None
    """The latest drill that measured it."""
    evidence_state: EvidenceState = "none"
    evidence_age_s: float | None = None
    place: Place = nowhere
