"""Follows the DynamoDB Stream of a table: what changed, shard by shard, at least once.

A parent is read to its end before its children, so that the changes of one item come in order. How far each shard was
read is kept in a snapshot store; a checkpoint that is lost only repeats what the stream still holds (24 hours). What
was trimmed before it was read is said and counted: whoever listens makes up for it by reading the table, as for every
hint.

Seen on an emulator, whose streams have one shard: untested on AWS. Source: DynamoDB Streams API reference; the rule for
lineages of shards of its Kinesis adapter.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.said import code_of, told
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import StreamKey
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreCorrupt, StoreError, StoreUnavailable

records_max = 1_000
"""Bound of the records in one look at one shard."""
shards_max = 10_000
shards_every_s = 10.0
"""How often it is asked which shards there are: an account may ask ten times a second, for all its streams."""
poll_s_default = 0.5
mark_every_s = 5.0
"""How often is written how far a shard was read: so much is handed on again after a crash. Where the marks stand in the
table that is followed, each is a change of it as well."""
read_timeout_s = 10.0
_version = 1


class Change(msgspec.Struct, frozen=True):
    """One change of one item, in DynamoDB's own JSON. `new` is empty for a removal and where the view has no images."""

    kind: str
    keys: Mapping[str, Any]
    new: Mapping[str, Any]
    sequence: str


class Shard(msgspec.Struct, frozen=True):
    """A part of a stream; `parent` is the one that it goes on from, empty for none."""

    id: str
    parent: str = ""


class _Mark(msgspec.Struct):
    """How far a shard was read. `count` grows, so that an older mark never replaces a newer one."""

    shard: str
    sequence: str = ""
    done: bool = False
    count: int = 0


def readable(shards: Sequence[Shard], done: set[str]) -> list[Shard]:
    """Which shards may be read now: not those that are done, nor those whose parent is there and is not."""
    there = {shard.id for shard in shards}
    return [shard for shard in shards if shard.id not in done and (shard.parent not in there or shard.parent in done)]


