"""Publishes what the journal says, each stream in order and at least once.

It reads the journal itself: what was appended is published, however long the outbox was away, and nothing else is.
Streams that grew are heard of by notices, which may be lost; a slow sweep finds the rest. How far a stream has been
published is kept as a snapshot of a stream of the outbox's own: a cursor that is lost, late or unreadable only repeats.
There is a cursor for each stream and none for all of them: no store has a global order that could be trusted.

Source: the transactional outbox (Richardson, "Microservices Patterns", 2018); the journal is the outbox table.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import msgspec

from outlast.agent.disclosure import ENDINGS, KINDS, disclosed
from outlast.agent.platform import Platform
from outlast.journal.chain import genesis, verify
from outlast.journal.publication import (
    Publication,
    Publisher,
    PublisherUnavailable,
    Told,
    cursor_stream,
    cursor_version,
    publish_count_max,
)
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Head, Notice
from outlast.kernel.error import OutlastError, StoreCorrupt, StoreError, StoreSealed, UsageError
from outlast.policy.retry import Retry

_UNREADABLE = (StoreCorrupt, StoreSealed, UsageError)
"""What is wrong with one stream, whatever is well with the store."""


class OutboxBounds(msgspec.Struct, frozen=True):
    """The bounds; times in seconds. Beyond `streams_max` streams with news a notice is dropped: the sweep finds it."""

    content: bool = False
    """Whether payloads, messages and reasons are published too."""
    per_s: float = 200.0
    """Publications a second."""
    streams_max: int = 10_000
    page: int = 50
    cursor_every_s: float = 5.0
    """How often the cursor of a stream that keeps growing is written: so much is published again after a crash."""
    sweep_every_s: float = 600.0
    sweep_rest_s: float = 0.005
    again: Retry = Retry(attempts=1_000, first_s=0.2, max_s=30.0)


class Published(msgspec.Struct):
    """What an outbox has counted."""

    sent: int = 0
    again: int = 0
    refused: int = 0
    cursors: int = 0


class _Stream:
    """One with news: what was read of it and not yet published, and how far it is published."""

    __slots__ = ("ended", "published", "queue", "read", "saved", "saved_at")

    def __init__(self, head: Head, now: float) -> None:
        self.read = head
        self.published = head
        self.saved = head
        self.saved_at = now
        self.ended = False
        self.queue: deque[tuple[Publication, Head | None]] = deque()  # the head stands at the last event of a record


class Outbox:
    """Give `ring` to `EventStore.listen`, and run `run` until it is cancelled. `mine` says which streams it publishes.

    Two that publish the same streams double what they publish, which everybody who listens must bear anyway.
    `complain` gets a line for what cannot be published.
    """

    def __init__(
        self,
        platform: Platform,
        publisher: Publisher,
        complain: Callable[[str], None],
        bounds: OutboxBounds | None = None,
        mine: Callable[[str], bool] = lambda stream: True,
    ) -> None:
        self.counts = Published()
        self._platform = platform
        self._publisher = publisher
        self._complain = complain
        self._bounds = bounds or OutboxBounds()
        self._mine = mine
        self._news: OrderedDict[str, None] = OrderedDict()
        self._open: dict[str, _Stream] = {}
        self._rung = asyncio.Event()
        self._turn = asyncio.Lock()
        self._failures = 0
        self._free_at = 0.0

    @property
    def room(self) -> int:
        """Of how many more streams it may be told before it drops a notice."""
        return self._bounds.streams_max - len(self._news)

    def ring(self, notices: Sequence[Notice]) -> None:
        """These streams may have grown."""
        for notice in notices:
            self._ask_for(notice.stream)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work(), name="outbox-work")
            group.create_task(self._look_around(), name="outbox-sweep")
            group.create_task(self._keep_cursors(), name="outbox-cursors")

    async def sweep(self) -> int:
        """Look at every stream once; how many had news. Raises StoreError."""
        found = 0
        for kind in KINDS:
            after = ""
            while page := await self._platform.store.streams(kind, after, self._platform.settings.sweep_page):
                for stream in page:
                    await self._platform.clock.sleep(self._bounds.sweep_rest_s)
                    if self._mine(stream) and await self._has_news(stream):
                        found += 1
                        self._ask_for(stream)
                after = page[-1]
        return found

    async def _has_news(self, stream: str) -> bool:
        known = self._open.get(stream)
        try:
            published = known.published if known is not None else await self._cursor(stream)
            return (await self._platform.store.head(stream)).seq > published.seq
        except _UNREADABLE as error:  # one of them keeps no other from being found
            self._complain(f"stream {stream} cannot be published: {error}")
            return False

    async def round(self) -> int:
        """Publish what is next of some streams with news, `publish_count_max` events at most; how many were sent.

        Raises PublisherUnavailable, StoreError.
        """
        async with self._turn:
            return await self._round()

    async def save(self) -> None:
        """Write every cursor that is behind. Raises StoreError."""
        async with self._turn:
            await self._save(list(self._open), now=True)

    # Inside

    async def _round(self) -> int:
        parts = await self._gather()
        batch = [publication for _, part in parts for publication in part]
        if not batch:
            return 0
        told = await self._publisher.publish(batch)
        self._pace(len(batch))
        start = 0
        for stream, part in parts:
            self._take(stream, part, told[start : start + len(part)])
            start += len(part)
        await self._save([stream for stream, _ in parts])
        sent = sum(each == "sent" for each in told)
        if "again" in told:
            self.counts.again += sum(each == "again" for each in told)
            if sent == 0:
                raise PublisherUnavailable(f"none of {len(batch)} events was taken; they are sent again")
        return sent

    def _ask_for(self, stream: str) -> None:
        if stream.partition("/")[0] not in KINDS or not self._mine(stream):
            return
        if stream in self._news or len(self._news) < self._bounds.streams_max:
            self._news[stream] = None
            self._rung.set()

    async def _gather(self) -> list[tuple[str, list[Publication]]]:
        parts: list[tuple[str, list[Publication]]] = []
        room = publish_count_max
        for _ in range(len(self._news)):
            if room == 0:
                break
            stream = self._news.popitem(last=False)[0]
            part: list[Publication] = []
            try:
                part = await self._next(stream, room)
            except _UNREADABLE as error:
                self._open.pop(stream, None)
                self._complain(f"stream {stream} cannot be published: {error}")
            except BaseException:
                self._ask_for(stream)
                raise
            if part:
                # At the end, so that others get their turn; but what was read goes first: little waits in memory.
                self._news[stream] = None
                self._news.move_to_end(stream, last=len(self._open[stream].queue) == len(part))
                parts.append((stream, part))
                room -= len(part)
        return parts

    async def _next(self, stream: str, limit: int) -> list[Publication]:
        found = self._open.get(stream)
        if found is None:
            found = self._open[stream] = _Stream(await self._cursor(stream), self._platform.clock.monotonic())
        if not found.queue:
            records = await self._platform.store.read(stream, found.read.seq, self._bounds.page)
            for record in records:
                head = verify(stream, [record], found.read)
                events = disclosed(stream, record, content=self._bounds.content)
                found.queue.extend((event, None) for event in events[:-1])
                found.queue.append((events[-1], head))
                found.read = head
        return [publication for publication, _ in list(found.queue)[:limit]]

    def _take(self, stream: str, part: list[Publication], told: Sequence[Told]) -> None:
        """What was taken is behind us, up to the first that was not: that one and all after it are sent again."""
        found = self._open[stream]
        for publication, each in zip(part, told, strict=True):
            if each == "again":
                self._news.move_to_end(stream)
                return
            if each == "refused":
                self.counts.refused += 1
                self._complain(f"event {publication.seq} ({publication.type}) of {stream} is refused: it is left out")
            else:
                self.counts.sent += 1
            _, head = found.queue.popleft()
            found.published = head or found.published
            found.ended = publication.type in ENDINGS

    def _pace(self, count: int) -> None:
        now = self._platform.clock.monotonic()
        self._free_at = max(now, self._free_at) + count / self._bounds.per_s

    async def _work(self) -> None:
        clock = self._platform.clock
        while True:
            await self._rung.wait()
            try:
                await self.round()
            except (PublisherUnavailable, StoreError) as error:
                await self._pause(error)
                continue
            self._failures = 0
            if not self._news:
                self._rung.clear()
            await clock.sleep(max(0.0, self._free_at - clock.monotonic()))

    async def _pause(self, error: OutlastError) -> None:
        if self._failures == 0:
            self._complain(f"events cannot be published now: {error}")
        self._failures = min(self._failures + 1, 100)
        delay_s = self._bounds.again.delay_s(self._failures, self._platform.randomness.uniform())
        await self._platform.clock.sleep(delay_s or 0.0)

    async def _look_around(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                self._complain(f"streams cannot be swept for the outbox: {error}")
            await self._platform.clock.sleep(self._bounds.sweep_every_s)

    # Cursors

    async def _keep_cursors(self) -> None:
        while True:
            await self._platform.clock.sleep(self._bounds.cursor_every_s)
            try:
                async with self._turn:
                    await self._save(list(self._open))
            except StoreError as error:
                self._complain(f"cursors of the outbox cannot be written, events may come twice: {error}")

    async def _save(self, streams: Sequence[str], *, now: bool = False) -> None:
        at = self._platform.clock.monotonic()
        for stream in streams:
            found = self._open.get(stream)
            if found is None:
                continue
            due = now or found.ended or at - found.saved_at >= self._bounds.cursor_every_s
            if due and found.published != found.saved:
                head = found.published
                own = cursor_stream(stream)
                await self._platform.snapshots.save(Snapshot(own, head.seq, head.hash, cursor_version, stream.encode()))
                self.counts.cursors += 1
                found.saved, found.saved_at = head, at
            if not found.queue and found.published == found.saved and stream not in self._news:
                self._open.pop(stream, None)

    async def _cursor(self, stream: str) -> Head:
        """How far a stream is published; a cursor that cannot be used is one that was never written."""
        try:
            snapshot = await self._platform.snapshots.load(cursor_stream(stream))
        except StoreCorrupt:
            return genesis(stream)
        if snapshot is None or snapshot.v != cursor_version or snapshot.body != stream.encode():
            return genesis(stream)
        return Head(snapshot.seq, snapshot.hash)
