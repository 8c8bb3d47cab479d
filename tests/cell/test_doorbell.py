"""The doorbell as a simulation uses it: a clock that is stepped by hand, an index in memory, no processes."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from outlast.adapters.memory.store import MemoryStore
from outlast.cell.doorbell import Doorbell
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.stream import Notice
from outlast.kernel.error import StoreUnavailable

POOL = "default"


class StepClock:
    """Time passes only when the test says so; wall and monotonic time are the same."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, self._count, future))
        await future

    async def settle(self) -> None:
        """Let everything run that can."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        end = self.time + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.time, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await self.settle()
        self.time = end


class Index(MemoryStore):
    """An index that can be out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        if self.broken:
            raise StoreUnavailable("the disk is away")
        return await super().due(now, limit, pool)

    async def entry(self, run: str) -> RunEntry | None:
        if self.broken:
            raise StoreUnavailable("the disk is away")
        return await super().entry(run)


class Hall:
    """A doorbell, and everything that it did."""

    def __init__(self) -> None:
        self.clock = StepClock()
        self.index = Index()
        self.rung: list[tuple[str, str, bool]] = []
        self.trials: list[tuple[str, str]] = []
        self.retired: list[str] = []
        self.complaints: list[str] = []
        self.bell = Doorbell(self.index, self.clock, self, self.complaints.append)

    def ring(self, worker: str, run: str, *, solo: bool) -> None:
        self.rung.append((worker, run, solo))

    def try_alone(self, run: str, pool: str) -> None:
        self.trials.append((run, pool))

    def retire(self, worker: str) -> None:
        self.retired.append(worker)

    def change(self, run: str, *, told: bool = True, **fields: Any) -> None:
        patch = HintPatch(run, **fields)
        self.index.patch(patch)
        if told:
            self.bell.notices([Notice(f"run/{run}@0.local.abcd", 1, patch), Notice("agent/x@0.local.abcd", 1)])


@asynccontextmanager
async def hall(*workers: str) -> AsyncIterator[Hall]:
    made = Hall()
    task = asyncio.create_task(made.bell.run())
    for worker in workers:
        made.bell.joined(worker, POOL)
    await made.clock.settle()
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_a_notice_rings_at_once_and_a_lost_one_within_a_scan() -> None:
    async with hall("w1") as made:
        made.change("r1", pool=POOL, state="ready")
        assert made.rung == [("w1", "r1", False)]
        made.change("r2", pool=POOL, state="ready", told=False)
        await made.clock.advance(1.01)
        assert ("w1", "r2", False) in made.rung


async def test_what_a_dead_worker_owned_is_rung_elsewhere_without_waiting_for_time_to_pass() -> None:
    async with hall("w1", "w2") as made:
        for run in ("r1", "r2", "r3"):
            made.change(run, pool=POOL, state="running", owner="w1")
        made.bell.left("w1")
        await made.clock.settle()
        assert made.rung == [("w2", run, False) for run in ("r1", "r2", "r3")]


async def test_what_a_silent_worker_owns_is_rung_elsewhere_and_it_may_come_back() -> None:
    async with hall("w1", "w2") as made:
        made.change("r1", pool=POOL, state="running", owner="w1")
        made.bell.silent("w1")
        await made.clock.settle()
        assert made.rung == [("w2", "r1", False)]
        made.bell.loaded("w2", 7)
        made.bell.back("w1")
        made.change("r2", pool=POOL, state="ready")
        assert made.rung[-1] == ("w1", "r2", False)
        made.bell.leaving("w1")
        made.change("r3", pool=POOL, state="ready")
        assert made.rung[-1] == ("w2", "r3", False)


async def test_owners_of_an_earlier_life_are_found_by_the_scan() -> None:
    async with hall() as made:
        made.change("r1", pool=POOL, state="running", owner="before the restart", told=False)
        await made.clock.advance(3)
        assert made.rung == []
        made.bell.joined("w1", POOL)
        await made.clock.settle()
        assert made.rung == [("w1", "r1", False)]


async def test_a_timer_rings_when_it_is_due_and_not_before() -> None:
    async with hall("w1") as made:
        made.change("r1", pool=POOL, state="parked", owner="w1", wake_at=1005.0)
        await made.clock.advance(4.9)
        assert made.rung == []
        await made.clock.advance(0.11)
        assert made.rung == [("w1", "r1", False)]


async def test_mail_is_rung_at_the_owner() -> None:
    async with hall("w1", "w2") as made:
        made.change("r1", pool=POOL, state="parked", owner="w2", told=False)
        made.change("r1", mail=1)
        await made.clock.settle()
        assert made.rung == [("w2", "r1", False)]
        made.bell.notices([Notice("inbox/gone@0.local.abcd", 1, HintPatch("gone", mail=1))])
        await made.clock.settle()
        assert len(made.rung) == 1


async def test_a_suspect_gets_its_trial_and_the_worker_leaves_afterwards() -> None:
    async with hall("w1") as made:
        made.bell.serves([POOL])
        made.change("bad", pool="", state="trial", owner="")
        await made.clock.settle()
        assert made.trials == [("bad", POOL)]
        made.bell.joined("alone", POOL, "bad")
        assert made.rung == [("alone", "bad", True)]
        made.change("bad", state="running", owner="alone")
        made.change("bad", state="completed", owner="")
        assert made.retired == ["alone"]


async def test_an_index_that_cannot_be_read_is_said_and_tried_again() -> None:
    async with hall("w1") as made:
        made.index.broken = True
        made.change("r1", pool=POOL, state="parked", mail=1)
        made.change("r1", mail=2)
        await made.clock.advance(2.1)
        assert any("the disk is away" in line for line in made.complaints)
        made.index.broken = False
        await made.clock.advance(1.1)
        assert made.rung == [("w1", "r1", False)]
