"""Takes a backup: copies what a journal holds, or what came since the last one, into a depot, while it is written.

It is a prefix of every stream (`survey.py` says which). What was written is decided by the manifest, which comes last:
one that is killed before has written segments that nobody counts, and the next one verifies them and goes on. Two at a
time cannot spoil each other: objects are written once, and the second is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from outlast.journal.blob import BlobRef, BlobStore
from outlast.journal.chain import genesis, verify
from outlast.journal.copy import blobs_of
from outlast.journal.seal import Sealer, is_sealed
from outlast.journal.stream import Head, StoredRecord
from outlast.kernel.clock import Clock
from outlast.kernel.error import NotFound, StoreCorrupt
from outlast.kernel.identity import new_id
from outlast.kernel.randomness import Randomness
from outlast.recover.catalog import Catalog, mark_depot
from outlast.recover.depot import Depot
from outlast.recover.manifest import (
    Index,
    Manifest,
    Stored,
    blob_name,
    index_name,
    segment_name,
    write_index,
    write_manifest,
)
from outlast.recover.segment import Extent, Piece, Title, format_current, make_piece, segment_bytes_max, write_segment
from outlast.recover.series import Series, find_series
from outlast.recover.survey import Source, survey

_page = 500
_blobs_at_once = 4


class Terms(msgspec.Struct, frozen=True):
    """How a backup is to be taken, and what it shall say of itself.

    `full`: a whole one, whatever there is. `lock_s`: for how long nobody shall be able to remove it, in seconds;
    `chain_s`: how old the full one may become that later ones stand on, which is added. `lets_go`: the journal removes
    streams by itself. `configuration`: outlast.yaml.
    """

    cell: str
    engine: str
    outlast: str
    full: bool = False
    lock_s: float = 0.0
    chain_s: float = 0.0
    lets_go: bool = False
    configuration: bytes = b""
    segment_bytes_max: int = segment_bytes_max


class Progress(msgspec.Struct):
    """What was copied so far. Filled as it goes on."""

    streams: int = 0
    records: int = 0
    bytes: int = 0
    segments: int = 0
    blobs: int = 0


class Backup:
    """One backup, to be taken once."""

    def __init__(
        self,
        source: Source,
        blobs: BlobStore,
        depot: Depot,
        clock: Clock,
        randomness: Randomness,
        terms: Terms,
        sealer: Sealer | None = None,
        progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        """`source` and `blobs` are those that hold what is stored; `sealer` opens records to see which blobs they
        name.
        """
        self._source = source
        self._from_blobs = blobs
        self._depot = depot
        self._clock = clock
        self._randomness = randomness
        self._terms = terms
        self._sealer = sealer
        self._tell = progress
        self.progress = Progress()
        self._locked_until = 0.0
        self._extents: list[Extent] = []
        self._segments: list[Stored] = []
        self._blobs: set[BlobRef] = set()
        self._waiting: list[Piece] = []
        self._size = 0

    async def take(self) -> Manifest:
        """Take it. Raises StoreUnavailable, StoreCorrupt (the journal is damaged), NotFound (a blob is missing),
        StoreSealed without the keys, Conflict if another one is being taken.
        """
        begun_at = self._clock.now()
        terms = self._terms
        if terms.lock_s:
            self._locked_until = begun_at + terms.lock_s + terms.chain_s
        await mark_depot(self._depot)
        ends = await survey(self._source)
        catalog = await Catalog.latest(self._depot)
        series = await find_series(self._depot, catalog, self._source, ends, terms.lets_go)
        if series.name == "":
            series = msgspec.structs.replace(series, name=new_id("series", self._clock, self._randomness))
        full = series.left_full if series.left else terms.full or series.chain is None
        known = {} if full or series.chain is None else series.chain.heads()
        if not full and series.chain is not None:
            self._blobs = set(series.chain.blobs)
        before = set(self._blobs)
        await self._adopt(series, known)
        self._title = Title(series.name, series.number, len(self._segments) + 1, full)
        for stream, end in ends.items():
            begins = known.get(stream) or genesis(stream)
            if begins.seq < end.seq:
                await self._stream(stream, begins, end)
        if self._waiting:
            await self._write()
        configuration = await self._configuration()
        gone = tuple(sorted(stream for stream in known if stream not in ends))
        named = sorted(self._blobs - before, key=lambda ref: ref.sha256)
        index = write_index(Index(tuple(self._extents), tuple(named), gone))
        stored = Stored.of(index_name(series.name, series.number, index), index)
        await self._depot.put(stored.name, index, self._locked_until)
        manifest = Manifest(
            format=format_current,
            outlast=terms.outlast,
            series=series.name,
            number=series.number,
            kind="full" if full else "increment",
            cell=terms.cell,
            engine=terms.engine,
            lineage=str(self._source.lineage),
            begun_at=begun_at,
            ended_at=self._clock.now(),
            streams=len({extent.stream for extent in self._extents}),
            streams_in_all=len(ends),
            records=sum(extent.records for extent in self._extents),
            events=sum(extent.last - extent.first + 1 for extent in self._extents),
            bytes=sum(extent.bytes for extent in self._extents),
            blobs=len(named),
            blob_bytes=sum(ref.size for ref in named),
            segments=tuple(self._segments),
            index=stored,
            configuration=configuration,
            locked_until=self._locked_until,
            resumed=bool(series.left),
            forked=series.forked,
        )
        await self._depot.put(manifest.name, write_manifest(manifest), self._locked_until)
        return manifest

    # -- what an earlier attempt left --------------------------------------------------------------------------------

    async def _adopt(self, series: Series, known: dict[str, Head]) -> None:
        """Count what an earlier attempt has written, which was verified; `known` goes on from there."""
        for stored, pieces, _ in series.left:
            for piece in pieces:
                known[piece.extent.stream] = piece.extent.ends
                await self._keep_blobs(piece)
                self._count(piece)
            self._segments.append(stored)
            self._extents += [piece.extent for piece in pieces]
            await self._depot.hold(stored.name, stored.bytes, self._locked_until)
            self.progress.segments += 1
            self._tell(self.progress)

    # -- what is new -------------------------------------------------------------------------------------------------

    async def _stream(self, stream: str, begins: Head, end: Head) -> None:
        head = begins
        while head.seq < end.seq:
            page = await self._source.read(stream, head.seq, _page)
            records = [record for record in page if record.seq + record.count - 1 <= end.seq]
            if not records:
                raise StoreCorrupt(f"stream {stream} ends at event {head.seq}, it had {end.seq} a moment ago")
            verify(stream, records, head)
            while records:
                some = _portion(records, self._terms.segment_bytes_max - self._size)
                piece = make_piece(stream, self._title.part, head, some)
                await self._piece(piece)
                head, records = piece.extent.ends, records[len(some) :]
        if head != end:
            raise StoreCorrupt(f"stream {stream} is another history at event {end.seq} than a moment ago")
        self.progress.streams += 1

    async def _piece(self, piece: Piece) -> None:
        await self._keep_blobs(piece)
        self._waiting.append(piece)
        self._size += piece.extent.bytes
        self._count(piece)
        if self._size >= self._terms.segment_bytes_max:
            await self._write()

    async def _write(self) -> None:
        """A segment; the blobs that it names are there already."""
        title, pieces = self._title, self._waiting
        content = await asyncio.to_thread(write_segment, title, pieces)
        name = segment_name(title.series, title.number, title.part)
        await self._depot.put(name, content, self._locked_until)
        self._segments.append(Stored.of(name, content))
        self._extents += [piece.extent for piece in pieces]
        self._waiting, self._size = [], 0
        self._title = msgspec.structs.replace(title, part=title.part + 1)
        self.progress.segments += 1
        self._tell(self.progress)

    def _count(self, piece: Piece) -> None:
        self.progress.records += piece.extent.records
        self.progress.bytes += piece.extent.bytes

    async def _keep_blobs(self, piece: Piece) -> None:
        stream = piece.extent.stream
        fresh: dict[BlobRef, None] = {}
        for record in piece.records:
            if b'"sha256"' not in record.body and not is_sealed(record):
                continue  # the most, and soon seen
            fresh |= {ref: None for ref in await blobs_of(stream, record, self._sealer) if ref not in self._blobs}
        refs = list(fresh)
        for start in range(0, len(refs), _blobs_at_once):
            some = refs[start : start + _blobs_at_once]
            await asyncio.gather(*(self._keep_blob(ref, stream) for ref in some))
        self._blobs.update(refs)
        self.progress.blobs += len(refs)

    async def _keep_blob(self, ref: BlobRef, stream: str) -> None:
        name = blob_name(ref)
        if await self._depot.hold(name, ref.size, self._locked_until):
            return
        try:
            content = await self._from_blobs.get(ref)
        except NotFound as error:
            raise NotFound(f"{error}; stream {stream} names it: look with `outlast audit verify`") from None
        await self._depot.put(name, content, self._locked_until)

    async def _configuration(self) -> BlobRef | None:
        content = self._terms.configuration
        if not content:
            return None
        ref = BlobRef.of(content)
        if not await self._depot.hold(blob_name(ref), ref.size, self._locked_until):
            await self._depot.put(blob_name(ref), content, self._locked_until)
        return ref


def _portion(records: Sequence[StoredRecord], room: int) -> list[StoredRecord]:
    """The first records, so many that they fill `room` bytes; at least one."""
    size = 0
    for index, record in enumerate(records):
        size += len(record.body)
        if size >= room:
            return list(records[: index + 1])
    return list(records)
