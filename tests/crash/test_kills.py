"""Kills at random instants with steps in flight. ``make crash KILLS=2000``; OUTLAST_SEED repeats one."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import signal
import time
from pathlib import Path

import msgspec
import pytest

from tests.crash.system import System

pytestmark = [pytest.mark.crash, pytest.mark.slow(110), pytest.mark.timeout(0)]

SEED = int(os.environ.get("OUTLAST_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
RUNS = 8
STEPS = 12


class Kill(msgspec.Struct):
    """One blow: when, at whom, which runs it then owned, and whether the writer or the supervisor was hit with it."""

    at: float
    worker: str
    runs: list[str]
    also: str = ""


async def recoveries(system: System, kills: list[Kill], also: str) -> list[float]:
    """Seconds from each kill to the next recorded step of each run that the killed worker owned."""
    found: list[float] = []
    for kill in [kill for kill in kills if kill.also == also]:
        for run in kill.runs:
            taken = False
            for event in await system.control.events(run):
                if event.at <= kill.at:
                    continue
                taken = taken or (event.type == "run.claimed" and event.data["worker"] != kill.worker)
                if taken and event.type.startswith("step."):
                    found.append(event.at - kill.at)
                    break
    return sorted(found)


def figures(spans: list[float]) -> str:
    if not spans:
        return "none"
    at = {name: spans[min(len(spans) - 1, int(len(spans) * part))] for name, part in (("p50", 0.5), ("p99", 0.99))}
    return f"{len(spans)} runs, p50 {at['p50']:.3f} s, p99 {at['p99']:.3f} s, longest {spans[-1]:.3f} s"


async def test_any_number_of_kills_at_any_instant_loses_and_doubles_nothing(short_dir: Path, kills: int) -> None:
    print(f"OUTLAST_SEED={SEED}")  # noqa: T201 (repeats this test)
    faulthandler.cancel_dump_traceback_later()  # it takes as long as it was asked to
    chance = random.Random(SEED)
    blows: list[Kill] = []
    runs: list[str] = []
    async with System(short_dir) as system:

        async def keep_busy() -> None:
            counts = await system.platform.index.counts()
            for _ in range(RUNS - len(runs) + counts.get("completed", 0)):
                runs.append(await system.start_run("bookings", tag=f"t{len(runs)}", count=STEPS, seconds=0.01))

        while len(blows) < kills:
            await keep_busy()
            workers = system.ready_workers()
            owned = {name: [entry.run for entry in await system.platform.index.owned(name)] for name in workers}
            busy = sorted(name for name in owned if owned[name])
            if not busy:
                await system.platform.clock.sleep(0.001)
                continue
            victim = chance.choice(busy)
            end = time.monotonic() + chance.uniform(0.0, 0.05)
            while time.monotonic() < end:
                await system.platform.clock.sleep(0.001)
            owned_now = [entry.run for entry in await system.platform.index.owned(victim)]
            if victim not in system.living("worker"):  # it went by itself: as a surplus one, or after its supervisor
                continue
            blows.append(Kill(time.time(), victim, owned_now))
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[victim], signal.SIGKILL)
            if chance.random() < 0.08:
                blows[-1].also = "writer"
                for pid in system.living("writer").values():
                    os.kill(pid, signal.SIGKILL)
            elif chance.random() < 0.02:
                blows[-1].also = "supervisor"
                system.supervisor.kill()
                system.supervisor.wait()
                system.spawn()
            await system.until(lambda gone=victim: gone not in system.living("worker"), 60, "the victim is dead")
            await system.until_workers(3)
        views = await system.all_settled(runs)
        assert {view.state for view in views} == {"completed"}, [view for view in views if view.state != "completed"]
        assert system.attempts() == {(f"t{n}", k): 1 for n in range(len(runs)) for k in range(STEPS)}
        await system.verify_chains()
        for also in ("", "writer", "supervisor"):
            count = sum(blow.also == also for blow in blows)
            what = f"{count} workers killed" + (f", the {also} with them" if also else "")
            print(f"{what}: to the next step of {figures(await recoveries(system, blows, also))}")  # noqa: T201
