"""What may begin is asked last: from the gate's answer to the step's first event, nothing else can come between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.journal.stream import Append, Head
from tests.agent.desk import desk


async def nothing() -> None:
    return None


@pytest.mark.parametrize("effect", ["pure", "once"])
async def test_a_step_does_not_begin_when_its_run_is_cancelled_while_the_kill_switch_is_read(effect: Any) -> None:
    app: App[None] = App("t")
    calls: list[int] = []

    @app.tool(effect=effect)
    async def work(n: int) -> int:
        calls.append(n)
        return n

    @app.agent
    async def go(run: Run[None]) -> int:
        await run.signal("go")
        return await work(1)

    reading, read = asyncio.Event(), asyncio.Event()
    cancelling, written = asyncio.Event(), asyncio.Event()
    async with desk(app, park_after_s=30) as d:

        async def slow_head(stream: str) -> Head:
            if stream.startswith("agent/"):
                reading.set()
                await read.wait()
            return await d.store.head(stream)

        async def slow_append(append: Append) -> None:
            if b"run.cancelling" in append.body:
                cancelling.set()
                await written.wait()

        (worker,) = d.workers
        worker._refresh_stopped = nothing
        vars(d.wires["worker-1"])["head"] = slow_head
        d.wires["worker-1"].fault = slow_append
        run = await d.start("go")
        await d.has(run, "signal.awaited")
        worker._stopped_agents["go"] = "a hint that is out of date"
        await d.control.signal(run, "go")
        await reading.wait()
        await d.control.cancel(run, "enough")
        await cancelling.wait()
        read.set()
        for _ in range(50):  # what has been read is acted on before the cancellation is durable
            await asyncio.sleep(0)
        written.set()
        assert (await d.until(run)).state == "cancelled"
        types = await d.types(run)
        assert types[types.index("run.cancelling") + 1 :] == ["run.cancelled"]
    assert calls == []
