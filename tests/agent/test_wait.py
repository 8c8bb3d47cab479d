from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.agent.view import RunView
from outlast.journal.stream import Append, Outcome, Unknown
from outlast.kernel.error import Conflict, UsageError
from tests.agent.desk import Desk, desk


@dataclass
class Approval:
    yes: bool


def waiting(code: Any) -> App[None]:
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def note(x: str) -> str:
        return x

    @app.agent
    async def go(run: Run[None]) -> Any:
        return await code(run, note)

    return app


async def started(d: Desk, *states: str) -> str:
    run = await d.start("go")
    await d.until(run, *states or ("parked",))
    return run


# -- time --------------------------------------------------------------------------------------------------------------


async def test_a_sleep_outlives_its_worker_and_is_not_begun_anew() -> None:
    async def code(run: Run[None], note: Any) -> float:
        before = run.now()
        await run.sleep(0.5)
        return (run.now() - before).total_seconds()

    async with desk(waiting(code)) as d:
        run = await started(d)
        await d.crash_and_replace()
        await asyncio.sleep(0.1)
        await d.crash_and_replace()
        view = await d.until(run)
        assert (await d.types(run)).count("timer.set") == 1
        assert view.result >= 0.5
        timer = next(event for event in await d.control.events(run) if event.type == "timer.set")
        fired = next(event for event in await d.control.events(run) if event.type == "timer.fired")
        assert fired.at >= timer.data["fire_at"]


async def test_a_sleeping_run_leaves_memory_and_is_woken_by_its_time() -> None:
    async def code(run: Run[None], note: Any) -> str:
        await run.sleep(0.4)
        return await note("woke")

    async with desk(waiting(code)) as d:
        run = await started(d)
        await d.wait_for(lambda: d.workers[0].runs == 0, "parked runs take no memory")
        entry = await d.store.entry(run)
        assert entry is not None
        assert entry.state == "parked"
        assert entry.wake_at > 0
        assert (await d.until(run)).result == "woke"
        assert (await d.types(run)).count("run.claimed") == 2


async def test_a_sleep_of_no_time_ends() -> None:
    async def code(run: Run[None], note: Any) -> None:
        await run.sleep(0)

    async with desk(waiting(code)) as d:
        assert (await d.until(await d.start("go"))).state == "completed"


# -- signals -----------------------------------------------------------------------------------------------------------


async def test_signals_before_and_during_a_wait_are_taken_in_order_and_each_once() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        await run.signal("start")
        return [await run.signal("n") for _ in range(4)]

    async with desk(waiting(code)) as d:
        run = await started(d)
        for n in (1, 2):
            await d.control.signal(run, "n", n)
        await d.control.signal(run, "start")
        await d.until(run, "parked")
        await d.crash_and_replace()
        for n in (3, 4):
            await d.control.signal(run, "n", n)
        assert (await d.until(run)).result == [1, 2, 3, 4]


async def test_the_same_id_is_one_signal_and_with_other_content_a_conflict() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        return [await run.signal("n"), await run.signal("n", timeout=0.1, default="none")]

    async with desk(waiting(code)) as d:
        run = await started(d)
        await asyncio.gather(*(d.control.signal(run, "n", 1, id="x") for _ in range(5)))
        await d.control.signal(run, "n", 1, id="x")
        with pytest.raises(Conflict, match="used before with other content"):
            await d.control.signal(run, "n", 2, id="x")
        assert (await d.until(run)).result == [1, "none"]


async def test_a_signal_is_typed() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        found: list[Any] = [(await run.signal("a", Approval)).yes]
        try:
            await run.signal("a", Approval)
        except Exception as error:
            found.append(str(error))
        await run.signal("go")
        return found

    async with desk(waiting(code)) as d:
        run = await started(d)
        await d.control.signal(run, "a", {"yes": True})
        await d.control.signal(run, "a", {"yes": "maybe"})
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        result = (await d.until(run)).result
        assert result[0] is True
        assert result[1].startswith("result of signal:a does not fit Approval")


