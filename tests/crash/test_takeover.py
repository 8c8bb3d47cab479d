from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.crash.system import System

pytestmark = pytest.mark.crash


async def test_the_runs_of_a_killed_worker_go_on_elsewhere(short_dir: Path) -> None:
    async with System(short_dir) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=20, seconds=0.02) for n in range(6)]
        await system.until(lambda: len(system.attempts()) > 12, 20, "steps are in flight")
        victim, pid = next(iter(system.ready_workers().items()))
        os.kill(pid, signal.SIGKILL)
        views = await system.all_settled(runs)
        assert [view.result for view in views] == [20] * 6
        assert victim not in {view.owner for view in views}
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(6) for k in range(20)}
        await system.verify_chains()
