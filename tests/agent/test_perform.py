from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done
from outlast.kernel.error import NotDone, StepFailed, StepTimeout, TypeMismatch
from outlast.policy.retry import Retry
from tests.agent.desk import desk

FAST = Retry(3, 0.001, 0.002)
EFFECTS = ["pure", "idempotent", "once"]
MODES = ["async", "thread"]


class Declined(Exception):
    """One that the application registers."""


class Strange(Exception):
    """One that nobody registers, and that cannot be built from its own args."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(f"{a} and {b}")


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def toolbox(effect: Any, mode: str, behave: Any, **options: Any) -> tuple[App[None], list[int]]:
    """An app with one tool whose n-th call does ``behave(n)``, and an agent that returns what it saw of it."""
    app: App[None] = App("t")
    calls: list[int] = []

    def call(ctx: Context[None]) -> Any:
        calls.append(ctx.attempt)
        return behave(len(calls))

    async def on_loop(ctx: Context[None], x: int) -> int:
        value = call(ctx)
        return await value if asyncio.iscoroutine(value) else value

    def in_thread(ctx: Context[None], x: int) -> int:
        return call(ctx)

    work: Any = on_loop if mode == "async" else in_thread
    tool = app.tool(effect=effect, name="work", **options)(work)

    @app.agent
    async def go(run: Run[None], x: int) -> str:
        try:
            return f"value {await tool(x)!r}"
        except Exception as error:
            assert error.__context__ is None, "the same live as in replay"
            assert error.__cause__ is None
            return f"{type(error).__name__}: {error}"

    app.error(Declined)
    return app, calls


async def outcome(app: App[None], **settings: Any) -> tuple[str, list[str]]:
    """What agent code saw, live; then the same history is followed again from its beginning."""
    async with desk(app, **settings) as d:
        run = await d.start("go", 1)
        view = await d.until(run)
        assert view.state == "completed", (view.reason, view.error, d.reports)
        return str(view.result), await d.types(run)


def raising(error: Exception, times: int = 99) -> Any:
    def behave(n: int) -> int:
        if n <= times:
            raise error
        return 7

    return behave


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_result_is_recorded_and_given(effect: str, mode: str) -> None:
    app, calls = toolbox(effect, mode, lambda n: 7)
    seen, types = await outcome(app)
    assert seen == "value 7"
    assert calls == [1]
    assert types.count("step.done") == 1
    assert types.count("step.intended") == (effect == "once")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_a_repeatable_step_is_tried_again_after_an_error(effect: str, mode: str) -> None:
    app, calls = toolbox(effect, mode, raising(ConnectionError("away"), 2), retry=FAST)
    assert await outcome(app) == ("value 7", [
        "run.created", "run.claimed", "step.retried", "step.retried", "step.done", "run.completed",
    ])  # fmt: skip
    assert calls == [1, 2, 3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_attempts_are_bounded_and_the_last_error_is_raised(effect: str, mode: str) -> None:
    app, calls = toolbox(effect, mode, raising(ConnectionError("away")), retry=FAST)
    seen, types = await outcome(app)
    assert seen == "ConnectionError: away"
    assert calls == [1, 2, 3]
    assert types.count("step.failed") == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_a_mistake_of_the_program_is_not_tried_again(effect: str, mode: str) -> None:
    app, calls = toolbox(effect, mode, raising(ValueError("no such order")))
    assert (await outcome(app))[0] == "ValueError: no such order"
    assert calls == [1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [ConnectionError("away"), ValueError("bad"), RuntimeError("odd")])
async def test_a_once_step_that_raises_without_verify_is_held_and_not_repeated(mode: str, error: Exception) -> None:
    app, calls = toolbox("once", mode, raising(error), retry=FAST)
    async with desk(app) as d:
        run = await d.start("go", 1)
        view = await d.until(run, "held")
        assert "may or may not have happened" in view.reason
        assert calls == [1]
        assert [step.state for step in view.steps] == ["held"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_once_step_that_says_not_done_is_tried_again_within_its_bound(mode: str) -> None:
    app, calls = toolbox("once", mode, raising(NotDone("queue is full")), retry=FAST)
    seen, types = await outcome(app)
    assert seen == "NotDone: queue is full"
    assert calls == [1, 2, 3]
    assert types.count("step.intended") == 3
    assert types.count("step.doubted") == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_once_step_that_says_not_done_first_and_then_succeeds_happens_once(mode: str) -> None:
    app, calls = toolbox("once", mode, raising(NotDone("later"), 1), retry=FAST)
    assert (await outcome(app))[0] == "value 7"
    assert calls == [1, 2]


async def hang(n: int) -> int:
    await asyncio.get_running_loop().create_future()
    return n


@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_a_repeatable_step_that_hangs_times_out_on_every_attempt(effect: str) -> None:
    app, calls = toolbox(effect, "async", hang, timeout=0.01, retry=Retry(2, 0.001, 0.002))
    seen, _ = await outcome(app)
    assert seen.startswith("StepTimeout: step work at 1 did not end within 0.01 s")
    assert calls == [1, 2]


async def test_a_once_step_that_hangs_is_in_doubt() -> None:
    app, calls = toolbox("once", "async", hang, timeout=0.01)
    async with desk(app) as d:
        run = await d.start("go", 1)
        await d.until(run, "held")
        assert calls == [1]
        assert "step.doubted" in await d.types(run)


async def test_a_repeatable_step_that_hangs_in_a_thread_times_out_and_is_tried_again() -> None:
    let_go = threading.Event()

    def behave(n: int) -> int:
        if n == 1:
            let_go.wait(10)
        return n

    app, calls = toolbox("pure", "thread", behave, timeout=0.05, retry=FAST)
    try:
        assert (await outcome(app))[0] == "value 2"
    finally:
        let_go.set()
    assert calls == [1, 2]


async def test_a_once_thread_that_times_out_is_verified_only_when_it_is_over() -> None:
    let_go = threading.Event()
    booked: list[int] = []

    def behave(n: int) -> int:
        let_go.wait(10)
        booked.append(n)
        return 7

    app, calls = toolbox("once", "thread", behave, timeout=0.02)
    asked: list[int] = []

    @app.tools["work"].verify
    async def check(x: int) -> Any:
        asked.append(len(booked))
        return Done(booked[-1]) if booked else NotDone

    async with desk(app) as d:
        run = await d.start("go", 1)
        await d.has(run, "step.doubted")
        assert asked == [], "the thread may still book"
        let_go.set()
        view = await d.until(run)
    assert view.result == "value 1"
    assert booked == [1]
    assert calls == [1]
    assert asked == [1]


async def test_a_once_thread_that_runs_on_is_known_when_its_run_was_let_go_and_taken_again() -> None:
    let_go = threading.Event()
    booked: list[int] = []

    def behave(n: int) -> int:
        let_go.wait(10)
        booked.append(n)
        return 7

    app, calls = toolbox("once", "thread", behave, timeout=0.02)

    @app.tools["work"].verify
    async def check(x: int) -> Any:
        return Done(booked[-1]) if booked else NotDone

    async with desk(app, step_timeout_s=0.1) as d:
        run = await d.start("go", 1)
        view = await d.until(run, "held")
        assert "may still act" in view.reason
        await d.control.redrive(run)
        await d.wait_for(lambda: _count(d, run, "run.held", 2), "held again")
        assert booked == []
        let_go.set()
        await d.wait_for(lambda: booked)
        await d.control.redrive(run)
        assert (await d.until(run, "completed")).result == "value 1"
    assert booked == [1]
    assert calls == [1]


async def _count(d: Any, run: str, kind: str, times: int) -> bool:
    return (await d.types(run)).count(kind) >= times


async def test_a_thread_that_found_no_room_did_nothing_and_is_tried_again() -> None:
    app: App[None] = App("t")
    let_go, began = threading.Event(), threading.Event()
    calls: list[int] = []

    @app.tool(effect="pure")
    def block() -> None:
        began.set()
        let_go.wait(10)

    @app.tool(effect="once", timeout=0.05, retry=Retry(50, 0.001, 0.002))
    def work() -> int:
        calls.append(1)
        return 7

    @app.agent
    async def blocker(run: Run[None]) -> None:
        await block()

    @app.agent
    async def go(run: Run[None]) -> int:
        return await work()

    async with desk(app, threads_max=1) as d:
        first = await d.start("blocker")
        await d.wait_for(began.is_set)
        run = await d.start("go")
        await d.has(run, "step.retried")
        let_go.set()
        assert (await d.until(run)).result == 7
        await d.until(first)
        assert "step.doubted" not in await d.types(run)
    assert calls == [1]


async def _cancelled_step(effect: Any, how: str) -> tuple[list[str], Any]:
    app: App[None] = App("t")
    begun = asyncio.Event()

    @app.tool(effect=effect)
    async def work() -> int:
        begun.set()
        return await hang(1)

    if effect == "once":

        @app.tools["work"].verify
        async def check() -> Any:
            return NotDone

    @app.tool(effect="pure")
    async def after() -> str:
        return "went on"

    @app.agent
    async def go(run: Run[None]) -> str:
        if how == "timeout":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await work()
        elif how == "wait_for":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(work(), 0.05)
        else:
            task = asyncio.ensure_future(work())
            await begun.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return await after()

    async with desk(app) as d:
        run = await d.start("go")
        view = await d.until(run)
        assert view.state == "completed", (view.reason, view.error)
        return await d.types(run), view.result


@pytest.mark.parametrize("how", ["timeout", "wait_for", "task"])
@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_a_step_that_agent_code_cancels_is_abandoned(effect: str, how: str) -> None:
    types, result = await _cancelled_step(effect, how)
    assert result == "went on"
    assert types == ["run.created", "run.claimed", "step.abandoned", "step.done", "run.completed"]


@pytest.mark.parametrize("how", ["timeout", "wait_for", "task"])
async def test_a_once_step_that_agent_code_cancels_is_settled_before_the_run_ends(how: str) -> None:
    types, result = await _cancelled_step("once", how)
    assert result == "went on"
    assert types.count("step.intended") == 1, "it is not tried again: agent code gave it up"
    assert {"step.abandoned", "step.doubted", "step.cleared"} <= set(types)
    assert types.index("step.abandoned") < types.index("step.doubted")


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_result_that_has_no_json_form_fails_the_step(effect: str) -> None:
    app, calls = toolbox(effect, "async", lambda n: object())
    seen, types = await outcome(app)
    assert seen.startswith("TypeMismatch: result of work cannot be recorded")
    assert calls == [1]
    assert types.count("step.failed") == 1


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_result_of_another_type_fails_the_step(effect: str) -> None:
    app, calls = toolbox(effect, "async", lambda n: "seven")
    assert (await outcome(app))[0].startswith("TypeMismatch: result of work does not fit int")
    assert calls == [1]


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_result_over_its_bound_fails_the_step(effect: str) -> None:
    app, calls = toolbox(effect, "async", lambda n: "x" * 2000)
    seen, _ = await outcome(app, payload_bytes_max=1000)
    assert seen.startswith("PayloadTooLarge: result of work is 2002 bytes, the bound payload_bytes_max is 1000")
    assert calls == [1]


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_large_result_goes_to_the_blob_store_and_comes_back_after_a_crash(effect: str) -> None:
    app: App[None] = App("t")
    calls: list[int] = []

    @app.tool(effect=effect)  # type: ignore[arg-type]
    async def big() -> str:
        calls.append(1)
        return "x" * 300_000

    @app.agent
    async def go(run: Run[None]) -> int:
        text = await big()
        await run.signal("go")
        return len(text)

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        assert (await d.until(run)).result == 300_000
        assert len(d.blobs._blobs) == 1
        assert all(len(record.body) < 10_000 for stream in d.store._streams.values() for record in stream)
    assert calls == [1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (Declined("card", 7), "Declined: ('card', 7)"),
        (Strange("a", "b"), f"StepFailed: {__name__}.Strange: a and b"),
        (KeyError("k"), "KeyError: 'k'"),
        (Rude("x"), f"StepFailed: {__name__}.Rude: "),
        (ValueError("\udc80 is no text"), "ValueError: ? is no text"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 5000),
        (StepFailed("far.Away", "lost", {"a": 1}), "StepFailed: far.Away: lost"),
        (ExceptionGroup("2", [OSError(1)]), "StepFailed: builtins.ExceptionGroup: 2 (1 sub-exception): OSError: 1"),
    ],
    ids=["registered", "unknown", "KeyError", "rude", "surrogate", "long", "StepFailed", "group"],
)  # fmt: skip
async def test_exceptions_are_the_same_live_and_in_replay(mode: str, error: Exception, seen: str) -> None:
    app: App[None] = App("t")
    app.error(Declined)
    views: list[str] = []

    async def raises() -> None:
        raise error

    def raises_in_thread() -> None:
        raise error

    tool = app.tool(effect="pure", name="t", retry=1)(raises if mode == "async" else raises_in_thread)

    @app.agent
    async def go(run: Run[None]) -> None:
        try:
            await tool()
        except Exception as caught:
            assert caught.__context__ is None
            views.append(f"{type(caught).__name__}: {caught}")
        await run.signal("go")

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        assert (await d.until(run)).state == "completed", d.reports
    assert len(views) == 2
    assert views == [seen, seen]


async def test_an_exception_that_the_agent_lets_through_fails_the_run_and_names_the_step() -> None:
    app: App[None] = App("t")

    @app.tool(effect="pure", retry=Retry(2, 0.001, 0.001))
    async def work() -> int:
        raise ConnectionError("away")

    @app.agent
    async def go(run: Run[None]) -> int:
        return await work()

    async with desk(app) as d:
        run = await d.start("go")
        view = await d.until(run)
        assert view.state == "failed"
        assert view.error == {"type": "ConnectionError", "message": "away", "step": "1", "name": "work", "attempt": 2}
        entry = await d.store.entry(run)
        assert entry is not None
        assert entry.reason == "ConnectionError: away in step 1 (work), attempt 2"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), KeyboardInterrupt()], ids=repr)
async def test_a_tool_that_exits_or_stops_iterating_harms_only_its_step(mode: str, error: BaseException) -> None:
    def behave(n: int) -> int:
        if n == 1:
            raise error
        return 7

    app, calls = toolbox("pure", mode, behave, retry=FAST)
    assert (await outcome(app))[0] == "value 7"
    assert calls == [1, 2]


async def test_a_tool_that_is_cancelled_from_inside_has_failed_and_agent_code_is_not_cancelled() -> None:
    def behave(n: int) -> int:
        if n == 1:
            raise asyncio.CancelledError
        return 7

    app, calls = toolbox("pure", "async", behave, retry=FAST)
    seen, types = await outcome(app)
    assert seen == "value 7"
    assert "step.abandoned" not in types
    assert calls == [1, 2]


async def test_a_step_that_is_not_awaited_is_not_done_and_a_warning_says_so() -> None:
    app: App[None] = App("t")
    paid: list[int] = []

    @app.tool(effect="once")
    async def pay(cents: int) -> None:
        paid.append(cents)

    @app.agent
    async def go(run: Run[None]) -> str:
        pay(5)
        return "paid"

    async with desk(app) as d:
        with pytest.warns(RuntimeWarning, match="step pay was called and never awaited: it is not done"):
            assert (await d.until(await d.start("go"))).result == "paid"
    assert paid == []


async def test_a_tool_called_in_a_tool_is_a_plain_call() -> None:
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def inner(x: int) -> int:
        return x + 1

    @app.tool(effect="pure")
    async def outer(x: int) -> int:
        return await inner(x) + await inner(x)

    @app.agent
    async def go(run: Run[None]) -> int:
        return await outer(1)

    async with desk(app) as d:
        run = await d.start("go")
        assert (await d.until(run)).result == 4
        assert (await d.types(run)).count("step.done") == 1


async def test_the_key_is_the_same_for_every_attempt_and_other_for_every_step() -> None:
    app: App[None] = App("t")
    keys: list[tuple[str, int]] = []

    @app.tool(effect="idempotent", retry=FAST)
    async def work(ctx: Context[None]) -> None:
        keys.append((ctx.key, ctx.attempt))
        if ctx.attempt < 3:
            raise ConnectionError("away")

    @app.agent
    async def go(run: Run[None]) -> None:
        await work()
        await work()

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run)
    assert keys == [(f"{run}:{place}", attempt) for place in (1, 2) for attempt in (1, 2, 3)]


async def test_the_deadline_of_the_run_bounds_the_time_of_a_step() -> None:
    app: App[None] = App("t")
    seen: list[float] = []

    @app.tool(effect="pure", timeout=100)
    async def work(ctx: Context[None]) -> None:
        seen.append(ctx.remaining_s)

    @app.agent
    async def go(run: Run[None]) -> None:
        await work()

    async with desk(app) as d:
        await d.until(await d.start("go", deadline_s=50))
        await d.until(await d.start("go"))
    assert 0 < seen[0] <= 50
    assert seen[1] == 100


async def test_a_step_awaited_twice_is_refused() -> None:
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def work() -> int:
        return 1

    @app.agent
    async def go(run: Run[None]) -> str:
        call = work()
        await call
        try:
            await call
        except RuntimeError as error:
            return str(error)
        return ""

    async with desk(app) as d:
        view = await d.until(await d.start("go"))
        assert view.result == "step work at 1 was awaited twice: keep its result in a variable"


async def test_many_large_errors_at_once_fit_their_records() -> None:
    app: App[None] = App("t")

    @app.tool(effect="pure", retry=1)
    async def work(x: int) -> int:
        raise ValueError("y" * 7000, x)

    @app.agent
    async def go(run: Run[None]) -> str:
        try:
            await run.map(work, list(range(150)))
        except ValueError as error:
            return str(error.args[1])
        return ""

    async with desk(app) as d:
        run = await d.start("go")
        view = await d.until(run)
        assert view.result == "0", (view, d.reports)
        assert (await d.types(run)).count("step.failed") == 150


async def test_results_are_typed_as_annotated_and_what_is_given_has_been_through_the_codec() -> None:
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def pair() -> tuple[int, str]:
        return (1, "a")

    @app.tool(effect="pure")
    async def anything():
        return {1: (2, 3)}

    @app.agent
    async def go(run: Run[None]) -> list[str]:
        return [repr(await pair()), repr(await anything())]

    async with desk(app) as d:
        assert (await d.until(await d.start("go"))).result == ["(1, 'a')", "{'1': [2, 3]}"]


async def test_step_errors_of_outlast_itself_are_rebuilt() -> None:
    for error in (StepTimeout("t"), NotDone("n"), TypeMismatch("m")):
        app, _ = toolbox("pure", "async", raising(error), retry=1)
        assert (await outcome(app))[0] == f"{type(error).__name__}: {error}"
