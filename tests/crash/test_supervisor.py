"""The supervisor itself dies, is stopped, is started twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.adapters.host import table
from tests.crash.system import System

pytestmark = pytest.mark.crash


async def test_when_the_supervisor_is_killed_its_children_end_and_the_next_one_recovers_everything(
    short_dir: Path,
) -> None:
    async with System(short_dir) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=20, seconds=0.02) for n in range(4)]
        asleep = await system.start_run("waits", seconds=3.0)
        for round_ in range(3):
            await system.until(lambda: len(system.attempts()) > 12 * (round_ + 1), 60, "steps are in flight")  # noqa: B023
            pids = [*system.living("worker").values(), *system.living("writer").values()]
            system.supervisor.kill()
            system.supervisor.wait()
            await system.until(lambda: not any(table.members(pid) for pid in pids), 60, "its children have ended")  # noqa: B023
            system.spawn()
            await system.until_workers(2)
        views = await system.all_settled(runs)
        assert {view.result for view in views} == {20}
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(4) for k in range(20)}
        assert (await system.settled(asleep)).result == "woken"
        await system.verify_chains()


async def test_a_writer_that_was_frozen_when_the_supervisor_died_does_not_keep_the_next_one_out(
    short_dir: Path,
) -> None:
    async with System(short_dir) as system:
        going = {event["id"] for event in system.events() if event["type"] in ("ChildSilent", "ChildLeaving")}
        staying = [pid for name, pid in system.ready_workers().items() if name not in going]
        frozen = [*system.living("writer").values(), *staying[:1]]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        system.supervisor.kill()
        system.supervisor.wait()
        system.spawn()
        await system.until(lambda: not any(table.members(pid) for pid in frozen), 60, "what was frozen is killed")
        await system.until_workers(3)
        run = await system.start_run("bookings", tag="t", count=2)
        assert (await system.settled(run)).result == 2


async def test_sigterm_drains_and_the_next_start_goes_on(short_dir: Path) -> None:
    async with System(short_dir) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=25, seconds=0.02) for n in range(4)]
        await system.until(lambda: len(system.attempts()) > 12, 60, "steps are in flight")
        assert await system.stop() == 0
        assert not [event for event in system.events() if event["type"] == "ChildKilled"]
        system.spawn()
        views = await system.all_settled(runs)
        assert {view.result for view in views} == {25}
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(4) for k in range(25)}
        doubted = [e for run in runs for e in await system.control.events(run) if e.type == "step.doubted"]
        assert doubted == [], "a drain leaves no step in doubt"


async def test_a_second_signal_stops_at_once(short_dir: Path) -> None:
    async with System(short_dir) as system:
        await system.start_run("gated", tag="g")
        await system.until((short_dir / "g.inside").exists, 60, "a step that must not be repeated is in flight")
        system.supervisor.terminate()
        await system.until(lambda: any(e["type"] == "ChildLeaving" for e in system.events()), 60, "it drains")
        assert system.supervisor.poll() is None
        assert await system.stop(20) == 0, "long before the drain is over"
        (short_dir / "g.gate").touch()


async def test_two_supervisors_on_one_directory_is_an_error_that_names_the_first(short_dir: Path) -> None:
    async with System(short_dir) as system:
        second = subprocess.run(
            [sys.executable, system.supervisor.args[1], str(short_dir), system._encoded()],  # type: ignore[index]
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode != 0
        assert f"is in use by process {system.supervisor.pid}: stop that one first" in second.stderr
        run = await system.start_run("bookings", tag="t", count=2)
        assert (await system.settled(run)).result == 2
