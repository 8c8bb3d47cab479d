from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from outlast.adapters.memory.presence import MemoryPresence
from outlast.cell.bound import Bounds
from outlast.cell.lookout import Lookout
from outlast.cell.presence import HostBeat
from outlast.kernel.error import StoreUnavailable, UsageError
from tests.cell.test_doorbell import StepClock


class Presence(MemoryPresence):
    """Signs of life that can go away; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.away = False
        self.hangs = False

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise StoreUnavailable("the database is away")

    async def beat(self, beat: HostBeat) -> None:
        await self._ask("beat")
        await super().beat(beat)

    async def leave(self, host: str) -> None:
        await self._ask(f"leave {host}")
        await super().leave(host)

    async def all(self) -> Sequence[HostBeat]:
        await self._ask("all")
        return await super().all()


class Post:
    """A lookout and what it said."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.clock = StepClock()
        self.presence = Presence()
        self.workers = ["w1"]
        self.disowned: list[str] = []
        self.complaints: list[str] = []
        self.lookout = Lookout(
            self.presence, "me", self.clock, bounds or Bounds(), lambda: self.workers, self.disowned.extend,
            self.complaints.append,
        )  # fmt: skip


@asynccontextmanager
async def post(bounds: Bounds | None = None) -> AsyncIterator[Post]:
    made = Post(bounds)
    task = asyncio.create_task(made.lookout.run())
    await made.clock.settle()
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_one_write_and_one_read_a_fifth_of_takeover_after_for_all_workers_together() -> None:
    async with post() as made:
        made.workers = [f"w{number}" for number in range(50)]
        made.presence.asked.clear()
        await made.clock.advance(10.01)
        assert made.presence.asked == ["beat", "all"] * 50
        (entry,) = await made.presence.all()
        assert entry == HostBeat("me", 51, tuple(made.workers))


@pytest.mark.parametrize(("takeover_after_s", "every_s"), [(0.5, 0.1), (1.0, 0.2), (30.0, 0.25)])
async def test_a_dead_host_is_known_two_looks_after_takeover_after(takeover_after_s: float, every_s: float) -> None:
    async with post(Bounds(takeover_after_s=takeover_after_s)) as made:
        assert made.lookout.every_s == every_s
        for count in range(10):
            await made.presence.beat(HostBeat("b", count, ("b1", "b2")))
            await made.clock.advance(every_s)
        await made.clock.advance(takeover_after_s - every_s - 0.001)
        assert made.disowned == []
        await made.clock.advance(2 * every_s)
        assert made.disowned == ["b1", "b2"]


async def test_one_line_a_trouble_and_nobody_is_blamed_for_it() -> None:
    async with post() as made:
        for count in range(5):
            await made.presence.beat(HostBeat("b", count, ("b1",)))
            await made.clock.advance(0.2)
        made.presence.away = True
        await made.clock.advance(60)
        assert len(made.complaints) == 1
        assert "the database is away" in made.complaints[0]
        made.presence.away = False
        await made.clock.advance(0.4)
        assert made.lookout.neighbours.spares("b1")
        assert made.disowned == []
        made.presence.away = True
        await made.clock.advance(1)
        assert len(made.complaints) == 2


async def test_a_store_that_never_answers_is_a_trouble_too(until: Callable[..., Awaitable[None]]) -> None:
    async with post(Bounds(presence_within_s=0.01)) as made:
        made.presence.hangs = True
        await made.clock.advance(0.2)
        await until(lambda: made.complaints)
        assert "no answer within 0.01 s" in made.complaints[0]
        await made.lookout.leave()
        assert made.presence.asked[-1] == "leave me"


async def test_entries_of_the_long_dead_are_removed_and_its_own_when_it_leaves() -> None:
    async with post() as made:
        await made.presence.beat(HostBeat("b", 1, ("b1",)))
        await made.clock.advance(62)
        assert [entry.host for entry in await made.presence.all()] == ["me"]
        await made.lookout.leave()
        assert await made.presence.all() == []
        made.presence.away = True
        await made.lookout.leave()


def test_a_host_needs_a_name() -> None:
    with pytest.raises(UsageError, match="host name ''"):
        Lookout(MemoryPresence(), "", StepClock(), Bounds(), list, print, print)
