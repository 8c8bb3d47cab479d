"""Shared counters in memory."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.kernel.clock import Clock


class MemoryTally:
    """Implements `model.tally.Tally`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, tuple[float, list[int]]] = {}

    async def add(self, name: str, counts: Sequence[int], ttl_s: float) -> Sequence[int]:
        now = self._clock.monotonic()
        until, held = self._counts.get(name, (0.0, []))
        if until <= now:
            held = [0] * len(counts)
        totals = [before + more for before, more in zip(held, counts, strict=True)]
        self._counts[name] = (now + ttl_s, totals)
        return totals
