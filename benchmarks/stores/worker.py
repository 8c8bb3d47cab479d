"""One worker process on an engine: a probe that answers with what its steps took, and what was written for them.

Requests: ``many RUNS STEPS`` (that many runs at once, from the first start to the last end), ``lone STEPS`` (one run,
each step timed by the agent itself).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

import outlast
from benchmarks.bench import payload_bytes
from benchmarks.probe import reply
from benchmarks.stores.engine import Opened, opened
from outlast.agent.control import Control
from outlast.cell.worker import Worker

app = outlast.App("bench")


@app.tool(effect="pure")
async def produce(number: int, size: int) -> str:
    """A result of `size` bytes."""
    return f"{number:08d}".ljust(size, "x")


@app.agent
async def steps(run: outlast.Run, steps: int, size: int) -> int:
    """So many steps, one after the other."""
    for number in range(steps):
        await produce(number, size)
    return steps


taken: list[float] = []
"""What each step of the last lone run took, in seconds; a run's own result would be a payload of its own."""


@app.agent
async def timed(run: outlast.Run, steps: int, size: int) -> int:
    """The same, timed."""
    for number in range(steps):
        start = time.perf_counter()
        await produce(number, size)
        taken.append(time.perf_counter() - start)
    return steps


class Bench:
    def __init__(self, engine: Opened, worker: Worker) -> None:
        self._engine = engine
        self._worker = worker
        self._control = Control(engine.platform, app)

    async def many(self, runs: int, count: int) -> dict[str, Any]:
        """Many runs at once; when, by the machine's monotonic clock."""
        start = time.monotonic()
        gate = asyncio.Semaphore(32)  # as many requests as a server has in hand

        async def begin() -> str:
            async with gate:
                run = (await self._control.start("steps", {"steps": count, "size": payload_bytes})).run
            self._worker.offer(run)
            return run

        started = await asyncio.gather(*(begin() for _ in range(runs)))
        while self._worker.runs:  # noqa: ASYNC110 (a worker has no event for it: users wait through the API)
            await asyncio.sleep(0.002)
        end = time.monotonic()
        await self._check(started)
        return {"start": start, "end": end, "steps": runs * count}

    async def lone(self, count: int) -> dict[str, Any]:
        """One run by itself; what each step took, in milliseconds, and what was written for all of it."""
        taken.clear()
        before = await self._engine.written()
        run = (await self._control.start("timed", {"steps": count, "size": payload_bytes})).run
        self._worker.offer(run)
        while self._worker.runs:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.02)
        await self._check([run])
        after = await self._settled()
        written = {name: value - asdict(before)[name] for name, value in asdict(after).items()}
        return {"ms": [each * 1000 for each in taken], "written": written}

    async def _settled(self) -> Any:
        """What is written behind the run's back (hints) counts, too."""
        last, calm = await self._engine.written(), 0
        while calm < 5:
            await asyncio.sleep(0.1)
            now = await self._engine.written()
            last, calm = now, calm + 1 if now == last else 0
        return last

    async def _check(self, runs: list[str]) -> None:
        for run in runs[:: max(1, len(runs) // 10)]:
            view = await self._control.view(run)
            if view.state != "completed":
                raise RuntimeError(f"run {run} is {view.state}: {view.reason} {view.error}")


def report(line: str) -> None:
    """What the worker says goes to the probe's log."""
    print(line, file=sys.stderr, flush=True)


async def serve(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    identity = f"bench-{os.getpid()}"
    async with (
        opened(args.kind, args.where, args.dir) as engine,
        Worker(app, engine.platform, identity, report=report) as worker,
    ):
        bench = Bench(engine, worker)
        print("ready", flush=True)
        while request := (await loop.run_in_executor(None, sys.stdin.readline)).split():
            work, *numbers = request
            reply(await getattr(bench, work)(*map(int, numbers)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True)
    parser.add_argument("--where", required=True)
    parser.add_argument("--dir", type=Path, required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
