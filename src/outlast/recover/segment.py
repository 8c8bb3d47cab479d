"""Segments: many records of many streams in one object, readable with ``gzip -dc``.

A segment is gzip over text. Its first line says what it is. Then, for each stream that it holds something of, a line
that is an `Extent`, and for each of its records a line ``{"seq", "count", "bytes", "hash"}`` and the record's body, as
long as that line says, as it is stored: sealed ones stay sealed. Whoever reads verifies the chain: an extent says which
hash it continues and which it ends with.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

import msgspec

from outlast.journal.chain import genesis, link
from outlast.journal.stream import Head, StoredRecord
from outlast.kernel.error import ConfigurationError, StoreCorrupt

format_current = 1
"""Of segments, indexes and manifests."""
segment_bytes_max = 8 * 1024 * 1024
"""Bodies in one segment, before they are compressed: 8 MiB, and at most one record more."""
segment_expands_max = 64 * 1024 * 1024
"""A segment that unpacks to more than 64 MiB is not one."""
_level = 1


class Extent(msgspec.Struct, frozen=True):
    """A gapless part of one stream: events `first` to `last` in `records` records of `bytes` bytes together.

    `before` and `hash` are the chain hashes before and after it, in hexadecimal. `at_min` and `at_max` are the earliest
    and the latest time that its records say, seconds since 1970 by the clocks of who wrote them.
    """

    stream: str
    part: int
    """In which segment of its backup, from 1."""
    first: int
    last: int
    before: str
    hash: str
    records: int
    bytes: int
    at_min: float
    at_max: float

    @property
    def begins(self) -> Head:
        """The head that it continues."""
        return Head(self.first - 1, bytes.fromhex(self.before))

    @property
    def ends(self) -> Head:
        """The head after it."""
        return Head(self.last, bytes.fromhex(self.hash))


class Piece(msgspec.Struct, frozen=True):
    """An extent and its records."""

    extent: Extent
    records: tuple[StoredRecord, ...]


class Title(msgspec.Struct, frozen=True):
    """The first line of a segment: part `part` of backup `number` of a series, and whether that is a full one."""

    series: str
    number: int
    part: int
    full: bool
    outlast: str = "backup segment"
    format: int = format_current


class _Line(msgspec.Struct, frozen=True):
    seq: int
    count: int
    bytes: int
    hash: str


class _At(msgspec.Struct):
    at: float


_encoder = msgspec.json.Encoder()
_ats = msgspec.json.Decoder(_At)
_titles = msgspec.json.Decoder(Title)
_extents = msgspec.json.Decoder(Extent)
_lines = msgspec.json.Decoder(_Line)


def at_of(record: StoredRecord) -> float:
    """The time in a record's body, sealed or not: seconds since 1970 at its writer. Raises StoreCorrupt."""
    try:
        return _ats.decode(record.body).at
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreCorrupt(f"record {record.seq} cannot be read: {error}") from None


def make_piece(stream: str, part: int, begins: Head, records: Sequence[StoredRecord]) -> Piece:
    """Records, verified and in order, as a piece of a segment. Raises StoreCorrupt."""
    ats = [at_of(record) for record in records]
    last = records[-1]
    extent = Extent(
        stream, part, begins.seq + 1, last.seq + last.count - 1, begins.hash.hex(), last.hash.hex(), len(records),
        sum(len(record.body) for record in records), min(ats), max(ats),
    )  # fmt: skip
    return Piece(extent, tuple(records))


def write_segment(title: Title, pieces: Sequence[Piece]) -> bytes:
    """The bytes of a segment."""
    parts = [_encoder.encode(title), b"\n"]
    for piece in pieces:
        parts += [_encoder.encode(piece.extent), b"\n"]
        for record in piece.records:
            line = _Line(record.seq, record.count, len(record.body), record.hash.hex())
            parts += [_encoder.encode(line), b"\n", record.body, b"\n"]
    return gzip.compress(b"".join(parts), _level, mtime=0)


def read_segment(name: str, content: bytes) -> tuple[Title, list[Piece]]:
    """What `write_segment` wrote, its chains verified. Raises StoreCorrupt that names the segment, ConfigurationError
    for the format of a later release.
    """
    try:
        text = unpack(content)
        title_end = text.index(b"\n")
        title = _titles.decode(text[:title_end])
        if title.outlast != "backup segment":
            raise ValueError(f"it says that it is {title.outlast[:40]!r}")
        check_format(name, title.format)
        return title, _pieces(text, title_end + 1)
    except (ValueError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreCorrupt(f"segment {name} is not what was written: {error}") from None
    except StoreCorrupt as error:
        raise StoreCorrupt(f"segment {name}: {error}") from None


def unpack(content: bytes, bytes_max: int = segment_expands_max) -> bytes:
    """Undo gzip, within a bound. Raises ValueError."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(content, bytes_max)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("it ends too early, is too large, or something follows it")
    return text


def check_format(name: str, found: int) -> None:
    """Raises ConfigurationError for what a later release wrote."""
    if found != format_current:
        raise ConfigurationError(
            f"{name} has format {found}, this release reads {format_current}: use the release that wrote it"
        )


def _pieces(text: bytes, at: int) -> list[Piece]:
    pieces: list[Piece] = []
    while at < len(text):
        end = text.index(b"\n", at)
        extent = _extents.decode(text[at:end])
        at = end + 1
        records: list[StoredRecord] = []
        for _ in range(extent.records):
            end = text.index(b"\n", at)
            line = _lines.decode(text[at:end])
            body = text[end + 1 : end + 1 + line.bytes]
            at = end + 2 + line.bytes
            records.append(StoredRecord(line.seq, line.count, body, bytes.fromhex(line.hash)))
        _verify(extent, records)
        pieces.append(Piece(extent, tuple(records)))
    return pieces


def _verify(extent: Extent, records: Sequence[StoredRecord]) -> None:
    """Its records are the part of its stream's chain that it says. Raises StoreCorrupt."""
    head = extent.begins
    if head.seq == 0 and head != genesis(extent.stream):
        raise StoreCorrupt(f"stream {extent.stream} does not begin where that stream begins: it is another one's")
    for record in records:
        if record.seq != head.seq + 1 or record.hash != link(head.hash, record.body):
            raise StoreCorrupt(f"stream {extent.stream}: events from {record.seq} on are not what was written")
        head = Head(head.seq + record.count, record.hash)
    if head != extent.ends:
        raise StoreCorrupt(f"stream {extent.stream} ends at event {head.seq}, expected {extent.last}")
