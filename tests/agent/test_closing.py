"""An end from outside against what is on its way to the store: one goes first, and nothing stands behind an end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.execution import Execution
from outlast.agent.run import Run
from outlast.journal.stream import Append
from tests.agent.desk import Desk, desk


class Held:
    """An append of one kind of event is on its way until it is let go."""

    def __init__(self, d: Desk, kind: bytes) -> None:
        self.on_its_way = asyncio.Event()
        self.let_go = asyncio.Event()
        self._kind = kind
        d.wires["worker-1"].fault = self._hold

    async def _hold(self, append: Append) -> None:
        if self._kind in append.body:
            self.on_its_way.set()
            await self.let_go.wait()


def execution_of(d: Desk, run: str) -> Execution:
    return d.workers[0]._executions[run]


async def turns_of_the_loop() -> None:
    """Whatever can go on without an answer of the store goes on."""
    for _ in range(50):
        await asyncio.sleep(0)


ENDS: dict[str, Any] = {"run.completed": lambda run: None, "run.failed": lambda run: 1 / 0}


@pytest.mark.parametrize("end", ENDS)
async def test_a_cancel_that_comes_while_the_end_is_written_is_not_written_behind_it(end: str) -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None]) -> Any:
        return ENDS[end](run)

    async with desk(app) as d:
        held = Held(d, end.encode())
        run = await d.start("go")
        await held.on_its_way.wait()
        await d.control.cancel(run, "too late")
        await d.wait_for(lambda: execution_of(d, run)._mailbox.cancel is not None, "the worker has read it")
        await turns_of_the_loop()
        held.let_go.set()
        await d.until(run, end.removeprefix("run."))
        await d.wait_for(lambda: d.workers[0].runs == 0)
        assert (await d.types(run))[-1] == end


async def test_a_deadline_that_passes_while_an_intent_is_written_waits_for_it_and_settles_it() -> None:
    app: App[None] = App("t")
    ledger: list[str] = []

    @app.tool(effect="once")
    async def book(ctx: Context[None]) -> None:
        ledger.append(ctx.key)

    @app.agent
    async def go(run: Run[None]) -> None:
        await book()

    async with desk(app) as d:
        held = Held(d, b"step.intended")
        run = await d.start("go", deadline_s=0.3)
        await held.on_its_way.wait()
        await d.wait_for(lambda: execution_of(d, run)._closing.end is not None, "its time is over")
        await turns_of_the_loop()
        held.let_go.set()
        view = await d.until(run)
        assert view.error is not None
        assert view.error["type"] == "outlast.DeadlineExceeded"
        types = await d.types(run)
        assert types[types.index("step.intended") :] == ["step.intended", "step.retried", "run.failed"]
    assert ledger == []
