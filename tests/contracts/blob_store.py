"""What every BlobStore does."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlast.journal.blob import BlobRef, BlobStore
from outlast.kernel.error import NotFound


class BlobStoreContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[BlobStore]:
        """The store in this directory, made if it is not there."""

    def named(self, store: BlobStore, content: bytes) -> BlobRef:
        """The name that a content has in the store."""
        return BlobRef.of(content)

    @pytest.fixture
    async def store(self, short_dir: Path) -> AsyncIterator[BlobStore]:
        async with self.opened(short_dir) as store:
            yield store

    @pytest.mark.parametrize("content", [b"", b"x", b"\x00\xff" * 100_000])
    async def test_what_was_put_is_got(self, store: BlobStore, content: bytes) -> None:
        ref = await store.put(content)
        assert ref == self.named(store, content)
        assert await store.get(ref) == content

    async def test_the_same_content_has_one_name(self, store: BlobStore) -> None:
        assert await store.put(b"same") == await store.put(b"same")

    async def test_what_is_not_there_is_not_found(self, store: BlobStore) -> None:
        with pytest.raises(NotFound):
            await store.get(BlobRef.of(b"missing"))

    async def test_a_name_with_another_size_is_not_found_or_refused(self, store: BlobStore) -> None:
        ref = await store.put(b"content")
        with pytest.raises(Exception, match="blob"):
            await store.get(BlobRef(ref.sha256, 3))

    async def test_many_may_put_the_same_at_once(self, store: BlobStore) -> None:
        refs = await asyncio.gather(*(store.put(b"popular" * 1000) for _ in range(20)))
        assert len(set(refs)) == 1
        assert await store.get(refs[0]) == b"popular" * 1000

    async def test_it_outlives_a_restart(self, short_dir: Path) -> None:
        async with self.opened(short_dir) as store:
            ref = await store.put(b"kept")
        async with self.opened(short_dir) as store:
            assert await store.get(ref) == b"kept"
