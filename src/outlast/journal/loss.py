"""What was acknowledged and is not there any more, until all whom it concerns have been told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec


class Lost(msgspec.Struct, frozen=True):
    """Events `first` to `last` of a stream."""

    stream: str
    first: int
    last: int


class Gap(msgspec.Struct, frozen=True):
    """A loss as one process knows of it."""

    lost: Lost
    failover: str
    """Names the failover: the same for everybody who finds something lost by it."""
    ours: bool
    """Whether the events were acknowledged to this process, or to one whose books it has taken over."""
    worker: str = ""
    """The worker that they were acknowledged to; "" if it was no worker, or is not known."""


class Losses:
    """The gaps that a process has found and that are not told yet. An engine notes, whoever owns the process tells.

    A gap is noted before anything is read from, or appended to, the server that lacks the events.
    """

    def __init__(self) -> None:
        self.worker = ""
        """Whose process this is, if it is a worker's."""
        self._gaps: dict[str, Gap] = {}
        self._listeners: list[Callable[[], None]] = []

    def note(self, lost: Iterable[Lost], failover: str, *, ours: bool) -> None:
        """Events are missing. `ours`: this process, and perhaps no other, knows that they were acknowledged."""
        for one in lost:
            self._gaps[one.stream] = Gap(one, failover, ours, self.worker if ours else "")
        for listener in self._listeners:
            listener()

    def of(self, stream: str) -> Gap | None:
        """What is missing at the end of a stream and not told yet."""
        return self._gaps.get(stream)

    def untold(self) -> list[Gap]:
        """All of it, by stream."""
        return [self._gaps[stream] for stream in sorted(self._gaps)]

    def told(self, gap: Gap) -> None:
        """It is known to whom it concerns, durably."""
        if self._gaps.get(gap.lost.stream) == gap:
            del self._gaps[gap.lost.stream]

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when something was noted, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
