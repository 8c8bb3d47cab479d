"""One component needs another: how hard, how it waits, how it tries again, what it does without."""

from __future__ import annotations

import msgspec

from outlast.assessment.figure import Figure
from outlast.assessment.place import Place, nowhere


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """`source` needs `target`."""

    source: str
    target: str
    hard: bool = True
    """Whether `source` cannot do its work without it."""
    synchronous: bool = True
    """Whether `source` waits for the answer; else a queue, a copy or a schedule stands between."""
    timeout_s: Figure | None = None
    """Of one attempt; None: none is said."""
    retries: int = 0
    """Attempts after the first, at this place."""
    backoff: bool = True
    retry_budget: float | None = None
    """Retries as a share of the requests, at most; None: not bounded."""
    breaker: bool = False
    """Whether calls stop while the target fails."""
    cache_s: float | None = None
    """How long an earlier answer is used when there is none."""
    on_loss: str = ""
    """What `source` does without it; goes before `Component.on_loss` of the target."""
    calls: float = 1.0
    """Calls for one request of `source`."""
    any_of: str = ""
    """Edges of one source with the same name here are alternatives: one of them is enough."""
    degrades: bool = False
    """Whether an answer by this alternative is a worse one, and marked so."""
    place: Place = nowhere