async def test_a_wait_that_times_out_gives_its_default_or_raises_and_one_event_decides() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        found: list[Any] = [await run.signal("a", timeout=0.05, default="nothing")]
        try:
            await run.signal("a", timeout=0.05)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
        await run.signal("go")
        found.append(await run.signal("a"))
        return found

    async with desk(waiting(code)) as d:
        run = await d.start("go")
        await d.has(run, "signal.timed_out")

        async def twice() -> bool:
            return (await d.types(run)).count("signal.timed_out") == 2

        await d.wait_for(twice)
        await d.until(run, "parked")
        await d.control.signal(run, "a", "late")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        result = (await d.until(run)).result
        assert result == ["nothing", "StepTimeout: no signal 'a' came in time", "late"], "a losing signal is kept"


async def test_time_out_against_signal_is_decided_once_whatever_comes_first() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        found = [await run.signal("a", timeout=0.03, default="late")]
        await run.signal("go")
        return [*found, await run.signal("a", timeout=0.05, default="gone")]

    async with desk(waiting(code), workers=1) as d:
        for n in range(12):
            run = await d.start("go")
            await asyncio.sleep(0.02 + 0.002 * n)
            await d.control.signal(run, "a", "here")
            await d.until(run, "parked")
            if n % 3 == 0:
                await d.crash_and_replace()
            await d.control.signal(run, "go")
            assert (await d.until(run)).result in (["here", "gone"], ["late", "here"])
            types = await d.types(run)
            assert types.count("signal.timed_out") == 1
            assert types.count("signal.consumed") == 2


async def test_a_signal_taken_by_a_step_that_agent_code_cancels_is_there_for_the_next_wait() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        found: list[Any] = []
        while not found:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    found.append(await run.signal("a"))
        await run.signal("go")
        return found

    async with desk(waiting(code), inbox_events_max=100) as d:
        for n in range(10):
            run = await d.start("go")
            await asyncio.sleep(0.02 + 0.001 * n)
            await d.control.signal(run, "a", n)
            await d.until(run, "parked")
            await d.crash_and_replace()
            await d.control.signal(run, "go")
            assert (await d.until(run)).result == [n]


async def test_a_signal_whose_taking_was_recorded_and_abandoned_is_taken_again_after_a_crash() -> None:
    slow = asyncio.Event()

    async def code(run: Run[None], note: Any) -> list[Any]:
        try:
            async with asyncio.timeout(0.2):
                found = await run.signal("a")
        except TimeoutError:
            found = "timed out"
        await run.signal("go")
        return [found, await run.signal("a", timeout=0.05, default="lost")]

    async with desk(waiting(code), park_after_s=10) as d:
        run = await d.start("go")
        await d.has(run, "signal.awaited")

        async def hold_back(append: Any) -> None:
            if b"signal.consumed" in append.body:
                await slow.wait()

        d.wires["worker-1"].fault = hold_back
        await d.control.signal(run, "a", "here")
        await asyncio.sleep(0.3)
        slow.set()
        await d.has(run, "signal.consumed", "step.abandoned")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        assert (await d.until(run)).result == ["timed out", "here"]


async def test_two_waits_for_one_name_share_what_comes_also_when_one_gives_up() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        async def hasty() -> Any:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    return await run.signal("a")
            return "gave up"

        async def patient() -> Any:
            return await run.signal("a", timeout=3, default="nothing")

        return list(await run.gather(hasty(), patient()))

    async with desk(waiting(code), park_after_s=10) as d:
        for n in range(5):
            run = await d.start("go")
            await asyncio.sleep(0.085 + 0.005 * n)
            await d.control.signal(run, "a", 1)
            await asyncio.sleep(0.05)
            view = await d.control.view(run)
            if view.ended_at is None:
                await d.control.signal(run, "a", 2)
            assert (await d.until(run)).result in (["gave up", 1], [1, 2])


async def test_an_inbox_is_bounded_but_always_takes_a_cancel() -> None:
    async def code(run: Run[None], note: Any) -> None:
        await run.signal("never")

    async with desk(waiting(code), inbox_events_max=5) as d:
        run = await started(d)
        for n in range(5):
            await d.control.signal(run, "n", n)
        with pytest.raises(UsageError, match="its inbox holds 5 messages, the bound inbox_events_max is 5"):
            await d.control.signal(run, "n", 6)
        await d.control.cancel(run, "enough")
        assert (await d.until(run)).state == "cancelled"


