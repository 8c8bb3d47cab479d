"""PostgreSQL as the engine: everything that is opened together and closed together."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from outlast.adapters.postgres import migration
from outlast.adapters.postgres.acknowledged import Acknowledged
from outlast.adapters.postgres.blob import PostgresBlobs
from outlast.adapters.postgres.committer import Committer
from outlast.adapters.postgres.doorbell import Doorbell
from outlast.adapters.postgres.memory import Memory
from outlast.adapters.postgres.options import PostgresOptions
from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.presence import PostgresPresence
from outlast.adapters.postgres.server import Servers
from outlast.adapters.postgres.session import Session
from outlast.adapters.postgres.store import PostgresReader, PostgresStore
from outlast.journal.lineage import Lineage
from outlast.kernel.clock import Clock
from outlast.kernel.point import NoPoints, Points
from outlast.kernel.randomness import Randomness


class PostgresEngine:
    """The journal, the blobs and the presence of one database. Made by `open`."""

    def __init__(self, journal: PostgresStore, blobs: PostgresBlobs, presence: PostgresPresence) -> None:
        self.journal = journal
        """EventStore, RunIndex and SnapshotStore."""
        self.blobs = blobs
        self.presence = presence

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: PostgresOptions, clock: Clock, randomness: Randomness, points: Points | None = None
    ) -> AsyncGenerator[PostgresEngine]:
        """Open the database for reading and writing; the tables are made or upgraded if `options.migrate`.

        Raises StoreUnavailable (no primary, or one that may not be used), ConfigurationError (URL, permissions, another
        format), StoreCorrupt (the schema holds something else).
        """
        points = points or NoPoints()
        token = randomness.token(6).hex()
        acknowledged = Acknowledged()
        async with AsyncExitStack() as stack:
            servers = _servers(options, token)
            lineage = await _prepared(servers, options, randomness)
            reads = Pool(lambda: servers.connect("read"), lambda: servers.epoch, options.readers_max)
            stack.push_async_callback(reads.close)
            hints = Pool(lambda: servers.connect("hint"), lambda: servers.epoch, 1)
            stack.push_async_callback(hints.close)
            doorbell = Doorbell(servers, hints, options.schema, token, clock)
            stack.push_async_callback(doorbell.close)
            committer = Committer(servers, lineage, acknowledged, doorbell.ring, points, strong=options.strong)
            stack.push_async_callback(committer.close)
            await committer.connect()
            journal = PostgresStore(reads, lineage, None, committer, doorbell)
            yield cls(journal, PostgresBlobs(reads, points), PostgresPresence(hints))


async def _nothing(session: Session) -> None:
    return


def _servers(options: PostgresOptions, token: str) -> Servers:
    name = f"{options.application[:20]} {socket.gethostname()[:16]}:{os.getpid()}:{token[:6]}"
    return Servers(options, name, Memory(options.memory), _nothing)


async def _prepared(servers: Servers, options: PostgresOptions, randomness: Randomness) -> Lineage:
    session = await servers.connect("prepare")
    try:
        if not options.migrate:
            return await migration.opened(session, options.schema)
        return await migration.migrate(
            session, options.schema, Lineage(0, options.region, randomness.token(6).hex())
        )
    finally:
        await session.close()
