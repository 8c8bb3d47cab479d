"""Followers: clients that see a run's events as they happen (server-sent events), or wait for its end.

A follower reads the store by its own cursor; a notice only wakes it earlier than its slow poll would. So losing,
doubling or reordering notices costs time, and no event is missed or doubled. Nothing is queued for a follower: one that
does not keep up reads later, and one that takes nothing at all is dropped.

Source of the format: html.spec.whatwg.org, section 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from outlast.agent.control import Control, EventView, RunView
from outlast.agent.event import RunEnd
from outlast.journal.index import ENDED
from outlast.journal.stream import Notice
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError, StoreUnavailable
from outlast.server.gate import Turn
from outlast.server.limit import Limits
from outlast.server.problem import problem_of
from outlast.server.refusal import BadRequest, Overloaded, Stopping

END_TYPES: frozenset[str] = frozenset(kind.__struct_config__.tag for kind in RunEnd.__args__)
"""The types of a run's last event."""

cursor_max = 2**53 - 1
"""The largest number of an event that a client may name: what every JSON reader can hold."""

_page_events = 64
_chunk_bytes = 32 * 1024


class Follower:
    """One client that follows one run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.wake = asyncio.Event()
        self.gone = False
        """The client has closed its connection."""

    def leave(self) -> None:
        self.gone = True
        self.wake.set()


class Followers:
    """All clients that follow. Knows of growth by one listener of the store, there as long as anybody follows."""

    def __init__(self, control: Control, limits: Limits, clock: Clock) -> None:
        self.control = control
        self.limits = limits
        self.clock = clock
        self.stopping = False
        self._count = 0
        self._by_run: dict[str, set[Follower]] = {}
        self._deafen: Callable[[], None] = _nothing

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count

    def _heard(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            kind, _, rest = notice.stream.partition("/")
            if kind == "run":
                for follower in self._by_run.get(rest.partition("@")[0], ()):
                    follower.wake.set()

    def stop(self) -> None:
        """Tell every follower to come back to another server."""
        self.stopping = True
        for followers in self._by_run.values():
            for follower in followers:
                follower.wake.set()

    @contextmanager
    def place(self) -> Generator[None]:
        """A place among the followers; raises Overloaded if there is none, Stopping if the server is."""
        if self.stopping:
            raise Stopping("the server is shutting down: follow again in a moment")
        if self._count >= self.limits.followers_max:
            raise Overloaded(f"the server has {self.limits.followers_max} followers, which is its bound: try again")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    @contextmanager
    def watch(self, run: str) -> Generator[Follower]:
        """A follower of `run` that notices wake."""
        follower = Follower(run)
        if not self._by_run:
            self._deafen = self.control.platform.store.listen(self._heard)
        self._by_run.setdefault(run, set()).add(follower)
        try:
            yield follower
        finally:
            followers = self._by_run[run]
            followers.discard(follower)
            if not followers:
                del self._by_run[run]
            if not self._by_run:
                self._deafen()

    async def nap(self, follower: Follower, seconds: float) -> None:
        """Until something may have happened, at most `seconds` and at most one poll."""
        try:
            async with asyncio.timeout(min(seconds, self.limits.poll_s)):
                await follower.wake.wait()
        except TimeoutError:
            return  # time to look by itself

    async def check_cursor(self, run: str, after: int) -> bool:
        """Whether event `after` is the run's last for ever. Raises NotFound for the run, BadRequest for the event."""
        last = await self.control.events(run, after=max(after - 1, 0), limit=1)
        if after and not last:
            await self.control.events(run, after=0, limit=1)
            raise BadRequest(f"run {run} has no event {after} yet: follow from an event that you were given")
        return bool(after and last and last[0].type in END_TYPES)

    async def until_end(self, run: str, seconds: float) -> RunView:
        """The run when it has ended, or as it is after `seconds`; without its steps' values.

        The index hints at the end, the journal says it.
        """
        until = self.clock.monotonic() + seconds
        with self.watch(run) as follower:
            while True:
                follower.wake.clear()
                left = until - self.clock.monotonic()
                entry = await self.control.platform.index.entry(run)
                if left <= 0 or self.stopping or (entry is not None and entry.state in ENDED):
                    return without_values(await self.control.view(run))
                await self.nap(follower, left)


def without_values(view: RunView) -> RunView:
    """A run without what its steps gave, which may be more than one answer holds."""
    for step in view.steps:
        step.value = None
    return view


