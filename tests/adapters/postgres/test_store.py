"""PostgreSQL passes the suites of its ports, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outlast.adapters.postgres.blob import PostgresBlobs
from outlast.adapters.postgres.presence import PostgresPresence
from outlast.adapters.postgres.store import PostgresStore
from outlast.journal.blob import BlobRef
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.presence import PresenceContract
from tests.contracts.run_index import RunIndexContract
from tests.contracts.shrinking import ShrinkingContract
from tests.contracts.snapshot_store import SnapshotStoreContract
from tests.contracts.swept_blobs import SweptBlobsContract
from tests.servers.postgres import PostgresServer


class OnServer:
    @pytest.fixture(autouse=True)
    def _server(self, server: PostgresServer) -> None:
        self.server = server

    def site(self, directory: Path) -> Site:
        name = "".join(character for character in directory.name.lower() if character.isalnum())
        return Site(self.server.url(), f"s_{name}")


class Journal(OnServer):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[PostgresStore]:
        async with opened(self.site(directory)) as engine:
            yield engine.journal


class TestPostgresStreams(Journal, EventStoreContract):
    pass


class TestPostgresIndex(Journal, RunIndexContract):
    pass


class TestPostgresSnapshots(Journal, SnapshotStoreContract):
    pass


class TestPostgresShrinking(Journal, ShrinkingContract):
    pass


class Blobs(OnServer):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[PostgresBlobs]:
        async with opened(self.site(directory)) as engine:
            yield engine.blobs


class TestPostgresBlobs(Blobs, BlobStoreContract):
    pass


class TestSweptPostgresBlobs(Blobs, SweptBlobsContract):
    async def age(self, blobs: PostgresBlobs, ref: BlobRef, by_s: float) -> None:
        await blobs._pool.rows(
            "UPDATE blob SET put_at = put_at - %s * interval '1 second' WHERE sha256 = %s",
            (by_s, bytes.fromhex(ref.sha256)),
        )


class TestPostgresPresence(OnServer, PresenceContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[PostgresPresence]:
        async with opened(self.site(directory)) as engine:
            yield engine.presence
