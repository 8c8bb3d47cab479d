"""Puts events of many streams back into order, for who consumes them: duplicates dropped, gaps found.

Delivery is at least once and in no order, but each event bears its stream and its number, which counts from 1 without
a gap. So an event that comes too early is held until those before it have come, and one that was seen is dropped.

Source: the Resequencer and the Idempotent Receiver of Hohpe and Woolf, "Enterprise Integration Patterns" (2003).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

import msgspec

from outlast.kernel.error import ConfigurationError

T = TypeVar("T")


class ResequencerPolicy(msgspec.Struct, frozen=True):
    """The bounds. A gap is worth a look after `patience_s`; above `held_max` events in all none is held any more."""

    patience_s: float = 60.0
    held_max: int = 10_000
    streams_max: int = 100_000

    def __post_init__(self) -> None:
        if self.patience_s < 0 or self.held_max < 1 or self.streams_max < 1:
            raise ConfigurationError(
                f"resequencer {self} is not possible: patience_s 0 or more, held_max and streams_max 1 or more"
            )


class Gap(msgspec.Struct, frozen=True):
    """Events `first` to `last` of a stream have not come: read them from the journal, or `skip` them."""

    stream: str
    first: int
    last: int


class _Stream(Generic[T]):
    __slots__ = ("held", "next", "since")

    def __init__(self, next_: int) -> None:
        self.next = next_
        self.held: dict[int, T] = {}
        self.since = 0.0


class Resequencer(Generic[T]):
    """The state. `now` is monotonic, in seconds. It forgets the streams that were quiet for longest."""

    def __init__(self, policy: ResequencerPolicy | None = None) -> None:
        self._policy = policy or ResequencerPolicy()
        self._streams: OrderedDict[str, _Stream[T]] = OrderedDict()
        self._held = 0
        self.duplicates = 0
        self.dropped = 0
        """Came too early while `held_max` were held: they are part of a gap."""

    def start(self, stream: str, after: int) -> None:
        """Events up to number `after` of a stream are known: what follows is the next one. Without it, that is 1."""
        self._forget(stream)
        self._streams[stream] = _Stream(after + 1)
        self._bound()

    def offer(self, now: float, stream: str, seq: int, item: T) -> list[T]:
        """An event arrived: those that can be handed on now, in order."""
        found = self._streams.get(stream)
        if found is None:
            found = self._streams[stream] = _Stream(1)
        self._streams.move_to_end(stream)
        if seq < found.next or seq in found.held:
            self.duplicates += 1
            return []
        if seq > found.next:
            if self._held >= self._policy.held_max:
                self.dropped += 1
                return []
            if not found.held:
                found.since = now
            found.held[seq] = item
            self._held += 1
            self._bound()
            return []
        found.next += 1
        self._bound()
        return [item, *self._release(now, found)]

    def gaps(self, now: float) -> list[Gap]:
        """What has been missing for `patience_s`, the first gap of each stream."""
        return [
            Gap(stream, found.next, min(found.held) - 1)
            for stream, found in self._streams.items()
            if found.held and now - found.since >= self._policy.patience_s
        ]

    def skip(self, now: float, gap: Gap) -> list[T]:
        """Do without the events of a gap: those that can be handed on now, in order."""
        found = self._streams.get(gap.stream)
        if found is None or not gap.first <= found.next <= gap.last:
            return []
        found.next = gap.last + 1
        return self._release(now, found)

    def _release(self, now: float, found: _Stream[T]) -> list[T]:
        ready: list[T] = []
        while found.next in found.held:
            ready.append(found.held.pop(found.next))
            found.next += 1
        self._held -= len(ready)
        if ready:
            found.since = now
        return ready

    def _bound(self) -> None:
        while len(self._streams) > self._policy.streams_max:
            self._forget(next(iter(self._streams)))

    def _forget(self, stream: str) -> None:
        found = self._streams.pop(stream, None)
        if found is not None:
            self._held -= len(found.held)