class EventStream:
    """A response that is a run's events after number `after`, until its last one.

    Besides the run's own events (their type as ``event:``, their number as ``id:``) a client may see one of these as
    the last, without an id: ``outlast.dropped`` (it was too slow), ``outlast.stopping`` (the server is),
    ``outlast.resume`` (it has followed long enough), ``outlast.error``. Each carries a problem document; after all but
    ``outlast.error``, come back with Last-Event-ID. `place` holds the client's place among the followers, which ends
    with the response.
    """

    def __init__(
        self, followers: Followers, place: ExitStack, run: str, after: int, status: int, headers: Mapping[str, str]
    ) -> None:
        self._followers = followers
        self._place = place
        self._limits = followers.limits
        self._clock = followers.clock
        self._run = run
        self._after = after
        self._status = status
        self._headers = {"content-type": "text/event-stream", "x-accel-buffering": "no", **headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        Turn.of(scope).follow()
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self._headers.items()]
        with self._place, self._followers.watch(self._run) as follower:
            await send({"type": "http.response.start", "status": self._status, "headers": headers})
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_until_gone(receive, follower))
                last = await self._told(follower, send)
                watching.cancel()
            if last == _DROPPED:
                hurry: Any = scope.get("extensions", {}).get("outlast.hurry", _nothing)
                hurry()
            if not follower.gone:
                await send({"type": "http.response.body", "body": last})

    async def _told(self, follower: Follower, send: Send) -> bytes:
        """Send all that happens; returns the last words."""
        until = self._clock.monotonic() + self._limits.follow_max_s
        said_at = self._clock.monotonic()
        chunks = [b"retry: 1000\n\n"]
        try:
            while not follower.gone:
                for chunk in chunks:
                    async with asyncio.timeout(self._limits.follower_stall_s):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    said_at = self._clock.monotonic()
                follower.wake.clear()
                events = await self._page()
                now = self._clock.monotonic()
                if events:
                    self._after = events[-1].seq
                    chunks = list(_chunks(events))
                    if events[-1].type in END_TYPES:
                        return await self._finish(chunks, send)
                elif self._followers.stopping:
                    return _STOPPING
                elif now >= until:
                    return _RESUME
                else:
                    chunks = [b": beat\n\n"] if now - said_at >= self._limits.heartbeat_s else []
                    if not chunks:
                        await self._followers.nap(follower, self._limits.heartbeat_s)
        except TimeoutError:
            return _DROPPED
        except OutlastError as error:
            return frame("outlast.error", msgspec.json.encode(problem_of(error)))
        return b""

    async def _finish(self, chunks: Sequence[bytes], send: Send) -> bytes:
        for chunk in chunks[:-1]:
            async with asyncio.timeout(self._limits.follower_stall_s):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        return chunks[-1]

    async def _page(self) -> Sequence[EventView]:
        """What comes next; nothing while the store does not answer, which is a matter of time."""
        try:
            async with asyncio.timeout(self._limits.request_timeout_s):
                return await self._followers.control.events(
                    self._run, after=self._after, limit=_page_events, bytes_max=self._limits.page_bytes_max
                )
        except (StoreUnavailable, TimeoutError):
            return []


def frame(kind: str, data: bytes, number: int | None = None) -> bytes:
    """One server-sent event. `data` is JSON without a line break, `kind` one of our own words."""
    head = b"" if number is None else b"id: %d\n" % number
    return head + b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _chunks(events: Sequence[EventView]) -> Iterator[bytes]:
    """The frames of `events`, some together in one write."""
    size, frames = 0, list[bytes]()
    for event in events:
        made = frame(event.type, msgspec.json.encode(event), event.seq)
        frames.append(made)
        size += len(made)
        if size >= _chunk_bytes:
            yield b"".join(frames)
            size, frames = 0, []
    if frames:
        yield b"".join(frames)


def _last_words(kind: str, error: OutlastError) -> bytes:
    return frame(kind, msgspec.json.encode(problem_of(error)))


_DROPPED = _last_words(
    "outlast.dropped", Overloaded("the client took nothing for too long: follow again by Last-Event-ID")
)
_STOPPING = _last_words("outlast.stopping", Stopping("the server is shutting down: follow again by Last-Event-ID"))
_RESUME = _last_words("outlast.resume", Stopping("this has been followed long enough: follow again by Last-Event-ID"))


async def _until_gone(receive: Receive, follower: Follower) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    follower.leave()


def _nothing() -> None:
    return None
