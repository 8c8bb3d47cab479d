"""The stores in memory pass the suites of their ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from outlast.adapters.memory.anchor import MemoryAnchors
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.presence import MemoryPresence
from outlast.adapters.memory.store import MemoryStore
from tests.contracts.anchor_store import AnchorStoreContract
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.presence import PresenceContract
from tests.contracts.run_index import RunIndexContract
from tests.contracts.shrinking import ShrinkingContract
from tests.contracts.snapshot_store import SnapshotStoreContract


class InMemory:
    """Nothing outlives it."""

    test_what_was_acknowledged_outlives_a_restart = None
    test_it_outlives_a_restart = None
    test_what_was_removed_is_still_gone_after_a_restart = None

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryStore]:
        yield MemoryStore()


class TestMemoryStreams(InMemory, EventStoreContract):
    pass


class TestMemoryIndex(InMemory, RunIndexContract):
    pass


class TestMemoryShrinking(InMemory, ShrinkingContract):
    pass


class TestMemorySnapshots(InMemory, SnapshotStoreContract):
    pass


class TestMemoryBlobs(BlobStoreContract):
    test_it_outlives_a_restart = None  # type: ignore[assignment]

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryBlobs]:
        yield MemoryBlobs()


class TestMemoryAnchors(AnchorStoreContract):
    test_it_outlives_a_restart = None  # type: ignore[assignment]

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryAnchors]:
        yield MemoryAnchors()


class TestMemoryPresence(InMemory, PresenceContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryPresence]:
        yield MemoryPresence()
