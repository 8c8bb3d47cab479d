"""Where the code of a user failed stands in the log: once, with their lines and none of ours."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.agent.stack import tell_where
from outlast.kernel.error import NotDone
from outlast.policy.retry import Retry
from tests.agent.desk import desk

FAST = Retry(2, 0.001, 0.002)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "outlast.failed"]


async def test_a_run_that_fails_says_on_which_line(caplog: pytest.LogCaptureFixture) -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None]) -> str:
        return {"a": "b"}[str(run.replaying)]  # this very line

    async with desk(app) as d:
        run = await d.start("go")
        assert (await d.until(run)).state == "failed"
    (text,) = told(caplog)
    assert text.startswith(f"run {run} of agent go failed\nTraceback (most recent call last):\n")
    assert "# this very line" in text
    assert text.endswith("KeyError: 'False'")
    assert "outlast/agent/" not in text


@pytest.mark.parametrize("effect", ["pure", "once"])
@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_a_tool_that_fails_says_it_once_when_it_is_not_tried_again(
    effect: Any, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    app: App[None] = App("t")

    def broken() -> None:
        raise ConnectionError("away")  # this very line

    if mode == "async":

        @app.tool(effect=effect, name="work", retry=FAST)
        async def work() -> None:
            broken()
    else:

        @app.tool(effect=effect, name="work", retry=FAST)
        def work() -> None:
            broken()

    @app.agent
    async def go(run: Run[None]) -> str:
        try:
            await work()
        except ConnectionError:
            pass
        return "went on"

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "completed" if effect == "pure" else "held")
    (text,) = told(caplog)
    number = 2 if effect == "pure" else 1
    assert text.startswith(f"step 1 (work) of run {run} failed, attempt {number}\nTraceback")
    assert "# this very line" in text


async def test_an_error_that_is_expected_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    app: App[None] = App("t")

    @app.error
    class Declined(Exception):
        pass

    @app.tool(effect="pure", retry=Retry(1))
    async def declines() -> None:
        raise Declined("no")

    @app.tool(effect="once", retry=Retry(1))
    async def does_nothing() -> None:
        raise NotDone("nothing")

    @app.tool(effect="pure", retry=Retry(1), timeout="1ms")
    async def dawdles() -> None:
        await asyncio.sleep(60)

    @app.agent
    async def go(run: Run[None]) -> int:
        count = 0
        for tool in (declines, does_nothing, dawdles):
            try:
                await tool()
            except Exception:
                count += 1
        return count

    async with desk(app) as d:
        assert (await d.until(await d.start("go"))).result == 3
    assert told(caplog) == []


async def test_what_went_wrong_in_a_task_group_stands_in_the_error(caplog: pytest.LogCaptureFixture) -> None:
    app: App[None] = App("t")

    async def fails() -> None:
        raise LookupError("not there")

    @app.agent
    async def go(run: Run[None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())

    async with desk(app) as d:
        view = await d.until(await d.start("go"))
    assert view.error is not None
    assert view.error["message"] == "unhandled errors in a TaskGroup (1 sub-exception): LookupError: not there"
    (text,) = told(caplog)
    assert 'raise LookupError("not there")' in text


def test_an_error_that_cannot_be_printed_is_told_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("\ud800 \x1b[31m" + "x" * 100_000)
    except ValueError as error:
        tell_where("it failed", error)
    (text,) = told(caplog)
    assert "\\ud800 \\x1b[31mxxx" in text
    assert len(text.encode()) < 30_000
    logger = logging.getLogger("outlast.failed")
    assert logger.handlers == []
