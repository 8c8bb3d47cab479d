"""What drills have shown, and whether it still counts."""

from __future__ import annotations

from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.precaution import Evidence
from outlast.assessment.promise import EvidenceState
from outlast.assessment.system import System

evidence_days_max = 30
"""Older evidence is expired: the system has changed since."""
day_s = 86400.0


def latest(system: System, work: str, kind: DisruptionKind) -> Evidence | None:
    """The newest drill of that kind of disruption that measured that class of work."""
    found = [one for one in system.evidence if one.disruption == kind and one.work in ("", work)]
    return max(found, key=lambda one: one.at, default=None)


def state_of(evidence: Evidence | None, now: float) -> EvidenceState:
    """Whether it counts at `now` (seconds since 1970)."""
    if evidence is None:
        return "none"
    if not evidence.passed:
        return "failed"
    return "expired" if now - evidence.at > evidence_days_max * day_s else "current"