async def test_signals_that_nobody_waits_for_wake_the_run_in_vain_and_never_make_it_a_suspect() -> None:
    async def code(run: Run[None], note: Any) -> str:
        return await run.signal("go")

    async with desk(waiting(code)) as d:
        run = await started(d)
        for n in range(8):
            claims = (await d.control.view(run)).claims
            await d.wait_for(lambda: d.workers[0].runs == 0)
            await d.control.signal(run, "other", n)

            async def woken(before: int = claims) -> bool:
                return (await d.control.view(run)).claims > before

            await d.wait_for(woken)
            await d.until(run, "parked")
        assert "run.trial" not in await d.types(run)
        await d.control.signal(run, "go", "done")
        assert (await d.until(run)).result == "done"


async def test_a_large_signal_goes_to_the_blob_store() -> None:
    async def code(run: Run[None], note: Any) -> int:
        return len(await run.signal("a", str))

    async with desk(waiting(code)) as d:
        run = await started(d)
        await d.control.signal(run, "a", "x" * 200_000)
        assert (await d.until(run)).result == 200_000
        assert len(d.blobs._blobs) == 1


# -- parking -----------------------------------------------------------------------------------------------------------


async def entry_of(d: Desk, run: str) -> Any:
    entry = await d.store.entry(run)
    assert entry is not None
    return entry


async def test_a_gather_of_waits_parks_and_its_earliest_time_wakes_it() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        return list(await run.gather(run.sleep(60), run.signal("a"), run.sleep(0.3)))

    async with desk(waiting(code)) as d:
        run = await started(d)
        entry = await entry_of(d, run)
        assert entry.wake_at - d.clock.now() < 1
        await d.wait_for(lambda: d.workers[0].runs == 0)
        await d.has(run, "timer.fired")
        await d.until(run, "parked")
        await d.wait_for(lambda: d.workers[0].runs == 0)
        assert (await entry_of(d, run)).wake_at - d.clock.now() > 10
        await d.control.signal(run, "a", 1)
        await d.has(run, "signal.consumed")
        await d.until(run, "parked")
        await d.control.cancel(run)
        assert (await d.until(run)).state == "cancelled"


async def test_a_branch_that_works_keeps_the_run_in_memory_and_running() -> None:
    let_go = asyncio.Event()
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def work() -> int:
        await let_go.wait()
        return 1

    @app.agent
    async def go(run: Run[None]) -> list[Any]:
        return list(await run.gather(work(), run.signal("a")))

    async with desk(app) as d:
        run = await d.start("go")
        await d.has(run, "signal.awaited")
        await asyncio.sleep(0.2)
        assert (await entry_of(d, run)).state == "running"
        assert d.workers[0].runs == 1
        let_go.set()
        await d.until(run, "parked")
        await d.wait_for(lambda: d.workers[0].runs == 0)
        await d.control.signal(run, "a", 2)
        assert (await d.until(run)).result == [1, 2]


async def test_a_wait_that_was_abandoned_does_not_park_the_code_that_goes_on() -> None:
    let_go = asyncio.Event()
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def work() -> int:
        await let_go.wait()
        return 1

    @app.agent
    async def go(run: Run[None]) -> int:
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await run.sleep(60)
        found = await work()
        await run.sleep(1)
        return found

    async with desk(app, park_after_s=0.3) as d:
        run = await d.start("go")
        await asyncio.sleep(0.6)
        assert (await entry_of(d, run)).state in ("running", "parked")
        assert d.workers[0].runs == 1
        let_go.set()
        await d.until(run, "parked")
        assert (await d.until(run)).result == 1


async def test_waits_in_tasks_of_asyncio_do_not_park_but_go_on() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        return list(await asyncio.gather(run.signal("a"), run.signal("b")))

    async with desk(waiting(code)) as d:
        run = await d.start("go")
        await d.has(run, "signal.awaited")
        await d.control.signal(run, "b", 2)
        await d.has(run, "signal.consumed")
        await d.crash_and_replace()
        await d.control.signal(run, "a", 1)
        assert (await d.until(run)).result == [1, 2]


async def test_no_wake_up_is_lost_between_parking_and_mail() -> None:
    async def code(run: Run[None], note: Any) -> list[Any]:
        return [await run.signal("a", timeout=60) for _ in range(6)]

    async with desk(waiting(code), park_after_s=0.01) as d:
        runs = [await d.start("go") for _ in range(8)]
        for n in range(6):
            for index, run in enumerate(runs):
                await asyncio.sleep(0.001 * ((index + n) % 5))
                await d.control.signal(run, "a", n)
        for run in runs:
            assert (await d.until(run)).result == list(range(6))


