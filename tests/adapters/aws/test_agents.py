"""Agents run on two hosts that share the engine, while calls to AWS fail: each effect happens once, each run ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.cell.worker import Worker
from outlast.kernel.error import StoreError
from tests.adapters.aws.opening import engine, options
from tests.contracts.note import Retrying, everything, key
from tests.servers.microburst import Faults

RUNS = 6


def shop(effects: Counter[str]) -> App[None]:
    app: App[None] = App("shop")

    @app.tool(effect="pure")
    async def look(order: str) -> str:
        return order * 100_000  # larger than what stands in an event

    @app.tool(effect="once")
    async def refund(order: str) -> str:
        effects[order] += 1
        return f"refunded {order}"

    @app.agent
    async def support(run: Any, order: str) -> str:
        found = await look(order)
        done = await refund(order)
        await run.sleep(0.2)
        return f"{done} {len(found)}"

    return app


def platform_of(opened: AwsEngine) -> Platform:
    journal = opened.journal
    settings = Settings(park_after_s=0.05, unwind_s=0.5)
    return Platform(
        SystemClock(), OsRandomness(), journal, journal, journal, opened.blobs, MemoryExecutors(), settings=settings
    )


async def ring(worker: Worker, platform: Platform) -> None:
    while True:
        try:
            for entry in await platform.index.due(platform.clock.now()):
                worker.offer(entry.run)
        except StoreError:
            pass
        await platform.clock.sleep(0.1)


@pytest.mark.timeout(300)
async def test_two_hosts_do_each_effect_once_while_calls_fail(
    faults: Faults, short_dir: Path, until: Callable[..., Any]
) -> None:
    effects: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        where = options(short_dir.name, faults.address, read_timeout_s=10)
        one, two = [await stack.enter_async_context(engine(where)) for _ in range(2)]
        for opened, name in ((one, "worker-1"), (two, "worker-2")):
            platform = platform_of(opened)
            worker = await stack.enter_async_context(Worker(shop(effects), platform, name))
            ringing = asyncio.create_task(ring(worker, platform))
            stack.callback(ringing.cancel)
        faults.set(
            {"service": "dynamodb", "sequence": {"fail": 1, "pass": 9}, "error": {"code": "ThrottlingException"}},
            {"operation": "PutItem", "sequence": {"fail": 1, "pass": 9}, "response": {"abort_frac": 0.0}},
            {"service": "s3", "sequence": {"fail": 1, "pass": 9}, "error": {"code": "SlowDown", "status": 503}},
        )
        control = Control(platform_of(one), shop(effects))
        runs = [(await control.start("support", f"{number}", key=f"k{number}")).run for number in range(RUNS)]

        async def ended() -> bool:
            entries = [await two.journal.entry(run) for run in runs]
            return all(entry is not None and entry.state == "completed" for entry in entries)

        async def over() -> bool:
            try:
                return await ended()
            except StoreError:
                return False

        await until(over, 200, "all runs end, and the index says so")
        assert faults.fired(), "a fault that never bit proves nothing"
        faults.set()
        assert effects == Counter({f"{number}": 1 for number in range(RUNS)})
        for number, run in enumerate(runs):
            view = await control.view(run)
            assert view.result == f"refunded {number} 100000"
            await everything(Retrying(one.journal), key(one.journal, run))
