"""What retention removed, on record: a stream of the journal says so before anything goes.

An audit that misses a stream which was anchored, or finds another one under its name, must know that it was let go on
purpose. The record is an event like all others: chained, anchored, copied by a migration. It names the stream's last
event and hash, so that it still says what there was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from outlast.journal.chain import genesis
from outlast.journal.event import Event, version_field
from outlast.journal.index import RunEntry
from outlast.journal.record import Reader, make_append
from outlast.journal.stream import EventStore, Head, Readable, StoredRecord, StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.clock import Clock, stamp
from outlast.kernel.error import StoreUnavailable
from outlast.kernel.identity import new_id
from outlast.kernel.randomness import Randomness

KIND = "removal"
record_streams_max = 256
"""Bound of the removals in one record."""
_page = 500
_rounds_max = 50
_patience_s = 60.0
_month_s = 30 * 86400.0


class StreamRemoved(Event, frozen=True, tag="stream.removed"):
    """A stream that ended there is removed: it, its snapshots, and what only it named."""

    stream: str
    seq: int
    hash: str
    """Of the chain there, in hexadecimal."""
    reason: str = ""
    v: int = version_field(1)


_reader: Reader[StreamRemoved] = Reader(StreamRemoved, {}, {str(StreamRemoved.__struct_config__.tag): 1})


class Removal(msgspec.Struct, frozen=True):
    """One removal as it is on record; the last one, where a name was used again. `at`: seconds since 1970."""

    stream: str
    seq: int
    hash: str
    at: float
    reason: str = ""


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """All that is to be removed of one run: its streams with their ends, and what else is kept under its name."""

    run: str
    heads: Sequence[tuple[str, Head]]
    snapshots: Sequence[str] = ()
    """Streams of which only the snapshots go, such as that of a cursor."""


class Shrinking(Protocol):
    """A journal from which runs can be removed. Every adapter passes `tests/contracts/shrinking.py`."""

    async def ended(self, before: float, after: tuple[float, str] = (0.0, ""), limit: int = 100) -> Sequence[RunEntry]:
        """Runs without a session that ended at or before a time, as far as the index knows: by (created_at, run), those
        behind `after`.
        """
        ...

    async def remove(self, runs: Sequence[Ended]) -> None:
        """Remove these runs, each wholly or not at all: streams, snapshots, entry. One of which a stream does not end
        where it is said stays. Any number of times; not durable at once. Raises StoreUnavailable.
        """
        ...


removed_count_max = 20
"""Bound of the runs in one `remove`."""
removed_events_max = 5_000
"""Bound of their events; a run that has more goes alone. Who appends meanwhile waits."""


async def record_removals(
    store: EventStore, heads: Sequence[tuple[str, Head]], clock: Clock, randomness: Randomness, reason: str = ""
) -> None:
    """Put on record that these streams are about to be removed; durable when this returns. Any number of times.

    Raises StoreUnavailable, StoreCorrupt.
    """
    for start in range(0, len(heads), record_streams_max):
        events = [
            StreamRemoved(stream, head.seq, head.hash.hex(), reason)
            for stream, head in heads[start : start + record_streams_max]
        ]
        await _record(store, events, clock, randomness)


async def _record(store: EventStore, events: Sequence[StreamRemoved], clock: Clock, randomness: Randomness) -> None:
    for _ in range(_rounds_max):
        now = stamp(clock)
        key = str(StreamKey(KIND, f"m{int(now // _month_s)}", store.lineage))
        head = await store.head(key)
        append = make_append(key, head if head.seq else genesis(key), new_id("gone", clock, randomness), now, events)
        try:
            await settle_append(store, append, clock, _patience_s)
        except Fenced:
            continue  # another host does the same
        return
    raise StoreUnavailable("removals cannot be put on record: too many hosts do so at once; try again")


def removals_in(stream: str, record: StoredRecord) -> list[Removal]:
    """What a record of a stream of removals says. Raises StoreCorrupt."""
    envelope = _reader.read(stream, record)
    return [Removal(event.stream, event.seq, event.hash, envelope.at, event.reason) for event in envelope.events]


async def removals(store: Readable) -> AsyncIterator[Removal]:
    """Every removal on record, oldest first; one that was recorded twice comes twice. Raises StoreError."""
    after = ""
    while page := await store.streams(KIND, after, _page):
        for stream in page:
            seq = 0
            while records := await store.read(stream, seq, _page):
                for record in records:
                    for removal in removals_in(stream, record):
                        yield removal
                seq = records[-1].seq + records[-1].count - 1
        after = page[-1]


async def removed_streams(store: Readable) -> dict[str, Removal]:
    """The last removal of each stream. Raises StoreError."""
    return {removal.stream: removal async for removal in removals(store)}
