"""Streams: an append is exactly one conditional put of one item that holds the record.

The condition is that no item stands at the place of its first event. That is enough: records are never changed and
follow one another without a gap, so if it is known that *some* record ends at ``append.expected`` (number and hash),
then no record can cover the place behind it without beginning there; the put is refused if one does, and else it is the
next record. The end is known from what this process has seen (`end.py`) or from one consistent read, always before the
put is sent, so that neither a gap nor a fork can be written. A put that arrives late, or twice, meets the same
condition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from heapq import merge
from typing import Any, cast

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.end import Ends
from outlast.adapters.aws.dynamodb.size import Item
from outlast.adapters.aws.dynamodb.table import Table
from outlast.adapters.aws.fault import CallFailed
from outlast.journal.chain import genesis, link
from outlast.journal.stream import Append, Applied, Conflicted, Head, Outcome, StoredRecord, StreamKey, Unknown
from outlast.kernel.error import StoreCorrupt
from outlast.kernel.point import Points


class Streams:
    """The records of all streams in one table."""

    def __init__(self, table: Table, points: Points) -> None:
        self._table = table
        self._points = points
        self._ends = Ends()

    async def append(self, append: Append, foretell: Callable[[Append], Awaitable[None]]) -> Outcome:
        """As in EventStore, for an append that was checked. Raises StoreUnavailable where trying again is of no use.

        `foretell` is awaited before a stream's first record is written.
        """
        async with self._ends.turn(append.stream):
            try:
                return await self._append(append, foretell)
            except CallFailed as failed:
                if failed.may_be_done:
                    return Unknown(str(failed))
                raise

    async def _append(self, append: Append, foretell: Callable[[Append], Awaitable[None]]) -> Outcome:
        stream, expected = append.stream, append.expected
        known = self._ends.known(stream) or genesis(stream)
        if known != expected:
            head = await self.head(stream)
            if head != expected:
                return Conflicted(head)
        if expected.seq == 0:
            await asyncio.gather(self._list(stream), foretell(append))
        head = applied_head(append)
        self._points.reach("commit.before", stream)
        if not await self._table.put_new(_item(append, head)):
            return Conflicted(await self.head(stream))
        self._points.reach("commit.after", stream)
        self._table.usage.appends += 1
        self._ends.saw(stream, head)
        return Applied(head)

    async def head(self, stream: str) -> Head:
        """The end of a stream, as of now."""
        found = await self._table.query(stream, limit=1, newest_first=True)
        if not found:
            return genesis(stream)
        last = record_of(found[0])
        head = Head(last.seq + last.count - 1, last.hash)
        self._ends.saw(stream, head)
        return head

    async def read(self, stream: str, after: int, limit: int) -> list[StoredRecord]:
        """At most `limit` records that begin after event `after`, as of now."""
        if limit < 1:
            return []
        return [record_of(item) for item in await self._table.query(stream, layout.place(after), limit)]

    async def listed(self, kind: str, after: str, limit: int) -> list[str]:
        """Streams of a kind, in text order: all that have a record, and perhaps some that were never begun."""
        found: list[list[str]] = []
        for number in range(layout.shards):
            items = await self._table.query(layout.directory(kind, number), after or None, limit)
            found.append([item["sk"]["S"] for item in items])
        return list(merge(*found))[:limit]

    async def _list(self, stream: str) -> None:
        """Before the first record, so that no stream is there that is not listed."""
        where = layout.directory(StreamKey.parse(stream).kind, layout.shard(stream))
        await self._table.put(layout.key(where, stream))


def applied_head(append: Append) -> Head:
    """Where an append leads to."""
    return Head(append.head, link(append.expected.hash, append.body))


def _item(append: Append, head: Head) -> Item:
    return {
        **layout.key(append.stream, layout.place(append.expected.seq + 1)),
        "count": {"N": str(append.count)},
        "hash": {"B": head.hash},
        "body": {"S": append.body.decode()},
    }


def record_of(item: Item) -> StoredRecord:
    """The record in an item; raises StoreCorrupt if there is none."""
    found = cast("dict[str, dict[str, Any]]", item)
    try:
        seq, count = int(found["sk"]["S"]), int(found["count"]["N"])
        return StoredRecord(seq, count, found["body"]["S"].encode(), bytes(found["hash"]["B"]))
    except (KeyError, ValueError, TypeError) as error:
        where = f"{str(found.get('pk'))[:200]} {str(found.get('sk'))[:40]}"
        raise StoreCorrupt(
            f"item {where} is no record: {type(error).__name__} {error}; "
            "something else wrote to this table"
        ) from None
