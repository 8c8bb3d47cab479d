"""What must be thrown away now and then: runs that ended long ago, archived first if that is wanted, and blobs that
nothing names any more. One host does it; that two do is harmless, since every step may be done twice.

A bucket that several tables use is not cleaned: what only another table names would look like nobody's. Each keeper,
and `prepare`, leaves a mark of its table in the bucket (``tables/TABLE``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from outlast.adapters.aws.dynamodb.retention import Retention, runs_max
from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.s3.owner import mark_table, tables_of
from outlast.cell.chore import CollectionMark, Rounds, Tell
from outlast.journal.index import RunEntry
from outlast.journal.reach import named_by
from outlast.journal.removal import record_removals
from outlast.journal.stream import EventStore, StreamKey
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreCorrupt
from outlast.kernel.randomness import Randomness
from outlast.kernel.unit import duration_text

MayGo = Callable[[RunEntry, float], Awaitable[bool]]


class HousekeepingBounds(msgspec.Struct, frozen=True):
    """How often it looks, in seconds; each pause is shortened or lengthened by up to a quarter."""

    first_after_s: float = 5.0
    """Before the first look: what runs for a moment keeps no house."""
    walk_every_s: float = 3600.0
    """Between two walks through the runs that have ended."""
    collect_every_s: float = 24 * 3600.0
    """Between two collections of blobs, whoever made the last one: each reads all streams."""


class Housekeeping:
    """Run `run` until it is cancelled. `store` reads the streams, opened if they are sealed. `tell` gets lines."""

    def __init__(
        self, options: AwsOptions, engine: AwsEngine, store: EventStore, clock: Clock, randomness: Randomness,
        tell: Tell, keep_s: float, *, archive: bool = False, may_go: MayGo | None = None,
        bounds: HousekeepingBounds | None = None,
    ) -> None:  # fmt: skip
        """`keep_s`: how long a run stays after its end. `archive`: it is archived before it goes. `may_go`: whether
        nobody may need it any more, given its entry and the time before which it must have ended.
        """
        self._may_go = may_go
        self._options = options
        self._engine = engine
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._tell = tell
        self._keep_s = keep_s
        self._archive = archive
        self._bounds = bounds or HousekeepingBounds()
        self._retention: Retention | None = None
        self._rounds = Rounds(clock, randomness, tell)
        self._collection = CollectionMark(engine.journal, engine.journal.lineage, clock)
        self._unarchived = 0

    async def run(self) -> None:
        """Until cancelled. What fails is said once, and done by the next round."""
        await self._rounds.run(self._round, self._bounds.first_after_s, self._bounds.walk_every_s)

    async def _round(self) -> None:
        await self.walk()
        await self.collect()

    async def walk(self) -> int:
        """Let every run go that ended long enough ago; how many. Raises StoreError."""
        if self._retention is None:
            self._retention = await self._made()
        told, self._unarchived = 0, 0
        while True:
            walked = await self._retention.walk(first=self._prepared)
            told += walked.told
            if walked.told < runs_max and walked.removed < runs_max:
                break
        if told:
            text = f"{told} runs that ended more than {duration_text(self._keep_s)} ago will be gone in a day"
            self._tell("info", text + (", they are archived" if self._archive else ""))
        if self._unarchived:
            self._rounds.complain(f"{self._unarchived} runs stay, because they could not be archived")
        return told

    async def collect(self) -> bool:
        """Remove blobs that nothing names, if that was not done lately; whether it was done now. Raises StoreError."""
        calls, bucket = self._engine.calls["s3"], self._options.bucket
        if self._clock.now() - await self._collection.at() < self._bounds.collect_every_s:
            return False
        await mark_table(calls, bucket, self._options.table)
        others = [table for table in await tables_of(calls, bucket) if table != self._options.table]
        if others:
            self._rounds.complain(
                f"blobs are not collected: bucket {bucket} is also used by table {others[0]}, whose blobs nobody here "
                f"can tell; give each table a bucket of its own, or remove tables/{others[0]} there if it is gone"
            )
            return False
        found = await self._engine.collect(dry_run=False, store=self._store)
        await self._collection.note(self._clock.now())
        if found.removed or found.locked:
            locked = f", {found.locked} are locked and stay" if found.locked else ""
            self._tell("info", f"{found.removed} of {found.blobs} blobs were removed, nothing named them{locked}")
        return True

    # Inside

    async def _made(self) -> Retention:
        engine, table = self._engine, self._options.table
        told: dict[str, Any] = await engine.calls["dynamodb"].many("DescribeTimeToLive", TableName=table)
        expires = told["TimeToLiveDescription"].get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
        days = self._keep_s / (24 * 3600.0)
        return Retention(engine.table, engine.journal.lineage, self._clock, days, by_table=expires)

    async def _prepared(self, run: str) -> bool:
        """Whether a run may be told that it goes: archived if that is wanted, and its removal on record."""
        journal = self._engine.journal
        if self._may_go is not None:
            entry = await journal.entry(run)
            try:
                if entry is None or not await self._may_go(entry, self._clock.now() - self._keep_s):
                    return False
            except StoreCorrupt as error:
                self._rounds.complain(f"run {run} stays, it cannot be read: {error}")
                return False
        if self._archive and not await self._archived(run):
            self._unarchived += 1
            return False
        streams = [str(StreamKey(kind, run, journal.lineage)) for kind in ("inbox", "run")]
        heads = [(stream, head) for stream in streams if (head := await journal.head(stream)).seq]
        why = f"ended more than {duration_text(self._keep_s)} ago"
        await record_removals(journal, heads, self._clock, self._randomness, why)
        return True

    async def _archived(self, run: str) -> bool:
        """Whether a run and its inbox are in the archive. Raises StoreUnavailable."""
        journal = self._engine.journal
        for kind in ("inbox", "run"):
            stream = str(StreamKey(kind, run, journal.lineage))
            if (await journal.head(stream)).seq == 0:
                continue
            try:
                blobs = await named_by(self._store, stream)
                await self._engine.archive.store(journal, stream, blobs)
            except StoreCorrupt as error:
                self._rounds.complain(f"run {run} stays, it cannot be archived: {error}")
                return False
        return True
