"""SQLite in this process passes the suites of its ports, and says clearly what is wrong with a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.anchor import SqliteAnchors
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.store import SqliteStore
from tests.contracts.anchor_store import AnchorStoreContract
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.run_index import RunIndexContract
from tests.contracts.snapshot_store import SnapshotStoreContract


class InProcess:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SqliteStore]:
        store = SqliteStore.open(directory / "journal.sqlite", OsRandomness())
        try:
            yield store
        finally:
            store.close()


class TestSqliteStreams(InProcess, EventStoreContract):
    pass


class TestSqliteIndex(InProcess, RunIndexContract):
    pass


class TestSqliteSnapshots(InProcess, SnapshotStoreContract):
    pass


class TestFileBlobs(BlobStoreContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[FileBlobs]:
        yield FileBlobs(directory / "blobs", OsRandomness())


class TestSqliteAnchors(AnchorStoreContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SqliteAnchors]:
        anchors = SqliteAnchors.open(directory / "anchors.sqlite")
        try:
            yield anchors
        finally:
            anchors.close()
