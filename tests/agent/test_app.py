from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.kernel.error import ConfigurationError, OutlastError, ScopeError, UsageError
from outlast.policy.retry import Retry
from tests.agent.desk import desk


def test_an_effect_is_never_assumed() -> None:
    app: App[None] = App("t")
    with pytest.raises(TypeError):
        app.tool()  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="has effect 'sometimes': say 'pure'"):

        @app.tool(effect="sometimes")  # type: ignore[arg-type]
        def odd() -> None: ...


def test_what_cannot_be_a_tool_or_an_agent_is_refused() -> None:
    app: App[None] = App("t")

    def many(*values: int) -> int:
        return 0

    def untyped(x: Nowhere) -> int:  # type: ignore[name-defined] # noqa: F821
        return 0

    async def no_run() -> int:
        return 0

    async def keywords(run: Run[None], **more: int) -> int:
        return 0

    for function in (many, untyped):
        with pytest.raises(OutlastError):
            app.tool(effect="pure")(function)
    with pytest.raises(ConfigurationError, match="is not an async function"):
        app.agent(many)  # type: ignore[arg-type]
    for function in (no_run, keywords):
        with pytest.raises(ConfigurationError):
            app.agent(function)  # type: ignore[arg-type]


def test_names_are_unique() -> None:
    app: App[None] = App("t")
    app.tool(effect="pure", name="a")(lambda: 1)
    with pytest.raises(ConfigurationError, match="tool a is defined twice in app t"):
        app.tool(effect="pure", name="a")(lambda: 2)

    async def go(run: Run[None]) -> None: ...

    app.agent(go)
    with pytest.raises(ConfigurationError, match="agent go is defined twice"):
        app.agent(go)


def test_only_a_once_tool_has_a_verify_and_only_one() -> None:
    app: App[None] = App("t")
    pure = app.tool(effect="pure", name="a")(lambda: 1)
    once = app.tool(effect="once", name="b")(lambda: 1)
    with pytest.raises(ConfigurationError, match="only a tool with effect='once' is ever in doubt"):
        pure.verify(lambda: None)
    once.verify(lambda: None)
    with pytest.raises(ConfigurationError, match="has a verify already"):
        once.verify(lambda: None)


async def test_outside_a_run_a_tool_is_the_plain_function_and_an_agent_is_refused() -> None:
    app: App[None] = App("t")

    @app.tool(effect="once")
    async def double(x: int) -> int:
        return 2 * x

    @app.tool(effect="pure")
    def half(x: int) -> int:
        return x // 2

    @app.tool(effect="pure")
    async def told(ctx: Context[None]) -> str:
        return ctx.key

    @app.agent
    async def go(run: Run[None]) -> int:
        return 1

    assert await double(2) == 4
    assert await half(4) == 2
    with pytest.raises(UsageError, match="has no context: call it inside an agent"):
        await told()
    with pytest.raises(UsageError, match="outside a run, where it would not be durable"):
        await go()


def test_options_change_a_copy() -> None:
    app: App[None] = App("t")
    tool = app.tool(effect="once", name="a", timeout="1m", retry=2)(lambda: 1)
    other = tool.options(timeout="5s", retry=Retry(7), settle="10s")
    assert (tool.step.timeout_s, tool.step.retry.attempts, tool.step.settle_s) == (60, 2, 0)  # type: ignore[union-attr]
    assert (other.step.timeout_s, other.step.retry.attempts, other.step.settle_s) == (5, 7, 10)  # type: ignore[union-attr]


async def test_a_run_used_outside_its_agents_code_is_refused() -> None:
    app: App[None] = App("t")
    kept: list[Run[None]] = []

    @app.tool(effect="pure")
    async def sneaky() -> str:
        try:
            await kept[-1].sleep(1)
        except ScopeError as error:
            return str(error)
        return ""

    @app.agent
    async def go(run: Run[None]) -> str:
        kept.append(run)
        return await sneaky()

    @app.agent
    async def other(run: Run[None]) -> str:
        try:
            await kept[0].sleep(1)
        except ScopeError as error:
            return str(error)
        return ""

    async with desk(app) as d:
        for agent in ("go", "other"):
            view = await d.until(await d.start(agent))
            assert "was used outside its agent's code" in view.result


async def test_run_step_takes_undecorated_functions_and_refuses_once() -> None:
    app: App[None] = App("t")

    def half(x: int) -> int:
        return x // 2

    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    @app.agent
    async def go(run: Run[None]) -> list[Any]:
        found: list[Any] = [await run.step(half, 8, effect="pure"), await run.step(double, 8, effect="idempotent")]
        found.append(await run.step(lambda: 3, effect="pure", name="three"))
        for wrong in (
            lambda: run.step(half, 8, effect="once"),
            lambda: run.step(lambda: 3, effect="pure"),
            lambda: run.step(half, 8, effect="pure", name="a b"),
            lambda: run.signal("a b"),
        ):
            try:
                await wrong()
            except UsageError as error:
                found.append(type(error).__name__)
        return found

    async with desk(app) as d:
        view = await d.until(await d.start("go"))
        assert view.result == [4, 16, 3, "ConfigurationError", "ConfigurationError", "UsageError", "UsageError"]


async def test_a_result_of_an_agent_that_does_not_fit_fails_the_run() -> None:
    app: App[None] = App("t")

    @app.agent
    async def wrong(run: Run[None]) -> int:
        return "x"  # type: ignore[return-value]

    @app.agent
    async def odd(run: Run[None]) -> Any:
        return object()

    async with desk(app) as d:
        for agent, said in (("wrong", "result of agent wrong does not fit int"), ("odd", "cannot be recorded")):
            view = await d.until(await d.start(agent))
            assert view.state == "failed"
            assert said in view.error["message"]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["generator", "coroutine", "plain", "none"])
async def test_dependencies_may_be_given_in_several_ways(kind: str) -> None:
    async def generator() -> Any:
        yield "deps"

    async def coroutine() -> str:
        return "deps"

    lifespans: dict[str, Any] = {
        "generator": generator, "coroutine": coroutine, "plain": lambda: "deps", "none": None,
    }  # fmt: skip
    app: App[Any] = App("t", lifespan=lifespans[kind])
    async with app.open() as deps:
        assert deps == ("deps" if kind != "none" else None)


@pytest.mark.parametrize("deadline", ["31d", 30 * 86400 + 1])
def test_a_deadline_beyond_the_bound_is_refused_when_the_agent_is_declared(deadline: str | int) -> None:
    app = App("a")
    with pytest.raises(ConfigurationError, match=r"deadline is .* at most 30 days"):
        app.agent(deadline=deadline)
    app.agent(deadline="30d")
