from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.crash.system import System

pytestmark = pytest.mark.crash


async def test_the_runs_of_a_killed_worker_go_on_elsewhere(short_dir: Path) -> None:
    async with System(short_dir) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=20, seconds=0.02) for n in range(6)]
        await system.until(lambda: len(system.attempts()) > 12, 60, "steps are in flight")
        owners = {entry.owner for entry in await system.platform.index.owned()}
        victim, pid = next((name, pid) for name, pid in system.ready_workers().items() if name in owners)
        os.kill(pid, signal.SIGKILL)
        killed_at = time.time()
        views = await system.all_settled(runs)
        assert [view.result for view in views] == [20] * 6
        assert not [view for view in views if view.owner == victim and (view.ended_at or 0.0) > killed_at]
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(6) for k in range(20)}
        await system.verify_chains()


async def test_what_agent_code_printed_and_logged_is_not_said_again_in_replay(short_dir: Path) -> None:
    async with System(short_dir) as system:
        run = await system.start_run("says", tag="s")
        async with asyncio.timeout(30):
            while "step.done" not in {event.type for event in await system.control.events(run)}:  # noqa: ASYNC110 (elsewhere)
                await asyncio.sleep(0.01)
        owner = (await system.control.view(run)).owner
        os.kill(system.living("worker")[owner], signal.SIGKILL)
        (short_dir / "s.gate").touch()
        assert (await system.settled(run)).claims >= 2
        said = (system.state.logs / "worker.log").read_text()
        assert [said.count(f"s {what}") for what in ("printed before", "logged before", "printed after")] == [1, 1, 1]


async def test_deaths_in_quick_succession_of_those_that_take_over_and_of_the_writer_meanwhile_lose_and_double_nothing(
    short_dir: Path,
) -> None:
    async with System(short_dir) as system:
        runs = [await system.start_run("bookings", tag=f"t{n}", count=20, seconds=0.02) for n in range(6)]
        for round_ in range(4):
            await system.until(lambda: len(system.attempts()) > 12 * (round_ + 1), 60, "steps are in flight")  # noqa: B023
            await system.until_workers(2, 60)
            first, second = [*system.ready_workers().items(), ("nobody", 0)][:2]
            os.kill(first[1], signal.SIGKILL)
            await system.until(lambda: first[0] in dead(system), 60, "its death is seen")  # noqa: B023
            if second[1] in system.living("worker").values():
                os.kill(second[1], signal.SIGKILL)  # while it takes over
            if round_ % 2:
                for pid in system.living("writer").values():
                    os.kill(pid, signal.SIGKILL)
            await system.until_workers(2, 60)
        views = await system.all_settled(runs)
        assert [view.result for view in views] == [20] * 6
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(6) for k in range(20)}
        await system.verify_chains()


def dead(system: System) -> set[str]:
    return {event["id"] for event in system.events() if event["type"] == "ChildDead"}