class TableStream:
    """One reader of one stream. `handle` gets the changes of one look at a shard; if it raises StoreError, it gets them
    once more.

    Several readers of one stream double what they hand on. Close it when done.
    """

    def __init__(
        self,
        arn: str,
        place: Place,
        snapshots: SnapshotStore,
        lineage: Lineage,
        clock: Clock,
        handle: Callable[[Sequence[Change]], Awaitable[None]],
        complain: Callable[[str], None],
        poll_s: float = poll_s_default,
    ) -> None:
        self.trimmed = 0
        """How often changes were gone before they were read."""
        self._arn = arn
        self._snapshots = snapshots
        self._lineage = lineage
        self._clock = clock
        self._handle = handle
        self._complain = complain
        self._poll_s = poll_s
        self._where = "DynamoDB Streams"
        self._client = Client("dynamodbstreams", place, read_timeout_s)
        self._marks: dict[str, _Mark] = {}
        self._iterators: dict[str, str] = {}
        self._saved: dict[str, tuple[float, str]] = {}
        """Of each shard, when its mark was written last, and up to where."""
        self._known: list[Shard] = []
        self._known_until = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            try:
                found = await self.look()
                failing = False
            except StoreError as error:
                if not failing:
                    self._complain(f"changes of the table cannot be followed: {error}")
                failing, found = True, 0
            if found < records_max:
                await self._clock.sleep(self._poll_s)

    async def look(self) -> int:
        """Read each shard that may be read once; how many changes were handed on. Raises StoreError."""
        now = self._clock.monotonic()
        if not self._known or now >= self._known_until:
            self._known = await self._shards()
            self._known_until = now + shards_every_s
        shards = self._known
        there = {shard.id for shard in shards}
        for gone in [shard for shard in self._marks if shard not in there]:
            self._marks.pop(gone)
            self._iterators.pop(gone, None)
            self._saved.pop(gone, None)
        for shard in shards:
            if shard.id not in self._marks:
                self._marks[shard.id] = await self._mark(shard.id)
        done = {shard for shard, mark in self._marks.items() if mark.done}
        return sum([await self._read(self._marks[shard.id]) for shard in readable(shards, done)])

    async def close(self) -> None:
        """Write how far it came, if that can be written, and close its connections."""
        with contextlib.suppress(StoreError):
            for mark in self._marks.values():
                await self._save(mark, now=True)
        await self._client.closed()

    # Inside

    async def _shards(self) -> list[Shard]:
        shards: list[Shard] = []
        after: dict[str, str] = {}
        while len(shards) < shards_max:
            answer = await self._ask("describe_stream", StreamArn=self._arn, **after)
            page: Mapping[str, Any] = answer["StreamDescription"]
            shards += [Shard(each["ShardId"], each.get("ParentShardId") or "") for each in page.get("Shards", ())]
            last = page.get("LastEvaluatedShardId")
            if not last:
                break
            after = {"ExclusiveStartShardId": last}
        return shards

    async def _read(self, mark: _Mark) -> int:
        iterator = self._iterators.get(mark.shard) or await self._iterator(mark)
        try:
            answer = await self._ask("get_records", ShardIterator=iterator, Limit=records_max)
        except StoreUnavailable as error:
            self._iterators.pop(mark.shard, None)  # it may have expired: make a new one from the mark
            if error.__context__ is not None and code_of(error.__context__) == "TrimmedDataAccessException":
                self._lost(mark)
                return 0
            raise
        records: Sequence[Mapping[str, Any]] = answer.get("Records", ())
        changes = [_change(record) for record in records]
        self._iterators.pop(mark.shard, None)
        if changes:
            await self._handle(changes)
            mark.sequence = changes[-1].sequence
        following = answer.get("NextShardIterator")
        if following:
            self._iterators[mark.shard] = following
        mark.done = not following
        if mark.done:  # its children are there, or will be soon
            self._known_until = 0.0
        await self._save(mark, now=mark.done)
        return len(changes)

    async def _iterator(self, mark: _Mark) -> str:
        where: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if mark.sequence:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": mark.sequence}
        try:
            answer = await self._ask("get_shard_iterator", StreamArn=self._arn, ShardId=mark.shard, **where)
        except StoreUnavailable as error:
            if not mark.sequence or code_of(error.__context__ or error) != "TrimmedDataAccessException":
                raise
            self._lost(mark)
            return await self._iterator(mark)
        return str(answer["ShardIterator"])

    def _lost(self, mark: _Mark) -> None:
        self.trimmed += 1
        mark.sequence = ""
        self._complain(f"changes in shard {mark.shard} were trimmed before they were read; a sweep must find them")

    async def _mark(self, shard: str) -> _Mark:
        try:
            snapshot = await self._snapshots.load(self._own(shard))
            if snapshot is not None and snapshot.v == _version:
                mark = msgspec.json.decode(snapshot.body, type=_Mark)
                if mark.shard == shard:
                    return mark
        except (StoreCorrupt, msgspec.MsgspecError, UnicodeDecodeError):
            pass
        return _Mark(shard)

    async def _save(self, mark: _Mark, *, now: bool) -> None:
        at, end = self._clock.monotonic(), f"{mark.sequence} {mark.done}"
        saved_at, saved = self._saved.get(mark.shard, (at, ""))
        if end == saved or not (mark.sequence or mark.done):
            return
        if not now and at - saved_at < mark_every_s:
            self._saved.setdefault(mark.shard, (at, ""))
            return
        mark.count += 1
        body = msgspec.json.encode(mark)
        digest = hashlib.sha256(body).digest()
        await self._snapshots.save(Snapshot(self._own(mark.shard), mark.count, digest, _version, body))
        self._saved[mark.shard] = (at, end)

    def _own(self, shard: str) -> str:
        digest = hashlib.sha256(f"{self._arn}\x1f{shard}".encode()).hexdigest()[:32]
        return str(StreamKey("shard", digest, self._lineage))

    async def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        with told(self._where, StoreUnavailable):
            client = await self._client.get()
            return await getattr(client, operation)(**parameters)


def _change(record: Mapping[str, Any]) -> Change:
    what: Mapping[str, Any] = record.get("dynamodb", {})
    return Change(
        str(record.get("eventName", "")), what.get("Keys", {}), what.get("NewImage", {}), str(what["SequenceNumber"])
    )
