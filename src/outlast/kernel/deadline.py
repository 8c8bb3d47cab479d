"""By when the work that is under way must have ended, for whoever it calls and is not told otherwise."""

from __future__ import annotations

from contextvars import ContextVar

deadline: ContextVar[float | None] = ContextVar("outlast_deadline", default=None)
"""In seconds of the event loop's clock (``loop.time()``), which is a monotonic one; None: nobody said."""


def remaining_s(now: float) -> float | None:
    """Seconds that are left, zero or more; None: no end is known. `now` is the loop's time."""
    end = deadline.get()
    return None if end is None else max(0.0, end - now)
