from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from outlast.agent import mute
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.replay import Handing
from outlast.agent.run import Run
from tests.agent.desk import Desk, desk

Code = Callable[[App[None], Callable[[Run[None]], Any]], None]


class Versions:
    """An app whose agent's code can be changed while its runs are open."""

    def __init__(self) -> None:
        self.app: App[None] = App("t")
        self.calls: list[str] = []
        self.code: Callable[[Run[None]], Any] = self.nothing

        for name in ("a", "b", "c", "d"):
            self._tool(name)

        @self.app.agent
        async def go(run: Run[None]) -> Any:
            return await self.code(run)

    async def nothing(self, run: Run[None]) -> None:
        return None

    def _tool(self, name: str) -> None:
        async def work(x: Any = None) -> str:
            self.calls.append(name)
            return f"{name}{x if x is not None else ''}"

        setattr(self, name, self.app.tool(effect="pure", name=name)(work))

    a: Any
    b: Any
    c: Any
    d: Any

    async def replayed(self, d: Desk, run: str, code: Callable[[Run[None]], Any]) -> None:
        """The run's code changes and its worker dies."""
        self.code = code
        await d.crash_and_replace()
        await d.control.signal(run, "go")


async def test_recorded_results_are_given_and_nothing_is_done_again() -> None:
    v = Versions()

    async def code(run: Run[None]) -> list[str]:
        found = [await v.a(), await v.b(1)]
        await run.signal("go")
        return [*found, await v.c()]

    v.code = code
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await v.replayed(d, run, code)
        assert (await d.until(run)).result == ["a", "b1", "c"]
    assert v.calls == ["a", "b", "c"]


async def test_another_step_at_a_recorded_place_holds_the_run_and_names_both() -> None:
    v = Versions()

    async def old(run: Run[None]) -> None:
        await v.a()
        await run.signal("go")

    async def new(run: Run[None]) -> None:
        await v.b()
        await run.signal("go")

    v.code = old
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await v.replayed(d, run, new)
        view = await d.until(run, "held")
        assert "step 1 is 'a' in the history, 'b' in the code" in view.reason
        assert "run.version(" in view.reason
        v.code = old
        await d.control.redrive(run)
        assert (await d.until(run, "completed")).state == "completed"
    assert v.calls == ["a"]


async def test_a_recorded_step_that_is_not_called_any_more_holds_the_run() -> None:
    v = Versions()

    async def old(run: Run[None]) -> None:
        await v.a()
        await v.b()
        await run.signal("go")

    async def new(run: Run[None]) -> None:
        await v.a()

    v.code = old
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await v.replayed(d, run, new)
        view = await d.until(run, "held")
        assert "the code ended without calling step 2, which is 'b' in the history" in view.reason


async def test_changed_arguments_are_a_drift_recorded_once_and_the_recorded_result_stands() -> None:
    v = Versions()
    asked = "old"

    async def code(run: Run[None]) -> str:
        found = await v.a(asked)
        await v.b()
        await run.signal("go")
        await run.signal("go")
        return found

    v.code = code
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        asked = "new"
        await v.replayed(d, run, code)
        await d.has(run, "signal.consumed", "step.drifted")
        await d.until(run, "parked")
        await v.replayed(d, run, code)
        view = await d.until(run)
        assert view.result == "aold"
        assert [(step.name, step.drifted) for step in view.steps[:2]] == [("a", True), ("b", False)]
        assert (await d.types(run)).count("step.drifted") == 1
    assert v.calls == ["a", "b"]


async def test_version_lets_new_code_serve_old_runs() -> None:
    v = Versions()

    async def old(run: Run[None]) -> list[Any]:
        found = [await v.a()]
        await run.signal("go")
        return [*found, await v.c()]

    async def new(run: Run[None]) -> list[Any]:
        found: list[Any] = []
        if run.version("b first"):
            found.append(await v.b())
        found.append(await v.a())
        await run.signal("go")
        return [*found, await v.c(), run.version("b first"), run.version("later", 3)]

    v.code = old
    async with desk(v.app) as d:
        before = await d.start("go")
        await d.until(before, "parked")
        v.code = new
        after = await d.start("go")
        await d.until(after, "parked")
        await v.replayed(d, before, new)
        await d.control.signal(after, "go")
        assert (await d.until(before)).result == ["a", "c", 1, 3], "what comes behind the end of its history is new"
        assert (await d.until(after)).result == ["b", "a", "c", 1, 3]


async def test_a_version_that_was_marked_stays_when_the_code_moves_on() -> None:
    v = Versions()
    latest = 1

    async def code(run: Run[None]) -> list[int]:
        first = run.version("x", latest)
        await v.a()
        await run.signal("go")
        return [first, run.version("x", latest)]

    v.code = code
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        latest = 2
        await v.replayed(d, run, code)
        assert (await d.until(run)).result == [1, 2]


