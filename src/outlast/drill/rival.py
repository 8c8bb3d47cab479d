"""Clients that write to the same few streams at once, resend what stays unknown, and look: a load that finds races.

What each client does is decided by the seed alone; in which order their calls meet is up to the store and the machine.
"""

from __future__ import annotations

import asyncio
import random as _random  # noqa: TID251 (only named as a type: `derived` makes it)

import msgspec

from outlast.drill.recorder import Book, RecordingStore
from outlast.journal.chain import genesis
from outlast.journal.event import Event, version_field
from outlast.journal.record import make_append
from outlast.journal.stream import Append, EventStore, Head, Unknown
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreUnavailable
from outlast.kernel.randomness import derived

page_records = 5
"""A client reads at most so many records at once."""
resends_max = 5
"""So often a client sends the same bytes again while their outcome is unknown; then it gives up, and goes on."""

views_max = 20
"""How many of the ends that it saw a client remembers, the older ones to append at a place that is taken."""


class Rivalry(msgspec.Struct, frozen=True):
    """How much of it: `clients` each make `calls` on `streams` streams, one at a time."""

    seed: int
    clients: int = 6
    streams: int = 2
    calls: int = 60
    first_client: int = 0
    """The number of the first one, for those who share the work with other processes."""
    pause_s: float = 0.0
    """Between two calls of a client."""


class RivalNote(Event, frozen=True, tag="rival.note"):
    """Who wrote it, as which of its calls."""

    client: str
    number: int
    v: int = version_field(1)


def streams_of(rivalry: Rivalry, store: EventStore) -> list[str]:
    """The keys of the streams that are fought over: new ones for each seed."""
    return [f"run/rival-{rivalry.seed}-{number}@{store.lineage}" for number in range(rivalry.streams)]


async def compete(
    store: EventStore, rivalry: Rivalry, clock: Clock, book: Book, stop: asyncio.Event | None = None
) -> None:
    """All clients of this process at once, every call noted in `book`, until they are through or `stop` is set."""
    streams = streams_of(rivalry, store)
    async with asyncio.TaskGroup() as group:
        for number in range(rivalry.first_client, rivalry.first_client + rivalry.clients):
            name = f"client{number}"
            seen_by = RecordingStore(store, name, clock, book)
            chance = derived("rival", str(rivalry.seed), name)
            group.create_task(_Client(name, seen_by, streams, chance, clock).run(rivalry, stop))


async def take_stock(store: EventStore, rivalry: Rivalry, clock: Clock, book: Book) -> None:
    """The last look at every stream: nothing that was acknowledged may be missing from it. Raises StoreUnavailable."""
    last = RecordingStore(store, "last", clock, book)
    for stream in streams_of(rivalry, store):
        await last.head(stream)
        after = 0
        while page := await last.read(stream, after, 100):
            after = page[-1].seq + page[-1].count - 1


class _Client:
    def __init__(self, name: str, store: EventStore, streams: list[str], chance: _random.Random, clock: Clock) -> None:
        self._name = name
        self._store = store
        self._streams = streams
        self._chance = chance
        self._clock = clock
        self._views = {stream: [genesis(stream)] for stream in streams}
        self._open: list[Append] = []
        self._count = 0

    async def run(self, rivalry: Rivalry, stop: asyncio.Event | None) -> None:
        for _ in range(rivalry.calls):
            if stop is not None and stop.is_set():
                return
            if rivalry.pause_s:
                await self._clock.sleep(rivalry.pause_s)
            stream = self._chance.choice(self._streams)
            act = self._chance.random()
            try:
                if act < 0.55:
                    await self._append(stream)
                elif act < 0.65 and self._open:
                    await self._send(self._chance.choice(self._open))
                elif act < 0.82:
                    self._saw(stream, await self._store.head(stream))
                else:
                    await self._read(stream)
            except StoreUnavailable:
                continue

    async def _append(self, stream: str) -> None:
        views = self._views[stream]
        expected = self._chance.choice(views) if self._chance.random() < 0.1 else views[-1]
        self._count += 1
        name = f"{self._name}.{self._count}"
        notes = [RivalNote(self._name, self._count)] * self._chance.choice((1, 1, 1, 3))
        await self._send(make_append(stream, expected, name, self._clock.now(), notes))

    async def _send(self, append: Append) -> None:
        patience = self._chance.randint(0, resends_max)
        for _ in range(patience + 1):
            outcome = await self._store.append(append)
            if not isinstance(outcome, Unknown):
                self._saw(append.stream, outcome.head)
                self._open = [one for one in self._open if one.append_id != append.append_id]
                return
        if append not in self._open:
            self._open.append(append)

    async def _read(self, stream: str) -> None:
        end = self._views[stream][-1].seq
        after = self._chance.choice((0, max(0, end - 3), end))
        page = await self._store.read(stream, after, page_records)
        if page and len(page) < page_records:
            self._saw(stream, Head(page[-1].seq + page[-1].count - 1, page[-1].hash))

    def _saw(self, stream: str, head: Head) -> None:
        views = self._views[stream]
        views.append(head)
        del views[:-views_max]
