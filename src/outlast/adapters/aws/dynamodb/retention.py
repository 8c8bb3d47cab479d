"""Runs that ended long ago go away: all of a run at one moment, whatever is removed when.

A stream half of which is gone would be taken for another one. So first every item of the run is told when it expires,
a day ahead (`grace_s`); at that moment all of it is gone for every reader (`table.py`), and only then is anything
removed: by DynamoDB, or, where the table cannot (strongly consistent global tables), by a later walk from a list that
this one leaves. The entry is told last: if a walk breaks off, the next one begins that run again, within the day of
grace.

A run and its inbox go. Sessions stay, they are state, and so do the runs that were their turns: what a turn changed
stands in its run's last event. A child run stays while its parent has not ended, which may still ask for its result. An
idempotency key is forgotten with its run. Telling an item costs a write of its size, as removing it would; what
DynamoDB removes is free.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.entry import entry_of
from outlast.adapters.aws.dynamodb.size import Item
from outlast.adapters.aws.dynamodb.table import Table, batch_keys_max, expiry_slack_s
from outlast.journal.index import ENDED, RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.publication import cursor_stream
from outlast.kernel.clock import Clock

grace_s = 24 * 3600.0
"""From the moment when a run is told to the moment when it is gone."""
runs_max = 500
"""Of how many runs one walk takes care."""

First = Callable[[str], Awaitable[bool]]


class Walked(msgspec.Struct, frozen=True):
    """What a walk did: runs that will expire, runs whose items it removed, and those that `first` refused."""

    told: int
    removed: int
    kept: int = 0


class Retention:
    """Tells runs when to expire, and removes them where DynamoDB does not."""

    def __init__(self, table: Table, lineage: Lineage, clock: Clock, days: float, *, by_table: bool = True) -> None:
        """`days`: how long a run stays after its end. `by_table`: the table removes what has expired."""
        self._table = table
        self._lineage = lineage
        self._clock = clock
        self._keep_s = days * 24 * 3600.0
        self._by_table = by_table

    async def walk(self, limit: int = runs_max, first: First | None = None) -> Walked:
        """At most `limit` runs are told, and as many removed. `first` is awaited before a run is told; one for which it
        says no stays.

        Raises StoreError; what was begun is begun again by the next walk.
        """
        removed = 0 if self._by_table else await self._remove(limit)
        before = self._clock.now() - self._keep_s
        told = kept = 0
        async for run in self._ripe(before):
            if first is not None and not await first(run):
                kept += 1
                continue
            await self._tell(run, self._clock.now() + grace_s)
            told += 1
            if told >= limit:
                break
        return Walked(told, removed, kept)

    async def _ripe(self, before: float) -> AsyncIterator[str]:
        """Runs that ended before this time and were not told yet. Those that were are passed over, page by page."""
        for state in sorted(ENDED):
            for number in range(layout.shards):
                partition, end = f"{self._lineage}/{state}/{number}", f"{layout.moment(before)}/\uffff"
                keys: list[layout.Key] = []
                async for item in self._table.find("state", partition, "", end, batch_keys_max):
                    keys.append({"pk": dict(item["pk"]), "sk": dict(item["sk"])})
                    if len(keys) == batch_keys_max:
                        for run in await self._ripe_of(keys, before):
                            yield run
                        keys = []
                for run in await self._ripe_of(keys, before):
                    yield run

    async def _ripe_of(self, keys: Sequence[layout.Key], before: float) -> list[str]:
        found = [(item, entry_of(item)) for item in await self._table.get_all(keys)]
        return [entry.run for item, entry in found if entry is not None and await self._may_go(item, entry, before)]

    async def _may_go(self, item: Item, entry: RunEntry, before: float) -> bool:
        if "expires_at" in item or entry.state not in ENDED or entry.updated_at > before or entry.session:
            return False
        if not entry.parent:
            return True
        parent = await self._table.get(layout.hint(entry.parent, self._lineage))
        above = None if parent is None else entry_of(parent)
        return parent is None or (above is not None and above.state in ENDED)

    async def _tell(self, run: str, moment: float) -> None:
        items = await self._items(run)
        if not self._by_table:
            await self._table.put(layout.key(self._list(), f"{layout.moment(moment)}/{run}"))
        for at in items:
            await self._table.expire(at, moment)

    async def _items(self, run: str) -> list[layout.Key]:
        """Everything of a run, its entry last."""
        found: list[layout.Key] = []
        for kind in ("inbox", "run"):
            stream = f"{kind}/{run}@{self._lineage}"
            found += await self._places(stream)
            found.append(layout.key(layout.directory(kind, layout.shard(stream)), stream))
            if kind == "run":
                found += await self._places(layout.snapshots(cursor_stream(stream)))
        return [*found, layout.hint(run, self._lineage)]

    async def _places(self, stream: str, *, expired: bool = False) -> list[layout.Key]:
        items = await self._table.query(stream, names="pk, sk, expires_at", expired=expired)
        return [{"pk": dict(item["pk"]), "sk": dict(item["sk"])} for item in items]

    async def _remove(self, limit: int) -> int:
        long_ago = self._clock.now() - expiry_slack_s
        runs: Sequence[str] = [item["sk"]["S"] for item in await self._table.query(self._list(), limit=limit)]
        removed = 0
        for place in runs:
            moment, _, run = place.partition("/")
            if float(moment) > long_ago:
                break
            for kind in ("inbox", "run"):
                stream = f"{kind}/{run}@{self._lineage}"
                for at in await self._places(stream, expired=True):
                    await self._table.delete(at, only_expired_at=long_ago)
                directory = layout.key(layout.directory(kind, layout.shard(stream)), stream)
                await self._table.delete(directory, only_expired_at=long_ago)
            cursor = layout.snapshots(cursor_stream(f"run/{run}@{self._lineage}"))
            for at in await self._places(cursor, expired=True):
                await self._table.delete(at, only_expired_at=long_ago)
            await self._table.delete(layout.hint(run, self._lineage), only_expired_at=long_ago)
            await self._table.delete(layout.key(self._list(), place))
            removed += 1
        return removed

    def _list(self) -> str:
        return f"expired@{self._lineage}"