@pytest.mark.parametrize(
    "rounds", [[[0], [1], [2]], [[1], [2], [0]], [[2], [0], [1]], [[0, 1], [2]], [[1, 0], [2]], [[2], [1, 0]]]
)
async def test_races_have_the_same_winners_in_replay(rounds: list[list[int]]) -> None:
    app: App[None] = App("t")
    gates = [asyncio.Event() for _ in range(3)]
    seen: list[list[list[int]]] = []

    @app.tool(effect="pure")
    async def wait(n: int) -> int:
        await gates[n].wait()
        return n

    @app.agent
    async def go(run: Run[None]) -> list[list[int]]:
        tasks = {asyncio.ensure_future(wait(n)) for n in range(3)}
        won: list[list[int]] = []
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            won.append(sorted(task.result() for task in done))
        seen.append(won)
        await run.signal("go")
        return won

    async with desk(app) as d:
        run = await d.start("go")
        for number, at_once in enumerate(rounds):
            for each in at_once:
                gates[each].set()  # what ends in one turn of the loop stands in one record

            async def recorded(count: int = len([each for some in rounds[: number + 1] for each in some])) -> bool:
                return (await d.types(run)).count("step.done") == count

            await d.wait_for(recorded)
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        expected = [sorted(at_once) for at_once in rounds]
        assert (await d.until(run)).result == expected
        assert seen == [expected, expected]


@pytest.mark.parametrize("turns", range(8))
async def test_a_race_that_was_close_has_the_same_winners_in_replay(turns: int) -> None:
    app: App[None] = App("t")
    gates = [asyncio.Event() for _ in range(2)]
    seen: list[list[list[int]]] = []

    @app.tool(effect="pure")
    async def wait(n: int) -> int:
        await gates[n].wait()
        return n

    @app.agent
    async def go(run: Run[None]) -> list[list[int]]:
        tasks = {asyncio.ensure_future(wait(n)) for n in range(2)}
        won: list[list[int]] = []
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            won.append(sorted(task.result() for task in done))
        seen.append(won)
        await run.signal("go")
        return won

    async with desk(app) as d:
        run = await d.start("go")

        async def begun() -> bool:
            return all(gate._waiters for gate in gates)

        await d.wait_for(begun)
        gates[1].set()
        for _ in range(turns):  # the second ends while the first is being recorded, or seen
            await asyncio.sleep(0)
        gates[0].set()
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        await d.until(run)
        assert len(seen) == 2
        assert seen[0] == seen[1]


