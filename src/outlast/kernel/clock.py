"""The seam to time. Nothing above reads a clock of its own."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Where time comes from.

    `now` is the wall clock in seconds since 1970 (UTC): it may jump, so it is for records and for timers that outlive
    a process. `monotonic` is in seconds from an arbitrary start and never goes back: it is for ages and time-outs.
    """

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


def stamp(clock: Clock) -> float:
    """The time as records hold it: seconds since 1970, to the microsecond (`round` takes ten times as long)."""
    return int(clock.now() * 1e6 + 0.5) / 1e6
