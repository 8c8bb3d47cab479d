"""PostgreSQL as the engine: everything that is opened together and closed together."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from outlast.adapters.postgres import migration
from outlast.adapters.postgres.acknowledged import Acknowledged
from outlast.adapters.postgres.blob import PostgresBlobs
from outlast.adapters.postgres.committer import Committer
from outlast.adapters.postgres.doorbell import Doorbell
from outlast.adapters.postgres.loss import LossReport, losses_beside, read_losses, write_loss
from outlast.adapters.postgres.memory import Memory
from outlast.adapters.postgres.options import PostgresOptions
from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.presence import PostgresPresence
from outlast.adapters.postgres.refusal import Refusals
from outlast.adapters.postgres.removed import without_removed
from outlast.adapters.postgres.round import Round
from outlast.adapters.postgres.server import Servers, database_of
from outlast.adapters.postgres.session import Session
from outlast.adapters.postgres.store import PostgresReader, PostgresStore
from outlast.journal.anchor import Witness, unseen
from outlast.journal.lineage import Lineage
from outlast.journal.loss import Losses
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreError
from outlast.kernel.point import NoPoints, Points
from outlast.kernel.randomness import Randomness


def _silent(line: str) -> None:
    return None


class PostgresEngine:
    """The journal, the blobs and the presence of one database. Made by `open`."""

    def __init__(self, journal: PostgresStore, blobs: PostgresBlobs, presence: PostgresPresence, books: _Books) -> None:
        self.journal = journal
        """EventStore, RunIndex and SnapshotStore."""
        self.blobs = blobs
        self.presence = presence
        self._books = books

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: PostgresOptions,
        clock: Clock,
        randomness: Randomness,
        points: Points | None = None,
        *,
        lost: Callable[[LossReport], None] | None = None,
        losses: Losses | None = None,
        complain: Callable[[str], None] = _silent,
        witness: Witness = unseen,
    ) -> AsyncGenerator[PostgresEngine]:
        """Open the database for reading and writing; the tables are made or upgraded if `options.migrate`.

        `lost` is told when acknowledged appends are missing after a failover; they stand in ``losses.jsonl`` too. In
        `losses` is noted what is missing of this process's and of the other processes of this host. `complain` gets a
        line, not too often, where no server may be written to, and why. `witness` is told the heads that are
        acknowledged.

        Raises StoreUnavailable (no primary, or one that may not be used), ConfigurationError (URL, permissions, another
        format), StoreCorrupt (the schema holds something else).
        """
        points = points or NoPoints()
        token = randomness.token(6).hex()
        async with AsyncExitStack() as stack:
            books = _Books(options, clock, token, lost, losses or Losses())
            stack.callback(books.acknowledged.close)
            refusals = Refusals(clock, complain)
            servers = Servers(options, _name(options, token), books.memory, books.check, refusals=refusals)
            lineage = await _prepared(servers, options, randomness)
            reads = Pool(lambda: servers.connect("read"), lambda: servers.epoch, options.readers_max)
            stack.push_async_callback(reads.close)
            blobs = Pool(lambda: servers.connect("blob"), lambda: servers.epoch, 2)
            stack.push_async_callback(blobs.close)
            hints = Pool(lambda: servers.connect("hint"), lambda: servers.epoch, 1)
            stack.push_async_callback(hints.close)
            doorbell = Doorbell(servers, hints, options.schema, token, clock)
            stack.push_async_callback(doorbell.close)
            round = Round(
                books.acknowledged, doorbell.ring, points, options.lock_s_max, strong=options.strong, witness=witness
            )
            committer = Committer(servers, lineage, round)
            stack.push_async_callback(committer.close)
            await committer.connect()
            replicas = await _replicas(options, token, stack)
            journal = PostgresStore(reads, hints, lineage, replicas, committer, doorbell, strong=options.strong)
            yield cls(journal, PostgresBlobs(blobs, points), PostgresPresence(hints), books)

    def losses(self) -> Sequence[LossReport]:
        """What was acknowledged and is missing, as far as processes with this memory have found, oldest first."""
        return self._books.losses()


class PostgresReading:
    """The reading half of an engine. Made by `reading`."""

    def __init__(self, journal: PostgresReader, blobs: PostgresBlobs, presence: PostgresPresence) -> None:
        self.journal = journal
        self.blobs = blobs
        self.presence = presence


@asynccontextmanager
async def reading(options: PostgresOptions, randomness: Randomness) -> AsyncGenerator[PostgresReading]:
    """Open a database to read it only: nothing is made or upgraded, and its transactions are read-only.

    Raises as `PostgresEngine.open`.
    """
    token = randomness.token(6).hex()
    async with AsyncExitStack() as stack:
        servers = Servers(options, _name(options, token), Memory(options.memory), _unchecked)
        session = await servers.connect("look")
        try:
            lineage = await migration.opened(session, options.schema)
        finally:
            await session.close()
        reads = Pool(lambda: servers.connect("look"), lambda: servers.epoch, options.readers_max)
        stack.push_async_callback(reads.close)
        replicas = await _replicas(options, token, stack)
        yield PostgresReading(PostgresReader(reads, lineage, replicas), PostgresBlobs(reads), PostgresPresence(reads))


async def prepare(options: PostgresOptions, randomness: Randomness) -> Lineage:
    """Make the tables, or upgrade them, as their owner; the lineage. `schema.grants` says what other roles need.

    Raises as `PostgresEngine.open`.
    """
    servers = Servers(options, _name(options, "prepare"), Memory(None), _unchecked)
    return await _prepared(servers, options, randomness)


class _Books:
    """What is kept outside the database, and held against it on every connection that is made to write."""

    def __init__(
        self,
        options: PostgresOptions,
        clock: Clock,
        token: str,
        lost: Callable[[LossReport], None] | None,
        losses: Losses,
    ) -> None:
        self.memory = Memory(options.memory)
        about = f"{database_of(options)}/{options.schema}"
        self.acknowledged = Acknowledged(options.memory, about, token, options.acknowledged_max)
        self._path = None if options.memory is None else losses_beside(options.memory)
        self._found: list[LossReport] = []
        self._clock = clock
        self._lost = lost
        self._losses = losses
        self._learnt_at: tuple[str, int] | None = None
        """Cluster and timeline of the last server of which it is known what others have lost there."""

    async def check(self, session: Session) -> None:
        """Note and report what the server of `session` lacks. Raises StoreUnavailable."""
        standing = session.standing
        system = standing.system if standing else ""
        timeline = standing.timeline if standing else 0
        failover = f"{system}/{timeline}" if standing else f"{self._clock.now():.6f}"
        if standing is not None and (system, timeline) != self._learnt_at:
            await self._learn(session, (system, timeline), failover)
            self._learnt_at = (system, timeline)
        absent = await self.acknowledged.missing(session, system)
        missing = await without_removed(session, absent)
        if absent and not missing:
            self.acknowledged.forget(absent)
        if not missing:
            return
        report = LossReport(
            self._clock.now(), session.place, system, timeline, tuple(missing), self.acknowledged.complete
        )
        self._losses.note(missing, failover, ours=True)
        if self._path is not None:
            write_loss(self._path, report)
        self._found.append(report)
        del self._found[:-losses_max]
        self.acknowledged.forget(absent)
        if self._lost is not None:
            self._lost(report)

    async def _learn(self, session: Session, server: tuple[str, int], failover: str) -> None:
        """Note what the other processes of this host have lost: what they have reported, and, after a failover, what
        they will. Their books first: what is reported meanwhile is found in the file.
        """
        known = self.memory.known
        before = self._learnt_at or (None if known is None else (known.system, known.timeline))
        if before is not None and before != server:
            missing = await without_removed(session, await self.acknowledged.missing_of_others(session, server[0]))
            self._losses.note(missing, failover, ours=False)
        with suppress(StoreError):  # a file that is damaged shows when it is asked for: it must not keep runs waiting
            for report in await asyncio.to_thread(self.losses):
                if (report.system, report.timeline) == server:
                    self._losses.note(report.lost, failover, ours=False)

    def losses(self) -> Sequence[LossReport]:
        """All reports; those of this process if there is no file."""
        return list(self._found) if self._path is None else read_losses(self._path)


losses_max = 100
"""Bound of the reports that a process without a memory file keeps."""


async def _unchecked(session: Session) -> None:
    return


def _name(options: PostgresOptions, token: str) -> str:
    return f"{options.application[:20]} {socket.gethostname()[:16]}:{os.getpid()}:{token[:8]}"


async def _prepared(servers: Servers, options: PostgresOptions, randomness: Randomness) -> Lineage:
    session = await servers.connect("prepare")
    try:
        if not options.migrate:
            return await migration.opened(session, options.schema)
        first = options.first or Lineage.first(options.region, randomness)
        return await migration.migrate(session, options.schema, first)
    finally:
        await session.close()


async def _replicas(options: PostgresOptions, token: str, stack: AsyncExitStack) -> Pool | None:
    if options.replicas is None:
        return None
    servers = Servers(options, _name(options, token), Memory(None), _unchecked, url=options.replicas)
    pool = Pool(servers.any, lambda: 0, 1)
    stack.push_async_callback(pool.close)
    return pool
