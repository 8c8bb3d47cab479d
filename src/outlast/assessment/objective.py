"""What was promised to a class of work, and how much of it arrives."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.place import Place, nowhere


class Target(msgspec.Struct, frozen=True):
    """What was promised for one disruption."""

    rto_s: float | None = None
    """Seconds until a client's next success."""
    rpo_s: float | None = None
    """Seconds of acknowledged work that may be lost."""
    place: Place = nowhere


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """Promises for one class of work."""

    name: str
    availability: float | None = None
    """Share of requests answered, over `window_s`."""
    window_s: float = 30 * 86400.0
    latency_s: Mapping[str, float] = {}
    """Such as ``{"first_token_p95": 1.5, "turn_p99": 20.0}``."""
    survive: Mapping[DisruptionKind, Target] = {}
    rank: int = 0
    """0: the most important class; shed last."""
    place: Place = nowhere


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one class of work."""

    name: str
    steady: float = 0.0
    """A second."""
    peak: float = 0.0
    """A second."""
    turns_per_session: float = 1.0
    model_calls_per_turn: float = 1.0
    place: Place = nowhere
