"""Who appends to a stream: one append in flight, identical bytes after *unknown*, beaten by a real conflict only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from outlast.journal.index import HintPatch
from outlast.journal.record import append_id_of, encode_event, make_append
from outlast.journal.stream import Append, Applied, Conflicted, EventStore, Head, append_bytes_max
from outlast.kernel.clock import Clock
from outlast.kernel.error import Conflict, StoreError, StoreUnavailable, UsageError
from outlast.kernel.point import Points

_backoff_first_s = 0.02
_backoff_max_s = 1.0
record_events_max = 128
"""Events that gather in one record: 128."""
_envelope_bytes = 1024  # what a record takes besides its events, with room to spare


class Fenced(Conflict):
    """Another writer has appended: this one must stop."""

    code = "fenced"


async def settle_append(store: EventStore, append: Append, clock: Clock, patience_s: float) -> Head:
    """Append once, whatever it takes; returns the head it led to.

    Sends the identical bytes again while the outcome is unknown, for `patience_s` at most (then StoreUnavailable: the
    outcome stays unknown). A conflict is success if the record at that place bears this `append_id`; else Fenced.
    """
    give_up_at = clock.monotonic() + patience_s
    backoff = _backoff_first_s
    while True:
        outcome = await store.append(append)
        if isinstance(outcome, Applied):
            return outcome.head
        if isinstance(outcome, Conflicted):
            try:
                found = await store.read(append.stream, append.expected.seq, 1)
            except StoreUnavailable:
                found = None
            if found is not None:
                if found and append_id_of(found[0]) == append.append_id:
                    return Head(append.head, found[0].hash)
                raise Fenced(
                    f"stream {append.stream} has moved to {outcome.head.seq}, {append.expected.seq} was expected: "
                    "another worker owns it now"
                )
        if clock.monotonic() >= give_up_at:
            raise StoreUnavailable(f"stream {append.stream}: the outcome of an append stays unknown; try again later")
        await clock.sleep(backoff)
        backoff = min(backoff * 2, _backoff_max_s)


class _Waiting:
    __slots__ = ("events", "future", "size", "then")

    def __init__(
        self, events: Sequence[Any], then: Callable[[float], None] | None, future: asyncio.Future[float]
    ) -> None:
        self.events = list(map(encode_event, events))
        self.then = then
        self.size = sum(map(len, map(memoryview, self.events))) + len(self.events)
        self.future = future


class StreamWriter:
    """Appends events of one stream in the order asked, several in one record when they gather.

    `hint` is asked for each record, when its bytes are made. Once fenced, unavailable or closed, every further append
    raises what ended it.
    """

    def __init__(
        self,
        store: EventStore,
        stream: str,
        head: Head,
        writer: str,
        clock: Clock,
        points: Points,
        patience_s: float,
        hint: Callable[[], HintPatch | None],
    ) -> None:
        self.head = head
        self._store = store
        self._stream = stream
        self._writer = writer
        self._clock = clock
        self._points = points
        self._patience_s = patience_s
        self._hint = hint
        self._count = 0
        self._queue: list[_Waiting] = []
        self._pump: asyncio.Task[None] | None = None
        self.ended: BaseException | None = None

    def append(self, *events: Any, then: Callable[[float], None] | None = None) -> asyncio.Future[float]:
        """A future that holds, once these events are durable, the time that stands in their record.

        They are adjacent in the stream. `then` is called with that time as soon as they are durable, in the order of
        the stream, even if the future has been cancelled: that does not undo the append. Raises UsageError at once for
        events that no record can hold; the stream goes on without them.
        """
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if self.ended is not None:
            future.set_exception(self.ended)
            return future
        waiting = _Waiting(events, then, future)
        if waiting.size > append_bytes_max - _envelope_bytes:
            raise UsageError(
                f"events for stream {self._stream} take {waiting.size} bytes, the bound append_bytes_max is "
                f"{append_bytes_max}: put large payloads into the blob store"
            )
        self._queue.append(waiting)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run())
        return future

    def close(self, reason: BaseException) -> None:
        """Refuse all that comes; what is under way is left to its end."""
        if self.ended is None:
            self.ended = reason

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        if self._pump is not None:
            await asyncio.wait([self._pump])

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._take()
                if self.ended is not None:
                    _refuse(batch, self.ended)
                    continue
                try:
                    at = await self._write([event for waiting in batch for event in waiting.events])
                    for waiting in batch:
                        if waiting.then is not None:
                            waiting.then(at)
                        if not waiting.future.done():
                            waiting.future.set_result(at)
                except (Conflict, StoreError) as error:
                    self.ended = error
                    _refuse(batch, error)
                    continue
                except BaseException as error:
                    self.ended = error
                    _refuse(batch + self._queue, error)
                    self._queue = []
                    raise
        finally:
            self._pump = None

    def _take(self) -> list[_Waiting]:
        total = taken = 0
        events = 0
        for waiting in self._queue:
            total += waiting.size
            events += len(waiting.events)
            if taken and (total > append_bytes_max - _envelope_bytes or events > record_events_max):
                break
            taken += 1
        batch, self._queue = self._queue[:taken], self._queue[taken:]
        return batch

    async def _write(self, events: list[Any]) -> float:
        at = round(self._clock.now(), 6)
        self._count += 1
        append = make_append(self._stream, self.head, f"{self._writer}.{self._count}", at, events, self._hint())
        self._points.reach("append.before", self._stream)
        outcome = await self._store.append(append)
        if isinstance(outcome, Applied):
            self.head = outcome.head
        else:
            self.head = await settle_append(self._store, append, self._clock, self._patience_s)
        self._points.reach("append.after", self._stream)
        return at


def _refuse(batch: Sequence[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)
            waiting.future.exception()  # who does not await it any more is not to be warned about it
