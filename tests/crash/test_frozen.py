"""Workers and writer that stand still instead of dying."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from outlast.cell.bound import Bounds
from tests.crash.system import System

pytestmark = pytest.mark.crash


async def test_a_frozen_worker_that_wakes_after_takeover_records_nothing_and_stops_its_run(short_dir: Path) -> None:
    async with System(short_dir, bounds=Bounds(kill_after_s=60.0)) as system:
        run = await system.start_run("naps", count=40, seconds=0.05)
        await system.until(lambda: len(system.events()) > 0, 60, "the cell tells")
        (entry,) = [e for e in await _owned(system) if e.run == run]
        frozen, pid = entry.owner, system.ready_workers()[entry.owner]
        os.kill(pid, signal.SIGSTOP)
        await system.until(lambda: _was(system, "ChildSilent", frozen), 60, "it is seen to be silent")
        await _until_owner_changes(system, run, frozen)
        seen = (await system.control.events(run))[-1].seq
        os.kill(pid, signal.SIGCONT)
        view = await system.settled(run)
        assert (view.state, view.result) == ("completed", 40)
        later = [event for event in await system.control.events(run) if event.seq > seen]
        assert frozen not in {event.data.get("worker") for event in later}
        places = [event.data["place"] for event in await system.control.events(run) if event.type == "step.done"]
        assert len(places) == len(set(places)) == 40
        await system.until(lambda: _was(system, "ChildBack", frozen), 60, "it is back")
        await system.until(lambda: frozen not in system.living("worker"), 60, "the surplus worker has drained")
        await system.verify_chains()


async def test_a_worker_frozen_inside_a_once_tool_is_killed_before_the_step_is_decided(short_dir: Path) -> None:
    async with System(short_dir) as system:
        run = await system.start_run("gated", tag="g")
        await system.until((short_dir / "g.inside").exists, 60, "the tool has begun")
        (entry,) = await _owned(system)
        pid = system.ready_workers()[entry.owner]
        os.kill(pid, signal.SIGSTOP)
        (short_dir / "g.gate").touch()  # were it to wake, the effect would happen at once
        view = await system.settled(run)
        assert (view.state, view.result) == ("completed", 1)
        await system.until(lambda: entry.owner not in system.living("worker"), 60, "the frozen executor is dead")
        assert system.attempts() == {("g", 1): 1}
        kinds = [event.type for event in await system.control.events(run)]
        assert kinds.index("step.doubted") < kinds.index("step.cleared") < kinds.index("step.done")


async def test_a_frozen_worker_that_stays_so_is_killed_and_replaced(short_dir: Path) -> None:
    async with System(short_dir, bounds=Bounds(kill_after_s=2.0)) as system:
        frozen, pid = next(iter(system.ready_workers().items()))
        os.kill(pid, signal.SIGSTOP)
        await system.until(lambda: _was(system, "ChildDead", frozen), 60, "it is killed")
        assert _was(system, "ChildKilled", frozen)
        await system.until_workers(3)


async def test_a_frozen_writer_is_killed_and_nothing_is_lost(short_dir: Path) -> None:
    async with System(short_dir, bounds=Bounds(writer_stall_s=1.0)) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=30, seconds=0.02) for n in range(4)]
        await system.until(lambda: len(system.attempts()) > 8, 60, "steps are in flight")
        await system.until(lambda: len(system.living("writer")) == 1, 60, "there is a writer")
        ((writer, pid),) = system.living("writer").items()
        os.kill(pid, signal.SIGSTOP)
        await system.until(lambda: _was(system, "ChildDead", writer), 60, "the writer is killed")
        views = await system.all_settled(runs)
        assert {view.result for view in views} == {30}
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(4) for k in range(30)}
        await system.verify_chains()


async def _owned(system: System) -> list:
    for _ in range(2000):
        owned = list(await system.platform.index.owned())
        if owned:
            return owned
        await system.platform.clock.sleep(0.005)
    pytest.fail("no run is owned")


async def _until_owner_changes(system: System, run: str, before: str) -> None:
    for _ in range(2000):
        entry = await system.platform.index.entry(run)
        if entry is not None and entry.owner not in ("", before):
            return
        await system.platform.clock.sleep(0.005)
    pytest.fail(f"run {run} still belongs to {before}\n{system.told()}")


def _was(system: System, kind: str, child: str) -> bool:
    return any(event["type"] == kind and event.get("id") == child for event in system.events())
