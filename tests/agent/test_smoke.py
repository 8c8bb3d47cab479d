from __future__ import annotations

import asyncio
from typing import Any

from outlast.agent.app import App
from outlast.agent.run import Run
from tests.agent.desk import desk

app: App[None] = App("test")


@app.tool(effect="pure")
async def double(x: int) -> int:
    return 2 * x


@app.tool(effect="once")
def book(x: int) -> int:
    return x + 1


@app.agent
async def calc(run: Run[None], n: int) -> list[int]:
    a = await double(n)
    b = await book(a)
    c = await run.map(double, [1, 2, 3], limit=2)
    await run.sleep(0.01)
    d, e = await asyncio.gather(double(5), double(6))
    f, g = await run.gather(double(7), run.sleep(0.2))
    return [a, b, *c, d, e, f]


async def test_it_runs() -> None:
    async with desk(app) as d:
        run = await d.start("calc", 5)
        view = await d.until(run)
        print(view.reason, view.error, d.reports, await d.types(run))
        assert view.result == [10, 11, 2, 4, 6, 10, 12, 14]
