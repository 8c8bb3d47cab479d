from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.run import Run
from tests.agent.desk import desk


def tools(app: App[None]) -> Any:
    @app.tool(effect="pure")
    async def double(x: int) -> int:
        return 2 * x

    @app.tool(effect="pure", retry=1)
    async def fail(x: int) -> int:
        raise ValueError(x)

    return double, fail


async def result(app: App[None], *, replays: int = 1, **settings: Any) -> tuple[Any, list[str]]:
    """What agent `go` returns, and its places; its code waits for signal 'go' once, and is replayed there."""
    async with desk(app, **settings) as d:
        run = await d.start("go")
        for _ in range(replays):
            await d.until(run, "parked")
            await d.crash_and_replace()
        await d.control.signal(run, "go")
        view = await d.until(run)
        assert view.state == "completed", (view.error, view.reason, d.reports)
        return view.result, [step.place for step in view.steps]


async def test_steps_called_in_order_may_be_awaited_together() -> None:
    app: App[None] = App("t")
    double, _ = tools(app)

    @app.agent
    async def go(run: Run[None]) -> list[int]:
        found = await asyncio.gather(double(1), double(2), double(3))
        await run.signal("go")
        return found

    assert await result(app) == ([2, 4, 6], ["1", "2", "3", "4"])


@pytest.mark.parametrize("how", ["task", "taskgroup", "asyncio.gather"])
async def test_a_step_called_from_a_task_of_its_own_is_refused_and_told_what_to_use(how: str) -> None:
    app: App[None] = App("t")
    double, _ = tools(app)

    async def two() -> int:
        await double(1)
        return await double(2)

    @app.agent
    async def go(run: Run[None]) -> str:
        try:
            if how == "task":
                await asyncio.create_task(two())
            elif how == "taskgroup":
                async with asyncio.TaskGroup() as group:
                    group.create_task(two())
            else:
                await asyncio.gather(two(), two())
        except BaseExceptionGroup as group_error:
            return str(group_error.exceptions[0])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    async with desk(app) as d:
        view = await d.until(await d.start("go"))
        assert "run.gather(...) or run.map(...)" in view.result
        assert "double was called from a task that the run does not know" in view.result


async def test_branches_have_scopes_of_their_own_and_may_be_nested() -> None:
    app: App[None] = App("t")
    double, _ = tools(app)

    @app.agent
    async def go(run: Run[None]) -> Any:
        async def leaf(x: int) -> int:
            return await double(await double(x))

        async def branch(x: int) -> Any:
            return await run.map(leaf, [x, x + 1]), await run.gather(double(x), leaf(x))

        found = await run.gather(branch(1), branch(10), double(100))
        await run.signal("go")
        return found

    value, places = await result(app, replays=2)
    assert value == [[[4, 8], [2, 4]], [[40, 44], [20, 40]], 200]
    assert set(places) >= {"1", "2.0.1.0.1", "2.0.1.0.2", "2.0.1.1.1", "2.0.2", "2.0.3.1.1", "2.1.1.0.1", "3"}
    assert len(places) == len(set(places)) == 16


async def test_the_first_error_in_order_is_raised_after_all_have_ended() -> None:
    app: App[None] = App("t")
    _, fail = tools(app)
    ended: list[int] = []

    @app.agent
    async def go(run: Run[None]) -> str:
        async def late(x: int) -> int:
            await run.sleep(0.05)
            ended.append(x)
            return await fail(x)

        async def fine(x: int) -> int:
            await run.sleep(0.08)
            ended.append(x)
            return x

        try:
            await run.gather(late(1), fail(2), fine(3))
        except ValueError as error:
            caught = f"{error} after {sorted(ended)}"
        await run.signal("go")
        return caught

    value, _ = await result(app)
    assert value == "1 after [1, 1, 3, 3]", "the same live and in replay"


async def test_at_most_limit_branches_run_at_a_time() -> None:
    app: App[None] = App("t")
    now = most = 0

    @app.tool(effect="pure")
    async def work(x: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return x

    @app.agent
    async def go(run: Run[None]) -> list[int]:
        found = await run.map(work, range(20), limit=3)
        await run.signal("go")
        return found

    assert (await result(app))[0] == list(range(20))
    assert most == 3


async def test_no_branches_give_an_empty_result() -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None]) -> Any:
        empty: list[int] = []
        found = [await run.gather(), await run.map(tools(App("u"))[0], empty)]
        await run.signal("go")
        return found

    assert (await result(app))[0] == [[], []]


async def test_bounds_of_branches_are_checked() -> None:
    app: App[None] = App("t")
    double, _ = tools(app)

    @app.agent
    async def go(run: Run[None]) -> list[str]:
        said: list[str] = []
        for call in (lambda: run.map(double, range(6)), lambda: run.map(double, [1], limit=0)):
            try:
                await call()
            except Exception as error:
                said.append(str(error))
        await run.signal("go")
        return said

    value, _ = await result(app, branches_max=5)
    assert "got 6 branches, the bound branches_max is 5" in value[0]
    assert "limit is 0" in value[1]


async def test_cancelling_a_gather_abandons_what_is_under_way_and_waits_for_it() -> None:
    app: App[None] = App("t")
    double, _ = tools(app)

    @app.tool(effect="pure")
    async def hang() -> int:
        return await asyncio.get_running_loop().create_future()

    @app.agent
    async def go(run: Run[None]) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await run.gather(hang(), run.sleep(60), double(1))
        await run.signal("go")
        return "went on"

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        view = await d.until(run)
        assert view.result == "went on"
        assert [step.state for step in view.steps] == ["waiting", "done", "abandoned", "done"] or [
            step.state for step in sorted(view.steps, key=lambda step: step.place)
        ] == ["abandoned", "abandoned", "done", "done"]


@pytest.mark.parametrize(
    ("error", "told"), [(SystemExit(3), "sys.exit(3)"), (KeyboardInterrupt(), "raised KeyboardInterrupt")], ids=repr
)
async def test_agent_code_that_exits_fails_its_run_and_nothing_else(error: BaseException, told: str) -> None:
    app: App[None] = App("t")

    @app.agent
    async def leaves(run: Run[None]) -> None:
        raise error

    @app.agent
    async def stays(run: Run[None]) -> str:
        await run.signal("go")
        return "here"

    async with desk(app) as d:
        other = await d.start("stays")
        view = await d.until(await d.start("leaves"))
        assert view.state == "failed"
        assert told in view.error["message"]  # type: ignore[index]
        await d.control.signal(other, "go")
        assert (await d.until(other)).result == "here"
