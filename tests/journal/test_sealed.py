"""Sealed stores of every kind pass the suites of their ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.blob import BlobRef, BlobStore
from outlast.journal.index import Behind
from outlast.journal.seal import seal_blob
from outlast.journal.sealed import SealedBlobs, SealedStore, sealed
from outlast.journal.stream import Append, EventStore
from tests.adapters.sqlite.writing import running
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.run_index import RunIndexContract
from tests.contracts.snapshot_store import SnapshotStoreContract
from tests.journal.ring import Ring


class SealedStreams(EventStoreContract):
    def stored(self, store: EventStore, append: Append) -> bytes:
        assert isinstance(store, SealedStore)
        return store.sealed(append).body


class InMemory:
    """Nothing outlives it."""

    test_what_was_acknowledged_outlives_a_restart = None
    test_it_outlives_a_restart = None

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SealedStore]:
        yield sealed(MemoryStore(), MemoryBlobs(), Ring())[0]


async def test_a_list_that_may_be_behind_is_still_marked() -> None:
    class Replica(MemoryStore):
        async def list(self, **filters: Any) -> Behind:
            return Behind(await super().list(**filters), 2.5)

    store = sealed(Replica(), MemoryBlobs(), Ring())[0]
    found = await store.list(limit=3)
    assert isinstance(found, Behind)
    assert found.behind_s == 2.5
    assert not isinstance(await sealed(MemoryStore(), MemoryBlobs(), Ring())[0].list(), Behind)


class TestSealedMemoryStreams(InMemory, SealedStreams):
    pass


class TestSealedMemoryIndex(InMemory, RunIndexContract):
    pass


class TestSealedMemorySnapshots(InMemory, SnapshotStoreContract):
    pass


class InProcess:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SealedStore]:
        store = SqliteStore.open(directory / "journal.sqlite", OsRandomness())
        try:
            yield sealed(store, MemoryBlobs(), Ring())[0]
        finally:
            store.close()


class TestSealedSqliteStreams(InProcess, SealedStreams):
    pass


class TestSealedSqliteIndex(InProcess, RunIndexContract):
    pass


class TestSealedSqliteSnapshots(InProcess, SnapshotStoreContract):
    pass


class ThroughAWriter:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SealedStore]:
        async with running(directory) as process:
            client = await SqliteClient.open(process.journal, process.socket)
            try:
                yield sealed(client, MemoryBlobs(), Ring())[0]
            finally:
                client.close()


class TestSealedClientStreams(ThroughAWriter, SealedStreams):
    pass


class TestSealedClientIndex(ThroughAWriter, RunIndexContract):
    pass


class TestSealedClientSnapshots(ThroughAWriter, SnapshotStoreContract):
    pass


class SealedNames(BlobStoreContract):
    def named(self, store: BlobStore, content: bytes) -> BlobRef:
        return BlobRef.of(seal_blob(content, Ring().current))


class TestSealedMemoryBlobs(SealedNames):
    test_it_outlives_a_restart = None  # type: ignore[assignment]

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SealedBlobs]:
        yield SealedBlobs(MemoryBlobs(), Ring())


class TestSealedFileBlobs(SealedNames):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SealedBlobs]:
        yield SealedBlobs(FileBlobs(directory / "blobs", OsRandomness()), Ring())