@pytest.mark.parametrize("turns", range(8))
async def test_a_close_race_of_waits_that_were_taken_over_has_the_same_winners_in_replay(turns: int) -> None:
    app: App[None] = App("t")
    seen: list[list[list[str]]] = []

    @app.agent
    async def go(run: Run[None]) -> list[list[str]]:
        tasks = {asyncio.ensure_future(run.signal(name)) for name in ("a", "b")}
        won: list[list[str]] = []
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            won.append(sorted(str(task.result()) for task in done))
        seen.append(won)
        await run.signal("go")
        return won

    async with desk(app) as d:
        run = await d.start("go")

        async def waits() -> bool:
            return (await d.types(run)).count("signal.awaited") == 2

        await d.wait_for(waits)
        await d.crash_and_replace()  # whoever goes on from here has begun neither wait itself
        first = asyncio.ensure_future(d.control.signal(run, "a", "a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await d.control.signal(run, "b", "b")
        await first

        async def raced() -> bool:
            return bool(seen)

        await d.wait_for(raced)
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        await d.until(run)
        assert len(seen) == 2
        assert seen[0] == seen[1]


async def test_outcomes_of_one_record_are_seen_before_those_of_the_next() -> None:
    handing = Handing()
    order = [1, 1, 2, 3, 3]
    tasks = {asyncio.ensure_future(handing.turn(record)): record for record in order}
    seen: list[list[int]] = []
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        seen.append([tasks[task] for task in done])
    assert seen == [[1, 1], [2], [3, 3]]


async def test_an_outcome_that_nobody_waits_for_any_more_does_not_stop_the_others() -> None:
    handing = Handing()
    first, given_up, last = (asyncio.ensure_future(handing.turn(record)) for record in (1, 2, 3))
    await first
    given_up.cancel()
    async with asyncio.timeout(10):
        await last
    assert given_up.cancelled()


async def test_an_abandoned_step_is_abandoned_again() -> None:
    app: App[None] = App("t")
    slow: list[int] = []

    @app.tool(effect="pure")
    async def work(n: int) -> int:
        if n == 1:
            slow.append(n)
            await asyncio.get_running_loop().create_future()
        return n

    @app.agent
    async def go(run: Run[None]) -> list[int]:
        tasks = [asyncio.ensure_future(work(n)) for n in range(3)]
        done, pending = await asyncio.wait(tasks, timeout=0.2)
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        first = sorted(task.result() for task in done)
        await run.signal("go")
        return [*first, await work(9)]

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        assert (await d.until(run)).result == [0, 2, 9]
        assert (await d.types(run)).count("step.abandoned") == 1
    assert slow == [1]


async def test_time_chance_and_identifiers_are_the_same_in_replay() -> None:
    v = Versions()
    seen: list[list[Any]] = []

    async def code(run: Run[None]) -> None:
        found: list[Any] = [run.now(), run.random().random(), run.uuid()]
        await v.a()
        found += [run.now(), run.random().random(), run.uuid()]

        async def branch(n: int) -> Any:
            await run.sleep(0.001 * n)
            return run.now(), run.random().random(), run.uuid()

        found += await run.map(branch, [1, 5, 2, 4, 3])
        await asyncio.gather(v.b(), v.c(), run.sleep(0.003))
        found.append(run.now())
        try:
            await run.signal("never", timeout=0.01)
        except Exception:
            found.append(run.now())
        await run.signal("go")
        found.append(run.now())
        seen.append(found)
        await run.signal("go")

    v.code = code
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.control.signal(run, "go")

        async def raced() -> bool:
            return bool(seen)

        await d.wait_for(raced)
        await d.until(run, "parked")
        await v.replayed(d, run, code)
        await d.until(run)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert len({str(x) for x in seen[0] if not isinstance(x, tuple)}) >= 6


async def test_failures_and_signals_of_branches_leave_the_same_time_in_replay() -> None:
    app: App[None] = App("t")
    seen: list[list[Any]] = []

    @app.tool(effect="pure", retry=1)
    async def work(n: int) -> int:
        await asyncio.sleep(0.001 * (n % 3))
        if n % 2:
            raise ValueError(n)
        return n

    @app.agent
    async def go(run: Run[None]) -> None:
        found: list[Any] = []

        async def note(call: Any) -> None:
            try:
                await call
            except ValueError:
                pass
            found.append(run.now())

        await asyncio.gather(*(note(work(n)) for n in range(20)))
        seen.append(found)
        await run.signal("go")

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        await d.until(run)
    assert len(seen) == 2
    assert sorted(seen[0]) == sorted(seen[1])


async def test_prints_and_logs_are_muted_while_recorded_steps_are_given(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    v = Versions()

    async def code(run: Run[None]) -> None:
        print("before")  # noqa: T201 (it is what is tested)
        logging.getLogger("agent").warning("before")
        await v.a()
        print("between")  # noqa: T201 (it is what is tested)
        await v.b()
        await run.signal("go")
        print("after")  # noqa: T201 (it is what is tested)
        logging.getLogger("agent").warning("after")

    v.code = code
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(caplog.handler, "filters", [])
    mute.install()
    mute.install()
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await v.replayed(d, run, code)
        await d.until(run)
    assert capsys.readouterr().out.split() == ["before", "between", "after"]
    assert [record.message for record in caplog.records if record.name == "agent"] == ["before", "after"]


async def test_a_run_of_thousands_of_steps_resumes() -> None:
    app: App[None] = App("t")
    calls: list[int] = []

    @app.tool(effect="pure")
    async def work(n: int) -> int:
        calls.append(n)
        return n

    @app.agent
    async def go(run: Run[None], count: int) -> int:
        total = 0
        for n in range(count):
            total += await work(n)
        await run.signal("go")
        return total

    async with desk(app) as d:
        run = await d.start("go", 3000)
        await d.until(run, "parked", deadline_s=60)
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        assert (await d.until(run, deadline_s=60)).result == sum(range(3000))
    assert len(calls) == 3000


async def test_replaying_is_said_while_it_lasts() -> None:
    v = Versions()
    seen: list[bool] = []

    async def code(run: Run[None]) -> None:
        await v.a()
        seen.append(run.replaying)
        await v.b()
        await run.signal("go")
        seen.append(run.replaying)

    v.code = code
    async with desk(v.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await v.replayed(d, run, code)
        await d.until(run)
    assert seen == [False, True, False]


async def test_changed_parameters_of_the_agent_hold_its_runs() -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None], n: int) -> int:
        await run.signal("go")
        return n

    other: App[None] = App("t")

    @other.agent(name="go")
    async def changed(run: Run[None], n: list[str]) -> int:
        return 0

    async with desk(app) as d:
        run = await d.start("go", 1)
        await d.until(run, "parked")
        d.app = other
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        view = await d.until(run, "held")
        assert "restore the parameters that this run began with" in view.reason
        d.app = app
        d.kill(d.workers[0].identity)
        await d.hire()
        await Control(d.platform(d.store), app).redrive(run)
        assert (await d.until(run, "completed")).result == 1
