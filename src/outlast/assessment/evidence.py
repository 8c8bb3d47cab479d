"""What drills have shown, and whether it still counts."""

from __future__ import annotations

from collections.abc import Collection

from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.precaution import Evidence
from outlast.assessment.promise import EvidenceState
from outlast.assessment.system import System

evidence_days_max = 30
"""Older evidence is expired: the system has changed since."""
day_s = 86400.0


def latest(
    system: System, work: str, kind: DisruptionKind, now: float, subjects: Collection[str]
) -> Evidence | None:
    """What drills of that kind of disruption say today about that class of work.

    `subjects` are what such a disruption may hit. Of each the newest result counts, and of these the worst: one that
    failed, else the one with the longest recovery. What has expired counts only where nothing else does, and what broke
    something else, or what is not there any more, not at all.
    """
    newest: dict[str, Evidence] = {}
    for one in system.evidence:
        if one.disruption != kind or one.work not in ("", work) or (one.subject and one.subject not in subjects):
            continue
        known = newest.get(one.subject)
        if known is None or one.at >= known.at:
            newest[one.subject] = one
    fresh = [one for one in newest.values() if state_of(one, now) != "expired"]
    return max(fresh or newest.values(), key=_badness, default=None)


def _badness(one: Evidence) -> tuple[bool, float, float]:
    return not one.passed, -1.0 if one.rto_s is None else one.rto_s, one.at


def state_of(evidence: Evidence | None, now: float) -> EvidenceState:
    """Whether it counts at `now` (seconds since 1970)."""
    if evidence is None:
        return "none"
    if not evidence.passed:
        return "failed"
    return "expired" if now - evidence.at > evidence_days_max * day_s else "current"
