"""A client's connection to the writing process: requests in, outcomes out, lost and found again."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from outlast.adapters.sqlite.lone import Lone
from outlast.adapters.sqlite.spin import Spin
from outlast.adapters.sqlite.wire import (
    Answer,
    Appends,
    Done,
    Malformed,
    Notices,
    Outcomes,
    Ping,
    Refused,
    Remove,
    Save,
    Subscribe,
    Welcome,
    answers,
    frame,
    frame_bytes_fit,
    frame_count_fit,
    protocol,
)
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Notice, Reply, Unknown
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError, PayloadTooLarge, StoreUnavailable, UsageError

reconnect_first_s = 0.005
reconnect_max_s = 0.25
"""Pauses between attempts to reach the writing process: doubled from the first to the last."""
answer_s_max = 10.0
"""How long an answer is waited for. Then the connection is given up and the outcome is unknown."""
in_flight_max = 20_000
"""Bound of the requests without an answer."""
in_flight_bytes_max = 64 * 1024 * 1024
"""Bound of the bodies that wait for a connection or for the writing process to read, 64 MiB."""
_read_bytes = 64 * 1024
_reads_max = 16


class Link:
    """Belongs to one event loop. Connects when it is made, and again whenever the connection is lost.

    What was sent on a lost connection is Unknown at once; what was not sent yet waits for the next, within
    `answer_s_max`. With a `clock`, the answer to an append of a stream that is alone (`lone.py`) is awaited awake
    within `append`, while that pays (`spin.py`); a loop's own time is too coarse for that.
    """

    def __init__(
        self,
        socket_path: Path,
        hear: Callable[[Sequence[Notice]], None],
        *,
        answer_s: float = answer_s_max,
        clock: Clock | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = socket_path
        self._hear = hear
        self._answer_s = answer_s
        self._channel: socket.socket | None = None
        self._frames = answers()
        self._number = 0
        self._replies: dict[int, Reply] = {}  # in the order of their numbers
        self._queue: list[tuple[int, Append]] = []  # not sent yet
        self._queue_bytes = 0
        self._unsent = bytearray()
        self._flushing = False
        self._subscribed: Subscribe | None = None
        self._pause_s = reconnect_first_s
        self._retry: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._marks: deque[tuple[float, int]] = deque()
        self._burst = 0
        self._lone = Lone()
        self._poll = select.poll()
        self._spin = None if clock is None else Spin(clock.monotonic)
        self._closed = False
        self.welcome: asyncio.Future[Welcome] = self._loop.create_future()
        """What the writing process said of itself when it was first reached."""
        self._connect()

    @property
    def connected(self) -> bool:
        """Whether there is a connection (which does not say that the other end lives)."""
        return self._channel is not None

    def append(self, append: Append, reply: Reply) -> None:
        """Send with what else is appended in this turn of the loop; `reply` is told the outcome."""
        number = self._request(reply)
        if number not in self._replies:
            return
        if len(self._replies) > in_flight_max or self._queue_bytes > in_flight_bytes_max:
            self._resolve(number, Unknown(f"{len(self._replies)} requests are in flight already: send it again later"))
            return
        self._queue.append((number, append))
        self._queue_bytes += len(append.body)
        is_lone = self._lone.again(append.stream)
        if not self._flushing:
            if self._burst <= 1 and len(self._replies) == 1:
                # alone so far: sent at once, because a turn of the loop is a tenth of a commit
                self._flush()
                if is_lone and self._spin is not None and self._spin.begin():
                    self._wait_here(number, self._spin)
            else:
                self._flushing = True
                self._loop.call_soon(self._flush)

    def save(self, snapshot: Snapshot) -> asyncio.Future[None]:
        """Send a snapshot. The future raises StoreUnavailable, UsageError, PayloadTooLarge."""
        future: asyncio.Future[None] = self._loop.create_future()
        number = self._request(future)
        self._control(number, Save(number, snapshot))
        return future

    def remove(self, runs: Sequence[Ended]) -> asyncio.Future[None]:
        """Have runs removed. The future raises StoreUnavailable."""
        future: asyncio.Future[None] = self._loop.create_future()
        number = self._request(future)
        self._control(number, Remove(number, runs))
        return future

    def ping(self) -> asyncio.Future[None]:
        """A round trip. The future raises StoreUnavailable."""
        future: asyncio.Future[None] = self._loop.create_future()
        number = self._request(future)
        self._control(number, Ping(number))
        return future

    def subscribe(self, *, steps: bool) -> None:
        """Ask for notices, those of steps too or not, now and after every reconnection."""
        wanted = Subscribe(steps)
        if self._subscribed != wanted:
            self._subscribed = wanted
            if self._channel is not None:
                self._write(frame(wanted))

    def close(self) -> None:
        """End the connection: what is in flight is Unknown, or raises StoreUnavailable. Any number of times."""
        self._closed = True
        for timer in (self._retry, self._watch):
            if timer is not None:
                timer.cancel()
        self._retry = self._watch = None
        self._lost("this client was closed")
        for number in list(self._replies):
            self._fail(number, "this client was closed")
        self._queue.clear()
        if not self.welcome.done():
            self.welcome.cancel()

    def _request(self, reply: Reply) -> int:
        self._number = number = self._number + 1
        self._replies[number] = reply
        if self._closed:
            self._fail(number, "this client was closed")
        elif self._watch is None:
            self._watch = self._loop.call_later(self._answer_s / 8, self._look)
        return number

    def _control(self, number: int, message: Save | Ping | Remove) -> None:
        if self._channel is None:
            self._fail(number, f"the writing process cannot be reached at {self._path}")
        else:
            self._flush()
            self._write(frame(message))

    def _flush(self) -> None:
        self._flushing = False
        if self._channel is None or self._unsent:
            return  # goes out with the connection, or when the socket takes more
        queue, self._queue = self._queue, []
        self._queue_bytes = 0
        start = size = 0
        for index, (_, append) in enumerate(queue):
            size += len(append.body)
            if size >= frame_bytes_fit or index - start + 1 >= frame_count_fit:
                self._write_appends(queue[start : index + 1])
                start, size = index + 1, 0
        if start < len(queue):
            self._write_appends(queue[start:])

    def _wait_here(self, number: int, spin: Spin) -> None:
        """Let the loop stand still for a moment: its turns and a wake-up would take a third of a commit."""
        while self._channel is not None and number in self._replies and spin.again():
            if self._poll.poll(0):
                self._on_readable()
        if number not in self._replies:
            spin.won()

    def _write_appends(self, items: list[tuple[int, Append]]) -> None:
        try:
            raw = frame(Appends(items))
        except (UnicodeEncodeError, OverflowError, TypeError) as error:
            if len(items) > 1:
                for item in items:  # one that cannot be written down must not harm the others
                    self._write_appends([item])
                return
            self._raise(items[0][0], UsageError(f"an append cannot be written down: {error}"))
            return
        self._write(raw)

    def _write(self, raw: bytearray) -> None:
        channel = self._channel
        if channel is None:
            return  # lost meanwhile: everything that was sent has been answered Unknown
        if self._unsent:
            self._unsent += raw
            return
        try:
            sent = channel.send(raw)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lost(f"the writing process is gone ({error.strerror})")
            return
        if sent < len(raw):
            self._unsent += raw[sent:]
            self._loop.add_writer(channel, self._on_writable)

    def _on_writable(self) -> None:
        channel, raw = self._channel, self._unsent
        if channel is None:
            return
        self._loop.remove_writer(channel)
        self._unsent = bytearray()
        self._write(raw)
        if not self._unsent:
            self._flush()

    def _on_readable(self) -> None:
        self._burst = 0
        for _ in range(_reads_max):
            if self._channel is None:
                return
            try:
                received = self._channel.recv(_read_bytes)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lost(f"the writing process is gone ({error.strerror})")
                return
            if not received:
                self._lost("the writing process is gone")
                return
            try:
                messages = self._frames.feed(received)
            except Malformed as error:
                self._lost(f"the writing process answered with nonsense: {error}")
                return
            for message in messages:
                self._take(message)
            if len(received) < _read_bytes:
                return

    def _take(self, message: Answer) -> None:
        match message:
            case Outcomes(items=items):
                self._burst += len(items)
                for number, outcome in items:
                    self._resolve(number, outcome)
            case Notices(items=items):
                self._hear(items)
            case Done(id=number):
                self._resolve(number, None)
            case Refused(id=number, kind=kind, message=text):
                self._raise(number, _REFUSALS.get(kind, StoreUnavailable)(text))
            case Welcome():
                self._pause_s = reconnect_first_s
                if message.protocol != protocol:
                    self._lost(f"the writing process speaks protocol {message.protocol}, this one {protocol}")
                elif not self.welcome.done():
                    self.welcome.set_result(message)

    def _resolve(self, number: int, result: Any) -> None:
        reply = self._replies.pop(number, None)
        if reply is not None and not reply.done():
            reply.set_result(result)

    def _raise(self, number: int, error: OutlastError) -> None:
        reply = self._replies.pop(number, None)
        if reply is not None and not reply.done():
            reply.set_exception(error)

    def _fail(self, number: int, reason: str) -> None:
        """Nobody can say what became of it."""
        self._resolve(number, Unknown(reason))

    def _lost(self, reason: str) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._loop.remove_reader(channel)
            self._loop.remove_writer(channel)
            self._poll.unregister(channel)
            channel.close()
        self._frames = answers()
        self._unsent = bytearray()
        waiting = {number for number, _ in self._queue}
        for number in [number for number in self._replies if number not in waiting]:
            self._fail(number, reason)
        if not self._closed and self._retry is None:
            self._retry = self._loop.call_later(self._pause_s, self._connect)
            self._pause_s = min(self._pause_s * 2, reconnect_max_s)

    def _connect(self) -> None:
        self._retry = None
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.setblocking(False)
        try:
            channel.connect(os.fspath(self._path))
        except OSError as error:  # a full backlog too: the writing process is busy, or does not run
            channel.close()
            self._lost(f"the writing process cannot be reached ({error.strerror})")
            return
        self._channel = channel
        self._loop.add_reader(channel, self._on_readable)
        self._poll.register(channel, select.POLLIN)
        if self._subscribed is not None:
            self._write(frame(self._subscribed))
        self._flush()

    def _look(self) -> None:
        """From time to time while anything is in flight: give up what has no answer for too long."""
        self._watch = None
        now = self._loop.time()
        overdue = 0
        while self._marks and self._marks[0][0] <= now - self._answer_s:
            overdue = self._marks.popleft()[1]
        self._marks.append((now, self._number))
        late = [number for number in self._replies if number <= overdue]
        if late:
            reason = f"the writing process gave no answer within {self._answer_s:g} s"
            if self._channel is not None:
                self._lost(reason)
            for number in late:
                self._fail(number, reason)
            self._queue = [item for item in self._queue if item[0] > overdue]
            self._queue_bytes = sum(len(append.body) for _, append in self._queue)
        if self._replies and not self._closed:
            self._watch = self._loop.call_later(self._answer_s / 8, self._look)
        else:
            self._marks.clear()


_REFUSALS: dict[str, type[OutlastError]] = {
    "usage": UsageError,
    "too_large": PayloadTooLarge,
    "unavailable": StoreUnavailable,
}
