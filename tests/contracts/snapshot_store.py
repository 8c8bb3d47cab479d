"""What every SnapshotStore does."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest

from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot, SnapshotStore


class StoreOfSnapshots(SnapshotStore, Protocol):
    @property
    def lineage(self) -> Lineage: ...


class SnapshotStoreContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[StoreOfSnapshots]:
        """The store in this directory, made if it is not there."""

    @pytest.fixture
    async def store(self, short_dir: Path) -> AsyncIterator[StoreOfSnapshots]:
        async with self.opened(short_dir) as store:
            yield store

    def snapshot(self, store: StoreOfSnapshots, seq: int, body: bytes = b"{}", name: str = "s") -> Snapshot:
        return Snapshot(f"session/{name}@{store.lineage}", seq, bytes([seq % 256]) * 32, 1, body)

    async def test_nothing_is_loaded_where_nothing_was_saved(self, store: StoreOfSnapshots) -> None:
        assert await store.load(f"session/s@{store.lineage}") is None

    async def test_the_latest_is_loaded(self, store: StoreOfSnapshots) -> None:
        for seq in (1, 5, 9):
            snapshot = self.snapshot(store, seq, b'{"n":%d}' % seq + b"\x00\xff")
            await store.save(snapshot)
            assert await store.load(snapshot.stream) == snapshot

    async def test_an_older_one_is_ignored(self, store: StoreOfSnapshots) -> None:
        latest = self.snapshot(store, 9)
        await store.save(latest)
        await store.save(self.snapshot(store, 4))
        assert await store.load(latest.stream) == latest

    async def test_each_stream_has_its_own(self, store: StoreOfSnapshots) -> None:
        one, two = self.snapshot(store, 3, name="one"), self.snapshot(store, 2, name="two")
        await store.save(one)
        await store.save(two)
        assert await store.load(one.stream) == one
        assert await store.load(two.stream) == two

    async def test_a_large_one_is_kept(self, store: StoreOfSnapshots) -> None:
        large = self.snapshot(store, 3, b"x" * 1_500_000)
        await store.save(large)
        assert await store.load(large.stream) == large

    async def test_it_outlives_a_restart(self, short_dir: Path) -> None:
        async with self.opened(short_dir) as store:
            snapshot = self.snapshot(store, 7)
            await store.save(snapshot)
        async with self.opened(short_dir) as store:
            assert await store.load(snapshot.stream) == snapshot
