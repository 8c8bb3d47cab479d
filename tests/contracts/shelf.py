"""What every Shelf does, while nothing fails."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from outlast.model.shelf import Shelf

Until = Callable[..., Awaitable[None]]


class ShelfContract(abc.ABC):
    @abc.abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Shelf]:
        """A shelf; what other tests put there may still be there."""

    @pytest.fixture
    async def shelf(self) -> AsyncIterator[Shelf]:
        async with self.opened() as shelf:
            yield shelf

    async def test_what_was_put_is_got_until_its_time_is_over(self, shelf: Shelf, until: Until) -> None:
        await shelf.put("time", b"\x00\xff{}", 60)
        assert await shelf.get("time") == b"\x00\xff{}"
        await shelf.put("time", b"\x00\xff{}", 0.2)

        async def gone() -> bool:
            return await shelf.get("time") is None

        await until(gone)

    async def test_what_was_never_put_is_not_there(self, shelf: Shelf) -> None:
        assert await shelf.get("never") is None

    async def test_the_last_value_counts(self, shelf: Shelf) -> None:
        for value in (b"one", b"two", b""):
            await shelf.put("last", value, 60)
        assert await shelf.get("last") == b""

    async def test_what_is_forgotten_is_gone(self, shelf: Shelf) -> None:
        await shelf.put("forgotten", b"one", 60)
        await shelf.forget("forgotten")
        await shelf.forget("forgotten")
        assert await shelf.get("forgotten") is None

    async def test_of_many_who_ask_at_once_one_leads(self, shelf: Shelf) -> None:
        led = await asyncio.gather(*(shelf.lead("many", f"token{number}", 60) for number in range(20)))
        assert sorted(led) == [False] * 19 + [True]

    async def test_another_leads_when_the_first_one_leaves(self, shelf: Shelf) -> None:
        assert await shelf.lead("leaves", "first", 60)
        await shelf.leave("leaves", "second")
        assert not await shelf.lead("leaves", "second", 60)
        await shelf.leave("leaves", "first")
        assert await shelf.lead("leaves", "second", 60)

    async def test_another_leads_when_the_time_of_the_first_is_over(self, shelf: Shelf, until: Until) -> None:
        assert await shelf.lead("late", "first", 0.3)

        async def leads() -> bool:
            return await shelf.lead("late", "second", 60)

        await until(leads)
        await shelf.leave("late", "first")
        assert not await shelf.lead("late", "third", 60)

    async def test_a_large_value_is_kept_as_it_is(self, shelf: Shelf) -> None:
        await shelf.put("large", b"\x01" * 500_000, 60)
        assert await shelf.get("large") == b"\x01" * 500_000

    async def test_every_key_is_part_of_something(self, shelf: Shelf) -> None:
        assert all(isinstance(shelf.part(f"key{number}"), str) for number in range(10))
