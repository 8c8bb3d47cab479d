"""An agent that blocks, swells or segfaults loses no other agent's run, and only its own is quarantined."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from outlast.cell.bound import Bounds
from tests.crash.system import System

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

BOUNDS = Bounds(kill_after_s=3.0)


@pytest.mark.parametrize("culprit", ["blocks", "swells", "segfaults"])
async def test_neighbours_end_well_and_the_culprit_is_quarantined(culprit: str, short_dir: Path) -> None:
    async with System(short_dir, bounds=BOUNDS) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=15, seconds=0.05) for n in range(6)]
        bad = await system.start_run(culprit)
        runs += [await system.start_run("bookings", tag=f"t{n}", count=15, seconds=0.05) for n in range(6, 12)]
        # slow steps: their neighbours' claims come to nothing too whenever the culprit takes a worker with it
        slow = [await system.start_run("naps", count=2, seconds=4.0) for _ in range(2)]
        view = await system.settled(bad, 120)
        assert view.state == "quarantined", (view.state, view.reason, view.error)
        views = await system.all_settled([*runs, *slow], 120)
        assert [view.error for view in views if view.state != "completed"] == []
        assert {(view.agent, view.state, view.result) for view in views} == {
            ("bookings", "completed", 15), ("naps", "completed", 2),
        }  # fmt: skip
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(12) for k in range(15)}
        await system.until_workers(3)
        await system.verify_chains()


async def test_a_run_whose_workers_and_whose_trial_are_killed_from_outside_is_not_quarantined(short_dir: Path) -> None:
    async with System(short_dir) as system:
        run = await system.start_run("stands", tag="s")
        killed: set[str] = set()
        for _ in range(4):  # three in company make it a suspect, the fourth is its trial
            owner = await owner_but(system, run, killed)
            os.kill(system.living("worker")[owner], signal.SIGKILL)
            killed.add(owner)
        alone = {event["id"] for event in system.events() if event["type"] == "ChildReady" and event["solo_for"] == run}
        assert len(alone & killed) == 1, "the last one was killed in a trial alone"
        await owner_but(system, run, killed)
        (short_dir / "s.gate").touch()
        view = await system.settled(run)
        assert (view.state, view.result) == ("completed", "s"), view.reason


async def owner_but(system: System, run: str, killed: set[str]) -> str:
    """Who owns the run now, once that is none of the killed."""
    async with asyncio.timeout(60):
        while True:
            entry = await system.platform.index.entry(run)
            if entry is not None and entry.state == "running" and entry.owner not in {"", *killed}:
                return entry.owner
            await asyncio.sleep(0.01)