# -- other runs --------------------------------------------------------------------------------------------------------


def family() -> tuple[App[None], dict[str, str]]:
    app: App[None] = App("t")
    children: dict[str, str] = {}

    @app.agent
    async def child(run: Run[None], what: str) -> str:
        children[what] = run.id
        if what == "fail":
            raise ValueError("no", 7)
        if what == "wait":
            await run.signal("go")
        if what == "again":
            run.continue_as_new("wait")
        return f"{what} done"

    @app.agent
    async def parent(run: Run[None], what: str) -> str:
        try:
            return await child(what)
        except ValueError as error:
            return f"child failed: {error.args}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    @app.agent
    async def hasty(run: Run[None]) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                return await run.child(child, "wait")
        return "gave up"

    @app.agent
    async def many(run: Run[None], count: int) -> int:
        return len(await run.map(child, [f"n{n}" for n in range(count)]))

    return app, children


async def until_started(d: Desk, children: dict[str, str], what: str) -> str:
    await d.wait_for(lambda: what in children)
    return children[what]


async def test_a_child_gives_its_result_and_is_seen_waiting() -> None:
    app, children = family()
    async with desk(app) as d:
        run = await d.start("parent", "wait")
        child = await until_started(d, children, "wait")
        await d.until(run, "parked")
        step = (await d.control.view(run)).steps[0]
        assert (step.kind, step.state, step.name) == ("child", "waiting", "agent:child")
        await d.crash_and_replace()
        await d.control.signal(child, "go")
        assert (await d.until(run)).result == "wait done"
        assert (await d.control.view(child)).parent == run


async def test_a_childs_failure_is_raised_in_its_parent() -> None:
    app, _ = family()
    async with desk(app) as d:
        assert (await d.until(await d.start("parent", "fail"))).result == "child failed: ('no', 7)"


async def test_a_cancelled_child_fails_its_parents_step() -> None:
    app, children = family()
    async with desk(app) as d:
        run = await d.start("parent", "wait")
        child = await until_started(d, children, "wait")
        await d.control.cancel(child, "not needed")
        assert (await d.until(run)).result == "StepFailed: outlast.RunCancelled: not needed"


@pytest.mark.parametrize("crash", [False, True])
async def test_cancelling_a_parent_cancels_its_children_also_when_it_is_parked(crash: bool) -> None:
    app, children = family()
    async with desk(app) as d:
        run = await d.start("parent", "wait")
        child = await until_started(d, children, "wait")
        await d.until(run, "parked")
        await d.wait_for(lambda: d.workers[0].runs == 0)
        if crash:
            await d.crash_and_replace()
        await d.control.cancel(run, "enough")
        assert (await d.until(run)).state == "cancelled"
        view = await d.until(child)
        assert view.state == "cancelled"
        assert view.reason == f"its parent {run} was stopped"


async def test_a_parent_that_cannot_tell_its_children_does_not_end_before_they_are_told() -> None:
    app, children = family()
    async with desk(app, append_patience_s=0.2) as d:
        run = await d.start("parent", "wait")
        child = await until_started(d, children, "wait")
        await d.until(child, "parked")
        refused: list[str] = []

        async def away(append: Append) -> Outcome | None:
            if not append.stream.startswith(f"inbox/{child}@"):
                return None
            refused.append(append.stream)
            return Unknown("the store is away")

        d.wires["worker-1"].fault = away
        await d.control.cancel(run, "enough")
        await d.wait_for(lambda: refused and run not in d.workers[0]._executions, "it is let go", 20)
        assert "run.cancelled" not in await d.types(run)
        await d.crash_and_replace()
        assert (await d.until(child)).reason == f"its parent {run} was stopped"
        assert (await d.until(run)).state == "cancelled"


async def test_a_child_that_was_continued_as_new_is_followed_and_cancelled() -> None:
    app, children = family()
    async with desk(app, wait_poll_s=30) as d:
        run = await d.start("parent", "again")
        last = await until_started(d, children, "wait")
        await d.control.signal(last, "go")
        assert (await d.until(run)).result == "wait done", "woken by the end of the last of them, not by polling"
        children.clear()
        run = await d.start("parent", "again")
        last = await until_started(d, children, "wait")
        await d.until(run, "parked")
        await d.control.cancel(run)
        assert (await d.until(last)).state == "cancelled"


