"""What every AnchorStore does."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlast.journal.anchor import AnchorStore
from outlast.journal.stream import Head


class AnchorStoreContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[AnchorStore]:
        """The store in this directory, made if it is not there."""

    @pytest.fixture
    async def store(self, short_dir: Path) -> AsyncIterator[AnchorStore]:
        async with self.opened(short_dir) as store:
            yield store

    async def test_it_remembers_heads(self, store: AnchorStore) -> None:
        assert await store.all() == {}
        heads = {f"run/r{index}@0.local.abcd": Head(index, bytes([index]) * 32) for index in range(1, 50)}
        await store.note(heads.items())
        assert await store.all() == heads

    async def test_it_only_moves_forward(self, store: AnchorStore) -> None:
        stream = "run/r@0.local.abcd"
        await store.note([(stream, Head(5, b"5" * 32))])
        await store.note([(stream, Head(3, b"3" * 32))])
        assert await store.all() == {stream: Head(5, b"5" * 32)}
        await store.note([(stream, Head(7, b"7" * 32)), (stream, Head(6, b"6" * 32))])
        assert await store.all() == {stream: Head(7, b"7" * 32)}

    async def test_noting_nothing_is_fine(self, store: AnchorStore) -> None:
        await store.note([])
        assert await store.all() == {}

    async def test_it_outlives_a_restart(self, short_dir: Path) -> None:
        async with self.opened(short_dir) as store:
            await store.note([("run/r@0.local.abcd", Head(5, b"5" * 32))])
        async with self.opened(short_dir) as store:
            assert await store.all() == {"run/r@0.local.abcd": Head(5, b"5" * 32)}
