"""Who appends to a stream: one append in flight, identical bytes after *unknown*, beaten by a real conflict only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from outlast.journal.index import HintPatch
from outlast.journal.record import append_id_of, encode_event, make_append
from outlast.journal.stream import Append, Applied, Conflicted, EventStore, Head, Outcome, append_bytes_max, quick
from outlast.kernel.clock import Clock, stamp
from outlast.kernel.error import Conflict, StoreError, StoreSealed, StoreUnavailable, UsageError
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
            except StoreSealed:
                found = ()  # with a key that is not here: whoever wrote it, it was not this append
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


class _UnderWay:
    """A record that a QuickStore has: told its outcome, it goes on within the same turn of the loop."""

    __slots__ = ("append", "at", "batch", "writer")

    def __init__(self, writer: StreamWriter, batch: list[_Waiting], append: Append, at: float) -> None:
        self.writer = writer
        self.batch = batch
        self.append = append
        self.at = at

    def done(self) -> bool:
        return False

    def set_result(self, result: Outcome) -> None:
        self.writer.landed(self, result)

    def set_exception(self, exception: Exception) -> None:
        self.writer.refused(self.batch, exception)


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
        self._quick = quick(store)
        self._stream = stream
        self._writer = writer
        self._clock = clock
        self._points = points
        self._patience_s = patience_s
        self._hint = hint
        self._count = 0
        self._queue: list[_Waiting] = []
        self._busy = False
        self._pump: asyncio.Task[None] | None = None
        self._at_rest: list[asyncio.Future[None]] = []
        self.ended: BaseException | None = None

    def append(
        self, *events: Any, then: Callable[[float], None] | None = None, alone: bool = False
    ) -> asyncio.Future[float]:
        """A future that holds, once these events are durable, the time that stands in their record.

        They are adjacent in the stream. `then` is called with that time as soon as they are durable, in the order of
        the stream, even if the future has been cancelled: that does not undo the append. `alone`: nothing else will
        be appended in this turn of the loop, so there is nothing to wait for. Raises UsageError at once for events that
        no record can hold; the stream goes on without them.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
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
        if not self._busy:
            self._busy = True
            if self._quick is None:
                self._pump = loop.create_task(self._run())
            elif alone:
                self._send()
            else:
                loop.call_soon(self._send)
        return future

    def close(self, reason: BaseException) -> None:
        """Refuse all that comes; what is under way is left to its end."""
        if self.ended is None:
            self.ended = reason

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._busy:
            rest: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._at_rest.append(rest)
            await rest

    # -- a record, in a task ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._queue:
            batch = self._take()
            if self.ended is not None:
                _refuse(batch, self.ended)
                continue
            try:
                self._give(batch, await self._write([event for waiting in batch for event in waiting.events]))
            except BaseException as error:
                self._end(batch, error)
                if not isinstance(error, Conflict | StoreError):
                    raise
        self._rest()

    async def _write(self, events: list[Any]) -> float:
        append, at = self._make(events)
        outcome = await self._store.append(append)
        self.head = outcome.head if isinstance(outcome, Applied) else await self._settle(append)
        self._points.reach("append.after", self._stream)
        return at

    async def _settle(self, append: Append) -> Head:
        return await settle_append(self._store, append, self._clock, self._patience_s)

    # -- a record, from turn to turn (hot path) -----------------------------------------------------------------------

    def _send(self) -> None:
        batch = self._take()
        try:
            if self.ended is not None:
                raise self.ended
            append, at = self._make([event for waiting in batch for event in waiting.events])
            assert self._quick is not None
            self._quick.submit(append, _UnderWay(self, batch, append, at))
        except BaseException as error:  # whoever waits is told first, whatever it was
            self.refused(batch, error)
            if not isinstance(error, Exception):
                raise

    def landed(self, under_way: _UnderWay, outcome: Outcome) -> None:
        """What became of a record that the store was given."""
        if not isinstance(outcome, Applied):
            self._pump = asyncio.get_running_loop().create_task(self._go_on(under_way))
            return
        self.head = outcome.head
        self._finish(under_way)

    async def _go_on(self, under_way: _UnderWay) -> None:
        try:
            self.head = await self._settle(under_way.append)
        except BaseException as error:
            self.refused(under_way.batch, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._finish(under_way)

    def _finish(self, under_way: _UnderWay) -> None:
        try:
            self._points.reach("append.after", self._stream)
            self._give(under_way.batch, under_way.at)
        except BaseException as error:  # whoever waits is told first, whatever it was
            self.refused(under_way.batch, error)
            if not isinstance(error, Exception):
                raise
            return
        if self._queue:
            self._send()
        else:
            self._rest()

    def refused(self, batch: Sequence[_Waiting], error: BaseException) -> None:
        """A record, and all behind it, came to nothing. A fault of the code itself is also told to the loop."""
        expected = self.ended is error or isinstance(error, Conflict | StoreError)
        self._end(batch, error)
        self._rest()
        if not expected:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the writer of stream {self._stream} has ended", "exception": error}
            )

    # -- both ---------------------------------------------------------------------------------------------------------

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

    def _make(self, events: list[Any]) -> tuple[Append, float]:
        at = stamp(self._clock)
        self._count += 1
        append = make_append(self._stream, self.head, f"{self._writer}.{self._count}", at, events, self._hint())
        self._points.reach("append.before", self._stream)
        return append, at

    def _give(self, batch: Sequence[_Waiting], at: float) -> None:
        for waiting in batch:
            if waiting.then is not None:
                waiting.then(at)
            if not waiting.future.done():
                waiting.future.set_result(at)

    def _end(self, batch: Sequence[_Waiting], error: BaseException) -> None:
        self.ended = error
        queue, self._queue = self._queue, []
        _refuse([*batch, *queue], error)

    def _rest(self) -> None:
        self._busy = False
        self._pump = None
        for rest in self._at_rest:
            if not rest.done():
                rest.set_result(None)
        self._at_rest.clear()


def _refuse(batch: Sequence[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)
            waiting.future.exception()  # who does not await it any more is not to be warned about it
