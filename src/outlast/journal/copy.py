"""Copies a whole journal from one store into another, byte for byte, and goes on where it broke off.

The chain is verified while it is read: what arrives is what was written. The target continues the source's lineage, so
that stream keys, hashes and effect keys stay what they were. Blobs go before the records that name them, and hints
along with the first and the last record of a run (a hint that is lost on the way is found again by the sweep). How far
a stream was published goes behind its records, so that nothing is told twice, or not at all, after a move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from outlast.journal.audit import KINDS
from outlast.journal.blob import BlobRef, BlobStore, references
from outlast.journal.chain import genesis, verify
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.publication import cursor_stream
from outlast.journal.record import append_id_of
from outlast.journal.seal import Sealer, is_sealed, open_record
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import Append, EventStore, Head, Readable, StoredRecord, StreamKey
from outlast.journal.writer import settle_append
from outlast.kernel.clock import Clock
from outlast.kernel.error import Conflict, StoreCorrupt, StoreSealed

_page = 500
_patience_s = 60.0


class Source(Readable, Protocol):
    """What is copied: the reading half of EventStore and RunIndex."""

    @property
    def lineage(self) -> Lineage: ...

    async def entry(self, run: str) -> RunEntry | None: ...

    async def load(self, stream: str) -> Snapshot | None: ...


class Target(EventStore, SnapshotStore, Protocol):
    """What it is copied into."""


class Copied(msgspec.Struct):
    """What was done. Filled as the copy goes on; `progress` is shown the same object."""

    streams: int = 0
    records: int = 0
    """Records that were written."""
    there: int = 0
    """Records that an earlier copy had written."""
    events: int = 0
    blobs: int = 0
    cursors: int = 0
    """Of streams: how far they are published. What is not known is published again."""


class _Events(msgspec.Struct):
    events: list[dict[str, Any]]


_events = msgspec.json.Decoder(_Events)


class Copy:
    """One copy. Nobody may write the source meanwhile, and nobody else the target."""

    def __init__(
        self,
        source: Source,
        target: Target,
        from_blobs: BlobStore,
        to_blobs: BlobStore,
        clock: Clock,
        progress: Callable[[Copied], None] = lambda copied: None,
        sealer: Sealer | None = None,
        kinds: Sequence[str] = KINDS,
        at_once: int = 1,
    ) -> None:
        """Stores and blobs are those that hold what is stored; `sealer` opens records to see which blobs they name.
        Only streams of `kinds` are copied, in that order, `at_once` of a kind at the same time: they share commits.
        """
        self._source = source
        self._target = target
        self._from_blobs = from_blobs
        self._to_blobs = to_blobs
        self._clock = clock
        self._progress = progress
        self._sealer = sealer
        self._kinds = kinds
        self._at_once = at_once
        self._blobs: set[BlobRef] = set()
        self.copied = Copied()

    async def run(self) -> Copied:
        """Copy everything. Raises Conflict if the target holds another history, StoreCorrupt, StoreUnavailable."""
        if self._source.lineage != self._target.lineage:
            raise Conflict(
                f"the target has lineage {self._target.lineage}, the source {self._source.lineage}: copy into an empty "
                "store, or into the one where an earlier copy broke off"
            )
        for kind in self._kinds:
            after = ""
            while page := await self._source.streams(kind, after, _page):
                for start in range(0, len(page), self._at_once):
                    some = page[start : start + self._at_once]
                    ended = await asyncio.gather(*map(self._stream, some), return_exceptions=True)
                    for error in ended:
                        if error is not None:
                            raise error
                after = page[-1]
        return self.copied

    async def _stream(self, stream: str) -> None:
        key = StreamKey.parse(stream)
        entry = await self._source.entry(key.id) if key.kind == "run" else None
        there = await self._target.head(stream)
        head = genesis(stream)
        first = True
        while page := await self._source.read(stream, head.seq, _page):
            last_page = len(page) < _page
            for record in page:
                after = verify(stream, [record], head)
                if after.seq <= there.seq:
                    if after.seq == there.seq and after.hash != there.hash:
                        raise _other(stream, there)
                    self.copied.there += 1
                else:
                    if head.seq < there.seq:
                        raise _other(stream, there)
                    tells = entry is not None and (first or (last_page and record is page[-1]))
                    await self._record(stream, head, record, _hint(entry) if tells and entry else None)
                    first = False
                head = after
        if head.seq < there.seq:
            raise _other(stream, there)
        await self._cursor(stream)
        self.copied.streams += 1
        self._progress(self.copied)

    async def _record(self, stream: str, head: Head, record: StoredRecord, hint: HintPatch | None) -> None:
        for ref in await blobs_of(stream, record, self._sealer):
            if ref not in self._blobs:
                await self._to_blobs.put(await self._from_blobs.get(ref))
                self._blobs.add(ref)
                self.copied.blobs += 1
        append = Append(stream, head, append_id_of(record), record.count, record.body, hint)
        await settle_append(self._target, append, self._clock, _patience_s)
        self.copied.records += 1
        self.copied.events += record.count

    async def _cursor(self, stream: str) -> None:
        """How far a stream is published holds for the copy too: it is the same stream. An older one changes nothing."""
        try:
            cursor = await self._source.load(cursor_stream(stream))
        except StoreCorrupt:
            return  # as if it had been lost: then all of the stream is published again
        if cursor is not None:
            await self._target.save(cursor)
            self.copied.cursors += 1


async def blobs_of(stream: str, record: StoredRecord, sealer: Sealer | None) -> Iterable[BlobRef]:
    """The blobs that a record names. Raises StoreSealed if it is sealed and there are no keys, StoreCorrupt."""
    if is_sealed(record):
        if sealer is None:
            raise StoreSealed(f"stream {stream} is sealed: give the keys (encrypt: …), to see which blobs it names")
        record = await open_record(stream, record, sealer)
    return references(_events.decode(record.body).events) if b'"sha256"' in record.body else ()


def _other(stream: str, there: Head) -> Conflict:
    return Conflict(
        f"stream {stream} of the target ends at event {there.seq} of another history: copy into an empty store"
    )


def _hint(entry: RunEntry) -> HintPatch:
    """All that the index knows of a run."""
    default = RunEntry(entry.run)
    said = {
        name: getattr(entry, name)
        for name in RunEntry.__struct_fields__
        if name == "run" or getattr(entry, name) != getattr(default, name)
    }
    patch = HintPatch(**said)
    return msgspec.structs.replace(patch, state=entry.state) if patch.state is UNSET else patch
