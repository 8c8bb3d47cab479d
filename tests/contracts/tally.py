"""What every Tally does, while nothing fails."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from outlast.model.tally import Tally


class TallyContract(abc.ABC):
    @abc.abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Tally]:
        """A tally without counts."""

    @pytest.fixture
    async def tally(self) -> AsyncIterator[Tally]:
        async with self.opened() as tally:
            yield tally

    async def test_counts_add_up_by_name(self, tally: Tally) -> None:
        assert list(await tally.add("a", (1, 10), 60)) == [1, 10]
        assert list(await tally.add("a", (2, -5), 60)) == [3, 5]
        assert list(await tally.add("b", (0, 1), 60)) == [0, 1]

    async def test_counts_of_many_at_once_are_all_counted(self, tally: Tally) -> None:
        found = await asyncio.gather(*(tally.add("many", (1, 2), 60) for _ in range(20)))
        assert sorted(total[0] for total in found) == list(range(1, 21))
        assert list(await tally.add("many", (0, 0), 60)) == [20, 40]

    async def test_counts_that_nobody_adds_to_are_forgotten(
        self, tally: Tally, until: Callable[..., Awaitable[None]]
    ) -> None:
        await tally.add("brief", (5, 5), 0.2)

        async def forgotten() -> bool:
            return list(await tally.add("brief", (0, 1), 0.001)) == [0, 1]

        await until(forgotten)
