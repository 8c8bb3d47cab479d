"""Ended streams as segments in the bucket: written once, verified, and only then listed.

::

    segments/STREAM/0000000000000001     records from that event on, a JSON object a line
    archived/STREAM                      the end of the stream and where its segments begin: written last

A segment that is there already must be what was to be written, byte for byte: an archive that breaks off is taken up
again, and nobody's history is overwritten. Nothing is removed from the table by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.s3.once import write_once
from outlast.journal.chain import genesis, verify
from outlast.journal.stream import EventStore, Head, StoredRecord
from outlast.kernel.error import NotFound, StoreCorrupt, UsageError

segment_bytes_max = 8 * 1024 * 1024
"""Bodies in one segment, 8 MiB."""
_page = 50
_list_max = 1000


class Archived(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is archived of a stream: its end, and the number of the first event of each segment."""

    stream: str
    seq: int
    hash: str
    segments: tuple[int, ...]
    blobs: tuple[str, ...] = ()
    """SHA-256 of the blobs that it may name: the collector leaves them alone."""

    @property
    def head(self) -> Head:
        """The end of the stream."""
        return Head(self.seq, bytes.fromhex(self.hash))


class _Line(msgspec.Struct):
    seq: int
    count: int
    hash: str
    body: str


_encoder = msgspec.json.Encoder()
_lines = msgspec.json.Decoder(_Line)
_archived = msgspec.json.Decoder(Archived)


class Archive:
    """The archive in one bucket."""

    def __init__(self, bucket: str, calls: Calls, segment_bytes_max: int = segment_bytes_max) -> None:
        self._bucket = bucket
        self._calls = calls
        self._segment_bytes_max = segment_bytes_max

    async def store(self, store: EventStore, stream: str, blobs: Iterable[str] = ()) -> Archived:
        """Archive a stream that will not grow any more; any number of times. Its chain is verified on the way. `blobs`
        are those that it names (`journal/reach.py`).

        Raises UsageError for a stream without events, StoreCorrupt, StoreUnavailable.
        """
        head, starts = genesis(stream), list[int]()
        gathered: list[StoredRecord] = []
        size = 0
        while page := await store.read(stream, head.seq, _page):
            head = verify(stream, page, head)
            for record in page:
                size += len(record.body)
                if gathered and size > self._segment_bytes_max:
                    starts.append(await self._segment(stream, gathered))
                    gathered, size = [], len(record.body)
                gathered.append(record)
        if not gathered:
            raise UsageError(f"stream {stream} has no events: there is nothing to archive")
        starts.append(await self._segment(stream, gathered))
        archived = Archived(stream, head.seq, head.hash.hex(), tuple(starts), tuple(sorted(blobs)))
        await self._write_once(f"archived/{stream}", _encoder.encode(archived))
        return archived

    async def find(self, stream: str) -> Archived:
        """What is archived of a stream. Raises NotFound, StoreCorrupt, StoreUnavailable."""
        written = await self._get(f"archived/{stream}")
        if written is None:
            raise NotFound(f"stream {stream} is not archived in bucket {self._bucket}")
        try:
            return _archived.decode(written)
        except msgspec.MsgspecError as error:
            raise StoreCorrupt(f"the archive of stream {stream} cannot be read: {error}") from None

    async def read(self, stream: str) -> list[StoredRecord]:
        """All records of an archived stream, verified from genesis to its end. Raises as `find`."""
        archived = await self.find(stream)
        records: list[StoredRecord] = []
        for start in archived.segments:
            written = await self._get(_segment_key(stream, start))
            if written is None:
                raise StoreCorrupt(f"the archive of stream {stream} has lost its segment {start}")
            records += _records(stream, written)
        if verify(stream, records) != archived.head:
            raise StoreCorrupt(f"the archive of stream {stream} does not end at event {archived.seq} as it should")
        return records

    async def streams(self, kind: str, after: str = "", limit: int = _list_max) -> Sequence[str]:
        """Archived streams of one kind in text order, after `after`; at most 1,000 at once."""
        prefix = "archived/"
        answer = await self._calls.many(
            "ListObjectsV2", Bucket=self._bucket, Prefix=f"{prefix}{kind}/", StartAfter=prefix + after,
            MaxKeys=min(limit, _list_max),
        )  # fmt: skip
        return [str(one["Key"]).removeprefix(prefix) for one in answer.get("Contents", [])]

    async def named(self) -> set[str]:
        """Every blob that an archived stream may name: one read for each of them. Raises StoreCorrupt,
        StoreUnavailable.
        """
        names: set[str] = set()
        token: dict[str, str] = {}
        while True:
            answer = await self._calls.many(
                "ListObjectsV2", Bucket=self._bucket, Prefix="archived/", MaxKeys=_list_max, **token
            )
            for one in answer.get("Contents", []):
                names.update((await self.find(str(one["Key"]).removeprefix("archived/"))).blobs)
            if not answer.get("IsTruncated"):
                return names
            token = {"ContinuationToken": str(answer["NextContinuationToken"])}

    async def _segment(self, stream: str, records: Sequence[StoredRecord]) -> int:
        lines = [
            _encoder.encode(_Line(record.seq, record.count, record.hash.hex(), record.body.decode()))
            for record in records
        ]
        await self._write_once(_segment_key(stream, records[0].seq), b"\n".join(lines))
        return records[0].seq

    async def _write_once(self, name: str, content: bytes) -> None:
        written = await write_once(self._calls, self._bucket, name, content, "application/json")
        if not written and await self._get(name) != content:
            raise StoreCorrupt(
                f"{name} in bucket {self._bucket} is not what was to be archived: the stream has grown since, or "
                "something else wrote there; nothing was overwritten"
            )

    async def _get(self, name: str) -> bytes | None:
        try:
            answer = await self._calls.many("GetObject", Bucket=self._bucket, Key=name)
            return await self._calls.whole("GetObject", answer["Body"])
        except CallFailed as failed:
            if failed.kind != "absent":
                raise
            return None


def _segment_key(stream: str, start: int) -> str:
    return f"segments/{stream}/{start:016d}"


def _records(stream: str, written: bytes) -> list[StoredRecord]:
    try:
        lines = [_lines.decode(line) for line in written.split(b"\n")]
        return [StoredRecord(line.seq, line.count, line.body.encode(), bytes.fromhex(line.hash)) for line in lines]
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreCorrupt(f"the archive of stream {stream} cannot be read: {error}") from None
