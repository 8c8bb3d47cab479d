"""What a backup says of itself. Its manifest is written last: a backup is there once its manifest is.

::

    outlast-backups.json                    the mark of a depot, and its format
    SERIES/0000007/000001.segment           records (`segment.py`)
    SERIES/0000007/0f3a….index              every extent in them, every blob that they name
    SERIES/0000007/manifest.json            small, for people too: checksums of all the others
    blobs/ab/ab12…                          blobs as they are stored, by their hash

A series is a line of backups of one journal, each continuing the one before: a *full* one stands alone, the ones that
follow it hold what came since. A journal that has another history than the newest backup begins a new series.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import Literal

import msgspec

from outlast.journal.blob import BlobRef
from outlast.kernel.error import StoreCorrupt, UsageError
from outlast.recover.segment import Extent, check_format, unpack

index_expands_max = 1 << 30
"""An index that unpacks to more than 1 GiB is not one: that is about four million streams."""
mark_name = "outlast-backups.json"
mark = b'{"outlast":"backups","format":1}\n'
_NAME = re.compile(r"(series_[0-9a-z]{22})/([0-9]{7})/manifest\.json\Z")
_ID = re.compile(r"(series_[0-9a-z]{22})/([0-9]{1,7})\Z")


class Stored(msgspec.Struct, frozen=True):
    """One object of a backup: its name in the depot, SHA-256 in hexadecimal, bytes."""

    name: str
    sha256: str
    bytes: int

    @classmethod
    def of(cls, name: str, content: bytes) -> Stored:
        """What to say of an object."""
        return cls(name, hashlib.sha256(content).hexdigest(), len(content))

    def check(self, content: bytes) -> bytes:
        """`content`, if it is what was stored. Raises StoreCorrupt."""
        if len(content) != self.bytes:
            raise StoreCorrupt(f"{self.name} has {len(content)} bytes, {self.bytes} were written")
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise StoreCorrupt(f"{self.name} is not what was written: its checksum is another one")
        return content


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One backup. Times are seconds since 1970 by the clock of who took it."""

    format: int
    outlast: str
    """The version that wrote it."""
    series: str
    number: int
    kind: Literal["full", "increment"]
    cell: str
    """The name in the blueprint."""
    engine: str
    lineage: str
    begun_at: float
    """Every event that was acknowledged before is in it."""
    ended_at: float
    streams: int
    """That it holds something of."""
    streams_in_all: int
    records: int
    events: int
    bytes: int
    """Of records, before they are compressed."""
    blobs: int
    """That its records name."""
    blob_bytes: int
    segments: tuple[Stored, ...]
    index: Stored
    configuration: BlobRef | None = None
    """outlast.yaml as it was."""
    locked_until: float = 0.0
    resumed: bool = False
    """It goes on with what an earlier attempt had written."""
    forked: str = ""
    """Why a new series begins here, if the newest backup does not fit the journal."""
    checksum: str = ""
    """SHA-256 of all the rest, as it is encoded without this."""

    @property
    def id(self) -> str:
        """``SERIES/NUMBER``."""
        return f"{self.series}/{self.number}"

    @property
    def name(self) -> str:
        """Of its object."""
        return f"{directory(self.series, self.number)}manifest.json"


class Index(msgspec.Struct, frozen=True):
    """What a backup holds: the parts of streams, the blobs that these name, and the streams that are no more."""

    extents: tuple[Extent, ...]
    blobs: tuple[BlobRef, ...]
    gone: tuple[str, ...] = ()
    """Streams of earlier backups that the journal has let go since (its retention)."""


_encoder = msgspec.json.Encoder()
_manifests = msgspec.json.Decoder(Manifest)
_indexes = msgspec.json.Decoder(Index)


def directory(series: str, number: int) -> str:
    """Where the objects of a backup lie."""
    return f"{series}/{number:07d}/"


def segment_name(series: str, number: int, part: int) -> str:
    """Of a segment."""
    return f"{directory(series, number)}{part:06d}.segment"


def index_name(series: str, number: int, content: bytes) -> str:
    """Of an index; an attempt that broke off may have left another one."""
    return f"{directory(series, number)}{hashlib.sha256(content).hexdigest()[:16]}.index"


def blob_name(ref: BlobRef) -> str:
    """Of a blob."""
    return f"blobs/{ref.sha256[:2]}/{ref.sha256}"


def place_of(name: str) -> tuple[str, int] | None:
    """The series and number of the backup whose manifest has this name; None: it is no manifest's."""
    match = _NAME.match(name)
    return (match[1], int(match[2])) if match else None


def parse_id(text: str) -> tuple[str, int]:
    """The inverse of `Manifest.id`. Raises UsageError."""
    match = _ID.match(text)
    if match is None:
        raise UsageError(f"backup {text[:64]!r} is not understood: expected SERIES/NUMBER, as `backup list` shows it")
    return match[1], int(match[2])


def write_manifest(manifest: Manifest) -> bytes:
    """The bytes of its object."""
    digest = hashlib.sha256(_encoder.encode(msgspec.structs.replace(manifest, checksum=""))).hexdigest()
    return msgspec.json.format(_encoder.encode(msgspec.structs.replace(manifest, checksum=digest)), indent=1) + b"\n"


def read_manifest(name: str, content: bytes) -> Manifest:
    """Raises StoreCorrupt, ConfigurationError."""
    try:
        found = msgspec.json.decode(content, type=_Format)
        check_format(name, found.format)
        manifest = _manifests.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreCorrupt(f"{name} cannot be read: {error}") from None
    if manifest.name != name:
        raise StoreCorrupt(f"{name} says that it is {manifest.name}")
    if write_manifest(manifest) != content:
        raise StoreCorrupt(f"{name} is not what was written: its checksum is another one")
    return manifest


class _Format(msgspec.Struct):
    format: int


def write_index(index: Index) -> bytes:
    """The bytes of its object."""
    return gzip.compress(_encoder.encode(index), 1, mtime=0)


def read_index(manifest: Manifest, content: bytes) -> Index:
    """Raises StoreCorrupt."""
    return _read_index(manifest.index.name, manifest.index.check(content))


def read_pruned(content: bytes) -> Index:
    """The index of a backup that is no more. Raises StoreCorrupt."""
    return _read_index("the index of a removed backup", content)


def _read_index(name: str, content: bytes) -> Index:
    try:
        return _indexes.decode(unpack(content, index_expands_max))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise StoreCorrupt(f"{name} cannot be read: {error}") from None
