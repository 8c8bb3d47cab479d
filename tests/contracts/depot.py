"""What every Depot does."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlast.kernel.error import Conflict, NotFound
from outlast.recover.depot import Depot


class DepotContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[Depot]:
        """The depot for this directory, the same each time."""

    @pytest.fixture
    async def depot(self, short_dir: Path) -> AsyncIterator[Depot]:
        async with self.opened(short_dir) as depot:
            yield depot

    async def test_what_was_put_is_there_also_for_the_next_who_opens_it(self, short_dir: Path) -> None:
        async with self.opened(short_dir) as depot:
            await depot.put("a/b/c", b"\x00content")
            await depot.put("empty", b"")
        async with self.opened(short_dir) as depot:
            assert await depot.get("a/b/c") == b"\x00content"
            assert await depot.get("empty") == b""
            assert await depot.names() == ["a/b/c", "empty"]

    async def test_it_begins_empty(self, depot: Depot) -> None:
        assert list(await depot.names()) == []
        with pytest.raises(NotFound, match="a/b"):
            await depot.get("a/b")
        assert not await depot.hold("a/b", 1)
        assert await depot.remove("a/b")

    async def test_nothing_is_ever_overwritten(self, depot: Depot) -> None:
        await depot.put("a", b"one")
        await depot.put("a", b"one")
        with pytest.raises(Conflict, match="something else"):
            await depot.put("a", b"two")
        assert await depot.get("a") == b"one"

    async def test_of_many_at_once_one_is_kept(self, depot: Depot) -> None:
        contents = [bytes([number]) * 1000 for number in range(8)]
        outcomes = await asyncio.gather(*(depot.put("a", one) for one in contents), return_exceptions=True)
        won = [content for content, outcome in zip(contents, outcomes, strict=True) if outcome is None]
        assert len(won) == 1
        assert all(outcome is None or isinstance(outcome, Conflict) for outcome in outcomes)
        assert await depot.get("a") == won[0]

    async def test_names_are_listed_in_order_by_prefix(self, depot: Depot) -> None:
        for name in ("b/2", "b/1", "b/10", "bb", "a/x/y"):
            await depot.put(name, b"x")
        assert await depot.names("b/") == ["b/1", "b/10", "b/2"]
        assert await depot.names("b") == ["b/1", "b/10", "b/2", "bb"]
        assert await depot.names("c") == []

    async def test_what_is_held_has_the_size_that_was_said(self, depot: Depot) -> None:
        await depot.put("a", b"four")
        assert await depot.hold("a", 4)
        with pytest.raises(Conflict, match="4 bytes"):
            await depot.hold("a", 5)

    async def test_what_is_removed_is_gone_and_may_come_again(self, depot: Depot) -> None:
        await depot.put("a/b", b"one")
        assert await depot.remove("a/b")
        assert list(await depot.names()) == []
        await depot.put("a/b", b"two")
        assert await depot.get("a/b") == b"two"
