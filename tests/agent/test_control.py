from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.control import Control, turn_bytes
from outlast.agent.create import run_key
from outlast.agent.run import Run
from outlast.journal.blob import Payload
from outlast.journal.record import make_append
from outlast.kernel.error import Conflict, NotFound, TypeMismatch, UsageError
from tests.agent.desk import desk

app: App[None] = App("t")


@app.tool(effect="once")
async def lose() -> int:
    raise ConnectionError("lost")


@app.agent
async def add(run: Run[None], a: int, b: int = 2) -> int:
    return a + b


@app.agent
async def none(run: Run[None]) -> str:
    return "nothing"


@app.agent
async def held(run: Run[None]) -> int:
    return await lose()


@app.agent
async def wait(run: Run[None], what: Any = None) -> Any:
    return await run.signal("go")


@pytest.mark.parametrize(
    ("input", "result"), [(1, 3), ([1], 3), ([1, 5], 6), ({"a": 1}, 3), ({"a": 1, "b": 1}, 2)]
)  # fmt: skip
async def test_inputs_are_given_by_name_by_position_or_alone(input: Any, result: int) -> None:
    async with desk(app) as d:
        view = await d.until(await d.start("add", input))
        assert view.result == result
        assert view.input == {"a": result - view.input["b"], "b": view.input["b"]}


@pytest.mark.parametrize("input", [None, "x", [1, 2, 3], [], {"a": "x"}, {"a": 1, "c": 2}, {"b": 1}, {}])
async def test_an_input_that_does_not_fit_is_refused_before_there_is_a_run(input: Any) -> None:
    async with desk(app, workers=0) as d:
        with pytest.raises(TypeMismatch, match="input of agent add"):
            await d.start("add", input)
        assert await d.store.list() == []


async def test_an_agent_without_parameters_takes_no_input() -> None:
    async with desk(app) as d:
        assert (await d.until(await d.start("none"))).result == "nothing"
        with pytest.raises(TypeMismatch, match="takes no input"):
            await d.start("none", 1)


async def test_an_unknown_agent_is_not_found_and_the_known_ones_are_named() -> None:
    async with desk(app, workers=0) as d:
        with pytest.raises(NotFound, match=r"agent 'gone' does not exist \(there: add, none, held, wait\)"):
            await d.start("gone")
        with pytest.raises(NotFound, match="there: none"):
            await Control(d.platform(d.store)).start("gone")


async def test_the_same_key_is_the_same_run_and_with_another_input_a_conflict() -> None:
    async with desk(app) as d:
        starts = await asyncio.gather(*(d.control.start("add", [1, 2], key="k") for _ in range(10)))
        assert len({start.run for start in starts}) == 1
        assert [start.created for start in starts].count(True) == 1
        with pytest.raises(Conflict, match="the same idempotency key must come with the same agent, input and session"):
            await d.control.start("add", [1, 3], key="k")
        with pytest.raises(Conflict):
            await d.control.start("add", [1, 2], key="k", session="s")
        assert (await d.control.start("wait", 1, key="k")).created, "keys are per agent"
        await d.until(starts[0].run)
        assert (await d.control.start("add", [1, 2], key="k")).run == starts[0].run


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""}, {"key": "x" * 256}, {"deadline_s": 0}, {"deadline_s": -1}, {"deadline_s": 1e9},
        {"session": "a b"}, {"session": ""},
    ],
)  # fmt: skip
async def test_options_out_of_their_bounds_are_refused(options: dict[str, Any]) -> None:
    async with desk(app, workers=0) as d:
        with pytest.raises(UsageError):
            await d.control.start("add", 1, **options)
        assert await d.store.list() == []


async def test_nothing_can_be_told_to_a_run_that_is_not_there_or_has_ended() -> None:
    async with desk(app) as d:
        calls: list[Any] = [
            lambda run: d.control.signal(run, "go"), d.control.cancel,
            lambda run: d.control.resolve(run, "1", "retry"), d.control.redrive,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(NotFound):
                await call("run_none")
        run = await d.start("none")
        await d.until(run)
        for call in (calls[0], calls[1], calls[3]):
            with pytest.raises(Conflict):
                await call(run)
        with pytest.raises(NotFound, match="has no step '1'"):
            await calls[2](run)


async def test_what_was_said_before_under_the_same_id_is_done_however_the_run_stands() -> None:
    async with desk(app) as d:
        run = await d.start("wait")
        await d.until(run, "parked")
        await d.control.signal(run, "go", 1, id="a")
        await d.until(run)
        await d.control.signal(run, "go", 1, id="a")
        other = await d.start("held")
        await d.until(other, "held")
        await d.control.resolve(other, "1", "done", 7, id="b")
        await d.until(other, "completed")
        await d.control.resolve(other, "1", "done", 7, id="b")
        with pytest.raises(Conflict, match="used before with other content"):
            await d.control.resolve(other, "1", "done", 8, id="b")


async def test_words_are_bounded_and_names_are_checked() -> None:
    async with desk(app, workers=0) as d:
        run = await d.start("wait")
        with pytest.raises(UsageError):
            await d.control.signal(run, "a b")
        with pytest.raises(UsageError):
            await d.control.signal(run, "go", id="")
        with pytest.raises(UsageError, match="not as 'maybe'"):
            await d.control.resolve(run, "1", "maybe")  # type: ignore[arg-type]
        with pytest.raises(TypeMismatch):
            await d.control.signal(run, "go", object())
        await d.control.cancel(run, "x" * 100_000)
        await d.hire()
        d.ring(run)
        assert len((await d.until(run)).reason) == 1000


async def test_events_are_given_in_pages_that_leave_out_none() -> None:
    async with desk(app) as d:
        run = await d.start("held")
        await d.until(run, "held")
        everything = await d.control.events(run)
        paged: list[Any] = []
        while page := await d.control.events(run, after=len(paged), limit=2):
            paged += page
        assert paged == everything
        assert [event.seq for event in everything] == list(range(1, len(everything) + 1))
        with pytest.raises(NotFound):
            await d.control.events("run_none")


async def test_a_name_that_is_no_run_is_refused() -> None:
    async with desk(app, workers=0) as d:
        for name in ("", "../x", "a/b", "x" * 200):
            with pytest.raises(UsageError):
                await d.control.view(name)


async def test_others_on_the_loop_get_their_turns_while_a_very_long_run_is_looked_at() -> None:
    async with desk(app, workers=0) as d:
        run = await d.start("wait")
        platform = d.platform(d.store)
        head, steps = await d.store.head(run_key(platform, run)), 20_000
        for first in range(1, steps, 100):
            value = Payload(msgspec.Raw(b'"' + b"x" * 100 + b'"'))
            done = [ev.StepDone(str(place), "look", "pure", 1.0, value) for place in range(first, first + 100)]
            await d.store.append(make_append(run_key(platform, run), head, f"a{first}", 1.0, done))
            head = await d.store.head(run_key(platform, run))
        turns = 0

        async def another() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(another())
        view = await d.control.view(run)
        beside.cancel()
        assert len(view.steps) == steps
        assert turns > steps * 100 / turn_bytes, "the loop stood still while it was decoded"
