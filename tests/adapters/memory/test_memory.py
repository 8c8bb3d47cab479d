"""The stores in memory pass the suites of their ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from outlast.adapters.memory.anchor import MemoryAnchors
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from tests.contracts.anchor_store import AnchorStoreContract
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.run_index import RunIndexContract
from tests.contracts.snapshot_store import SnapshotStoreContract


class InMemory:
    durable = False

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryStore]:
        yield MemoryStore()


class TestMemoryStreams(InMemory, EventStoreContract):
    pass


class TestMemoryIndex(InMemory, RunIndexContract):
    pass


class TestMemorySnapshots(InMemory, SnapshotStoreContract):
    pass


class TestMemoryBlobs(BlobStoreContract):
    durable = False

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryBlobs]:
        yield MemoryBlobs()


class TestMemoryAnchors(AnchorStoreContract):
    durable = False

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryAnchors]:
        yield MemoryAnchors()
