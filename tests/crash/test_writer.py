"""The one process that writes the journal dies, again and again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.crash.system import System

pytestmark = pytest.mark.crash


async def test_a_killed_writer_loses_and_doubles_nothing(short_dir: Path) -> None:
    async with System(short_dir) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=40, seconds=0.02) for n in range(4)]
        for round_ in range(5):
            await system.until(lambda: len(system.attempts()) > 10 * (round_ + 1), 60, "steps go on")  # noqa: B023
            (writer,) = system.living("writer").items()
            os.kill(writer[1], signal.SIGKILL)
            await system.until(lambda: set(system.living("writer")) - {writer[0]}, 60, "another writer runs")  # noqa: B023
        views = await system.all_settled(runs)
        assert {view.result for view in views} == {40}
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(4) for k in range(40)}
        died = [event for event in system.events() if event["type"] == "ChildDead" and event["kind"] == "worker"]
        assert died == [], "workers outlive the writer"
        await system.verify_chains()
