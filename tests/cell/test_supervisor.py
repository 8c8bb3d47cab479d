"""The supervisor with real processes: tiny programs stand in for writer and workers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host import table
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.process import HostChildren
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.adapters.memory.store import MemoryStore
from outlast.cell import event as news
from outlast.cell.bound import Bounds, PoolSize
from outlast.cell.child import ChildPlan
from outlast.cell.command import Start
from outlast.cell.roster import Roster
from outlast.cell.supervisor import Supervisor
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from tests.adapters.host import children

Until = Callable[..., Awaitable[None]]
POOL = "default"


def calm(**more: Any) -> Bounds:
    """Nobody is silent who merely has no time, where silence is not what is tested."""
    return Bounds(takeover_after_s=8.0, **more)


class Journal:
    def __init__(self, store: MemoryStore) -> None:
        self.index = store
        self.store = store

    async def close(self) -> None:
        return None


class Cell:
    """A supervisor over stand-ins; `programs` may be changed while it runs: the next child is what it then says."""

    def __init__(
        self, directory: Path, worker: str, *, bounds: Bounds | None = None, memory_max: int = 1 << 30
    ) -> None:
        self.directory = directory
        self.programs = {"writer": children.BEATS, "worker": worker}
        self.events: list[news.CellEvent] = []
        self.store = MemoryStore()
        self.count = 0
        clock = SystemClock()
        roster = Roster(
            bounds or calm(), {POOL: PoolSize(1, memory_max)}, OsRandomness(), clock.monotonic(), server=False
        )
        self.supervisor = Supervisor(
            roster, HostChildren(), clock, self.plan, self.connect, MemoryExecutors(), self.events.append
        )

    def plan(self, start: Start) -> ChildPlan:
        self.count += 1
        return children.plan(self.directory, f"{start.kind}{self.count}", self.programs[start.kind], start.kind)

    async def connect(self) -> Journal:
        return Journal(self.store)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def pids(self) -> dict[str, int]:
        return {view.id: view.pid for view in self.supervisor.view()}

    async def change(self, run: str, **fields: object) -> None:
        """Something was appended about a run."""
        stream = f"run/{run}@{self.store.lineage}"
        head = await self.store.head(stream)
        patch = HintPatch(run, **fields)  # type: ignore[arg-type]
        await self.store.append(make_append(stream, head, f"a{head.seq}", 0.0, [{"type": "x"}], patch))


@asynccontextmanager
async def running(cell: Cell, until: Until) -> AsyncIterator[Cell]:
    task = asyncio.create_task(cell.supervisor.run())
    try:
        await until(lambda: cell.supervisor.failure or _serves(cell), 60, "all children are ready")
        yield cell
        cell.supervisor.stop()
        await asyncio.wait_for(task, 60)
    finally:
        task.cancel()
        await asyncio.wait([task])
        pids = [event.pid for event in cell.of(news.ChildStarted)]
        await until(lambda: not any(table.members(pid) for pid in pids), 60, "no process is left")


def _serves(cell: Cell) -> bool:
    return cell.supervisor.ready() and len(cell.of(news.ChildReady)) >= 3


async def test_it_starts_watches_and_restarts(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, children.BEATS), until) as cell:
        assert len(cell.pids()) == 3
        victim, pid = next((name, pid) for name, pid in cell.pids().items() if name.startswith("worker"))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: [event.id for event in cell.of(news.ChildDead)] == [victim])
        await until(lambda: len(cell.of(news.ChildReady)) == 4)
        assert cell.of(news.ChildDead)[0].status == -signal.SIGKILL


async def test_a_worker_that_stops_beating_is_silent_replaced_and_then_killed(tmp_path: Path, until: Until) -> None:
    bounds = Bounds(kill_after_s=2.0)
    async with running(Cell(tmp_path, children.BEATS, bounds=bounds), until) as cell:
        victim, pid = next((name, pid) for name, pid in cell.pids().items() if name.startswith("worker"))
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: victim in [event.id for event in cell.of(news.ChildSilent)], 60, str(cell.events))
        await until(lambda: len(cell.of(news.ChildReady)) >= 4, 60, "another one serves")
        await until(lambda: victim in [event.id for event in cell.of(news.ChildDead)], 60, str(cell.events))


async def test_a_worker_that_swells_is_killed(tmp_path: Path, until: Until) -> None:
    cell = Cell(tmp_path, children.BEATS, memory_max=200 << 20)
    async with running(cell, until):
        cell.programs["worker"] = children.SWELLS
        victim = next(pid for name, pid in cell.pids().items() if name.startswith("worker"))
        os.kill(victim, signal.SIGKILL)
        await until(lambda: cell.of(news.ChildKilled), 60)
        assert "worker_memory_max is 200 MiB" in cell.of(news.ChildKilled)[0].why
        cell.programs["worker"] = children.BEATS


async def test_an_app_that_cannot_be_loaded_ends_it_with_the_error(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, children.FAILS), until) as cell:
        assert cell.supervisor.failure == news.CellFailed("configuration", "app.py: no such file")


async def test_workers_that_only_ever_exit_end_it_with_an_error(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, children.EXITS, bounds=calm(failed_starts_max=2)), until) as cell:
        assert cell.supervisor.failure is not None
        assert "died 2 times in a row before it was ready (exit status 3)" in cell.supervisor.failure.message


async def test_drain_ends_all_and_the_writer_last(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, children.BEATS), until) as cell:
        cell.supervisor.drain()
        await until(lambda: cell.of(news.CellStopped), 60)
        assert [event.status for event in cell.of(news.ChildDead)] == [0, 0, 0]
        assert cell.of(news.ChildDead)[-1].kind == "writer"


async def test_who_ignores_the_drain_is_killed_in_time(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, children.IGNORES_DRAIN, bounds=calm(drain_s=0.2)), until) as cell:
        cell.supervisor.drain()
        await until(lambda: cell.of(news.CellStopped), 60)
        assert [event.status for event in cell.of(news.ChildDead)] == [-9, -9, 0]


async def test_a_child_that_never_gets_ready_is_killed(tmp_path: Path, until: Until) -> None:
    bounds = calm(start_within_s=0.5, failed_starts_max=2)
    async with running(Cell(tmp_path, children.NEVER_READY, bounds=bounds), until) as cell:
        assert cell.supervisor.failure is not None
        assert {event.why for event in cell.of(news.ChildKilled)} >= {"not ready within 0.5 s"}


async def test_a_child_that_freezes_before_it_is_ready_is_killed_long_before_one_that_takes_its_time(
    tmp_path: Path, until: Until
) -> None:
    bounds = calm(start_silent_s=3.0, failed_starts_max=1)
    async with running(Cell(tmp_path, children.FREEZES_AT_START, bounds=bounds), until) as cell:
        assert cell.supervisor.failure is not None
        assert {event.why for event in cell.of(news.ChildKilled)} >= {"no sign of life for 3 s while it started"}
    bounds = calm(start_silent_s=6.0, start_within_s=9.0, failed_starts_max=1)
    async with running(Cell(tmp_path, children.NEVER_READY, bounds=bounds), until) as cell:
        assert {event.why for event in cell.of(news.ChildKilled)} >= {"not ready within 9 s"}


ECHOES_RINGS = children.PRELUDE + "beat_until(lambda word: link.say(Log('info', f'{type(word).__name__} {word.run}')))"


async def test_a_run_of_a_worker_that_dies_is_rung_at_another_one(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, ECHOES_RINGS), until) as cell:

        def rung(run: str) -> list[str]:
            return [said.id for said in cell.of(news.ChildSaid) if said.text == f"Ring {run}"]

        await cell.change("r1", agent="a", pool=POOL, state="ready")
        await until(lambda: rung("r1"), 60, "a worker is rung")
        owner = rung("r1")[0]
        await cell.change("r1", state="running", owner=owner)
        os.kill(cell.pids()[owner], signal.SIGKILL)
        await until(lambda: set(rung("r1")) - {owner}, 60, "another worker is rung")


async def test_a_suspect_is_rung_in_a_worker_of_its_own_which_is_drained_afterwards(
    tmp_path: Path, until: Until
) -> None:
    async with running(Cell(tmp_path, ECHOES_RINGS), until) as cell:
        cell.programs["worker"] = children.BEATS
        await cell.change("r1", agent="a", pool=POOL, state="trial")
        await until(lambda: [event for event in cell.of(news.ChildReady) if event.solo_for == "r1"], 60, "it starts")
        (alone,) = [event.id for event in cell.of(news.ChildReady) if event.solo_for == "r1"]
        await cell.change("r1", state="running", owner=alone)
        await cell.change("r1", state="completed", owner="")
        await until(lambda: alone in [event.id for event in cell.of(news.ChildDead)], 60, "it has drained")
        assert len(cell.pids()) == 3


async def test_a_second_cell_is_not_confused_by_streams_without_hints(tmp_path: Path, until: Until) -> None:
    async with running(Cell(tmp_path, children.BEATS), until) as cell:
        stream = f"agent/a@{cell.store.lineage}"
        await cell.store.append(make_append(stream, genesis(stream), "a1", 0.0, [{"type": "x"}]))
        await cell.change("r9", mail=1)
        assert cell.supervisor.ready()


@pytest.mark.parametrize("kind", ["writer", "worker"])
async def test_reload_replaces_workers_and_leaves_the_writer(tmp_path: Path, until: Until, kind: str) -> None:
    async with running(Cell(tmp_path, children.BEATS), until) as cell:
        before = {name for name in cell.pids() if name.startswith(kind)}
        cell.supervisor.reload()
        await until(lambda: len(cell.of(news.ChildDead)) == 2, 60, "the old workers have drained")
        await until(cell.supervisor.ready, 60, "the new ones serve")
        after = {name for name in cell.pids() if name.startswith(kind)}
        assert (before == after) == (kind == "writer")