async def test_a_child_that_agent_code_gave_up_is_cancelled() -> None:
    app, children = family()
    async with desk(app, park_after_s=10) as d:  # timers of asyncio do not outlive parking
        run = await d.start("hasty")
        child = await until_started(d, children, "wait")
        assert (await d.until(run)).result == "gave up"
        assert (await d.until(child)).state == "cancelled"


async def test_a_child_inherits_the_deadline() -> None:
    app, children = family()
    async with desk(app) as d:
        run = await d.start("parent", "wait", deadline_s=0.6)
        child = await until_started(d, children, "wait")
        views: list[RunView] = [await d.control.view(run), await d.control.view(child)]
        assert views[0].deadline_at == views[1].deadline_at
        assert (await d.until(run)).state == "failed"
        assert (await d.until(child)).state in ("failed", "cancelled")


async def test_many_children_leave_room_in_their_parents_inbox() -> None:
    app, _ = family()
    async with desk(app, inbox_events_max=10, wait_poll_s=0.1) as d:
        run = await d.start("many", 12)
        assert (await d.until(run)).result == 12


async def test_other_arguments_for_a_child_that_runs_are_a_drift() -> None:
    app: App[None] = App("t")
    what = "one"
    seen: list[str] = []

    @app.agent
    async def child(run: Run[None], x: str) -> str:
        seen.append(run.id)
        await run.signal("go")
        return x

    @app.agent
    async def parent(run: Run[None]) -> str:
        found = await child(what)
        await run.signal("go")
        return found

    async with desk(app) as d:
        run = await d.start("parent")
        await d.wait_for(lambda: seen)
        await d.until(run, "parked")
        what = "two"
        await d.crash_and_replace()
        await d.control.signal(seen[0], "go")
        await d.has(run, "step.done")
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        assert (await d.until(run)).result == "one"
        assert (await d.types(run)).count("step.drifted") == 1


# -- continue as new ---------------------------------------------------------------------------------------------------


async def test_a_run_continues_as_new_with_an_empty_history_and_takes_its_mail_along() -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None], total: int, left: int) -> list[Any]:
        if left:
            run.continue_as_new(total + 1, left=left - 1)
        return [total, await run.signal("a"), await run.signal("a")]

    @app.agent
    async def slow(run: Run[None], first: bool) -> list[Any]:
        if first:
            await run.signal("go")
            run.continue_as_new(False)
        return [await run.signal("a"), await run.signal("a")]

    async with desk(app) as d:
        run = await d.start("slow", True)
        await d.until(run, "parked")
        await d.control.signal(run, "a", 1, id="one")
        await d.control.signal(run, "a", 2)
        await d.control.signal(run, "go")
        view = await d.until(run)
        assert view.state == "continued"
        after = await d.until(view.continued_to)
        assert after.result == [1, 2]
        assert after.continued_from == run
        run = await d.start("go", [0, 3])
        for _ in range(3):
            view = await d.until(run)
            assert view.state == "continued"
            run = view.continued_to
        for n in (1, 2):
            await d.control.signal(run, "a", n)
        assert (await d.until(run)).result == [3, 1, 2]


async def test_a_run_that_cannot_continue_with_its_arguments_fails() -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None], n: int) -> int:
        return run.continue_as_new("many")

    async with desk(app) as d:
        view = await d.until(await d.start("go", 1))
        assert view.state == "failed"
        assert view.error["type"] == "outlast.TypeMismatch"  # type: ignore[index]


async def test_a_signal_that_woke_a_wait_that_was_given_up_at_that_very_moment_goes_to_the_next() -> None:
    tasks: list[asyncio.Future[Any]] = []

    async def code(run: Run[None], note: Any) -> Any:
        tasks[:] = [asyncio.ensure_future(run.signal("a")), asyncio.ensure_future(run.signal("a"))]
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[0]
        return await tasks[1]

    async with desk(waiting(code), park_after_s=10) as d:
        run = await d.start("go")
        await d.has(run, "signal.awaited")
        await d.wait_for(lambda: len(d.workers[0]._executions[run]._waits._signals["a"]) == 2)
        waits = d.workers[0]._executions[run]._waits
        wake = waits.wake

        def woken(mail: Any) -> None:
            wake(mail)
            tasks[0].cancel()

        waits.wake = woken
        await d.control.signal(run, "a", "here")
        assert (await d.until(run, deadline_s=3)).result == "here"
