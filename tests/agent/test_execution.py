from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done
from outlast.kernel.error import Conflict, NotDone, NotFound, StoreUnavailable
from outlast.policy.budget import Budget
from outlast.policy.retry import Retry
from tests.agent.desk import Desk, desk


class Shop:
    """A tool that waits until it is let go, a `once` tool that does so too, and agents around them."""

    def __init__(self) -> None:
        self.app: App[None] = App("t")
        self.let_go = asyncio.Event()
        self.begun = asyncio.Event()
        self.ledger: list[str] = []
        self.calls: list[int] = []

        @self.app.tool(effect="pure")
        async def work(n: int) -> int:
            self.calls.append(n)
            return n

        @self.app.tool(effect="pure", retry=1)
        async def slow(n: int) -> int:
            self.calls.append(n)
            self.begun.set()
            await self.let_go.wait()
            return n

        @self.app.tool(effect="once", retry=Retry(3, 0.001, 0.002))
        async def book(ctx: Context[None], n: int) -> int:
            self.begun.set()
            await self.let_go.wait()
            self.ledger.append(ctx.key)
            return n

        @self.app.tool(effect="once")
        async def lose(n: int) -> int:
            self.ledger.append("lost")
            raise ConnectionError("the answer was lost")

        self.work, self.slow, self.book, self.lose = work, slow, book, lose

    def agent(self, code: Any, **options: Any) -> Shop:
        @self.app.agent(**options)
        async def go(run: Run[None]) -> Any:
            return await code(run)

        return self


# -- cancelling --------------------------------------------------------------------------------------------------------


async def test_nothing_new_begins_after_a_run_is_being_cancelled() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        for n in range(1000):
            await shop.work(n)
            await run.sleep(0.01)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await d.wait_for(lambda: len(shop.calls) > 2)
        await d.control.cancel(run, "enough")
        view = await d.until(run)
        assert (view.state, view.reason) == ("cancelled", "enough")
        types = await d.types(run)
        after = types[types.index("run.cancelling") :]
        assert set(after) <= {"run.cancelling", "step.abandoned", "step.done", "timer.fired", "run.cancelled"}
        assert after[-1] == "run.cancelled"
        calls = len(shop.calls)
        await asyncio.sleep(0.05)
        assert len(shop.calls) == calls


async def test_a_once_step_under_way_is_settled_before_a_cancelled_run_ends() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await shop.book(1)
        await shop.book(2)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await shop.begun.wait()
        await d.control.cancel(run)
        await d.has(run, "run.cancelling")
        await asyncio.sleep(0.1)
        assert (await d.control.view(run)).ended_at is None
        shop.let_go.set()
        assert (await d.until(run)).state == "cancelled"
        types = await d.types(run)
        assert types.index("run.cancelling") < types.index("step.done") < types.index("run.cancelled")
    assert len(shop.ledger) == 1


@pytest.mark.parametrize("how", ["done", "retry", "fail"])
@pytest.mark.parametrize("crash", [False, True])
async def test_a_held_once_step_blocks_the_end_of_a_cancelled_run_until_it_is_decided(how: Any, crash: bool) -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await shop.lose(1)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await d.until(run, "held")
        await d.control.cancel(run)
        await d.has(run, "run.cancelling")
        await d.until(run, "held")
        await d.wait_for(lambda: d.workers[0].runs == 0, "it does not stay in memory")
        if crash:
            await d.crash_and_replace()
            await d.until(run, "held")
        await d.control.resolve(run, "1", how, 1)
        await d.until(run, "cancelled")
    assert shop.ledger == ["lost"]


async def test_a_cancel_while_a_parked_run_sleeps_wakes_and_ends_it() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await run.sleep(1000)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.wait_for(lambda: d.workers[0].runs == 0)
        await d.control.cancel(run, "a")
        assert (await d.until(run)).state == "cancelled"
        with pytest.raises(Conflict, match="has ended: it is cancelled"):
            await d.control.cancel(run, "b")


async def test_cancelling_twice_is_cancelling_once() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await shop.book(1)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await shop.begun.wait()
        await d.control.cancel(run, "first")
        await d.control.cancel(run, "second")
        shop.let_go.set()
        assert (await d.until(run)).reason == "first"
        assert (await d.types(run)).count("run.cancelling") == 1


async def test_a_cancelled_run_whose_worker_dies_is_cancelled_by_the_next() -> None:
    shop = Shop()

    @shop.book.verify
    async def check(ctx: Context[None], n: int) -> Any:
        return Done(n) if ctx.key in shop.ledger else NotDone

    async def code(run: Run[None]) -> None:
        await shop.book(1)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await shop.begun.wait()
        await d.control.cancel(run)
        await d.has(run, "run.cancelling")
        await d.crash_and_replace()
        assert (await d.until(run)).state == "cancelled"
        assert "step.cleared" in await d.types(run)
    assert shop.ledger == []


async def test_agent_code_that_will_not_stop_cannot_keep_its_run_open() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        while not shop.let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await shop.slow(1)
            await asyncio.sleep(0.001)

    async with desk(shop.agent(code).app, unwind_s=0.1) as d:
        run = await d.start("go")
        await shop.begun.wait()
        await d.control.cancel(run)
        assert (await d.until(run)).state == "cancelled"
        shop.let_go.set()


# -- deadlines ---------------------------------------------------------------------------------------------------------


async def test_a_run_that_passes_its_deadline_fails_wherever_it_is() -> None:
    shop = Shop()

    async def working(run: Run[None]) -> None:
        await shop.slow(1)

    async with desk(shop.agent(working, deadline=0.2).app) as d:
        view = await d.until(await d.start("go"))
        assert view.state == "failed"
        assert view.error["type"] in ("outlast.DeadlineExceeded", "outlast.StepTimeout")  # type: ignore[index]


async def test_a_parked_run_is_woken_by_its_deadline() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await run.signal("never")

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go", deadline_s=0.4)
        await d.until(run, "parked")
        await d.wait_for(lambda: d.workers[0].runs == 0)
        view = await d.until(run)
        assert view.error == {"type": "outlast.DeadlineExceeded", "message": "the run did not end before its deadline"}


async def test_a_verify_has_its_own_time_also_behind_the_deadline() -> None:
    shop = Shop()

    @shop.book.verify
    async def check(ctx: Context[None], n: int) -> Any:
        await asyncio.sleep(0.05)
        return Done(n) if ctx.key in shop.ledger else NotDone

    async def code(run: Run[None]) -> None:
        await shop.book(1)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go", deadline_s=1.0)  # passes while it books, not before
        view = await d.until(run)
        assert view.state == "failed", view.reason
        assert "step.cleared" in await d.types(run)


# -- budgets -----------------------------------------------------------------------------------------------------------


async def test_a_budget_of_steps_holds_the_run_and_a_redrive_grants_it_once_more() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> int:
        return sum([await shop.work(n) for n in range(5)])

    async with desk(shop.agent(code, budget=Budget(steps=2)).app) as d:
        run = await d.start("go")
        for held in (2, 4):
            view = await d.until(run, "held")
            assert f"budget steps: {held} of {held} spent" in view.reason
            assert len(shop.calls) == held
            await d.control.redrive(run)
            await d.wait_for(lambda before=held: len(shop.calls) > before)
        assert (await d.until(run, "completed")).result == 10


async def test_branches_cannot_overdraw_a_budget_together() -> None:
    shop = Shop()
    shop.let_go.set()

    async def code(run: Run[None]) -> list[int]:
        return await run.map(shop.slow, range(10))

    async with desk(shop.agent(code, budget=Budget(steps=3)).app) as d:
        run = await d.start("go")
        await d.until(run, "held")
        assert len(shop.calls) == 3


async def test_a_budget_of_time_holds_the_run() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        for n in range(100):
            await shop.work(n)
            await run.sleep(0.05)

    async with desk(shop.agent(code, budget=Budget(time=0.2)).app) as d:
        view = await d.until(await d.start("go"), "held")
        assert "budget time" in view.reason


async def test_a_hold_lets_effects_under_way_be_recorded_first() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        async def branch(n: int) -> int:
            if n == 0:
                return await shop.book(1)
            await shop.begun.wait()
            return await shop.work(n)

        await run.map(branch, range(3))

    async with desk(shop.agent(code, budget=Budget(steps=2)).app) as d:
        run = await d.start("go")
        await shop.begun.wait()
        await asyncio.sleep(0.1)
        assert "run.held" not in await d.types(run)
        shop.let_go.set()
        await d.until(run, "held")
        types = await d.types(run)
        assert "step.doubted" not in types
        assert types.index("run.held") > max(index for index, kind in enumerate(types) if kind == "step.done")
    assert len(shop.ledger) == 1


async def test_a_redrive_sent_twice_drives_on_once() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> int:
        return sum([await shop.work(n) for n in range(5)])

    async with desk(shop.agent(code, budget=Budget(steps=2)).app) as d:
        run = await d.start("go")
        await d.until(run, "held")
        d.kill(d.workers[0].identity)
        for _ in range(3):
            await d.control.redrive(run)
        await d.hire()
        d.ring(run)
        await d.wait_for(lambda: len(shop.calls) == 4)
        await d.until(run, "held")
        await d.crash_and_replace()
        d.ring(run)
        await asyncio.sleep(0.1)
        await d.until(run, "held")
        assert len(shop.calls) == 4


async def test_a_history_at_its_bound_holds_the_run() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        for n in range(100):
            await shop.work(n)

    async with desk(shop.agent(code).app, history_events_max=10) as d:
        run = await d.start("go")
        view = await d.until(run, "held")
        assert "the bound is history_events_max: use run.continue_as_new" in view.reason
        await d.control.cancel(run)
        assert (await d.until(run, "cancelled")).state == "cancelled"


# -- the kill switch ---------------------------------------------------------------------------------------------------


async def test_a_stopped_agent_begins_nothing_and_goes_on_when_resumed() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> str:
        for n in range(20):
            await shop.work(n)
            await run.sleep(0.02)
        return "done"

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await d.wait_for(lambda: len(shop.calls) > 1)
        await d.control.stop_agent("go", "it runs wild")
        assert await d.control.agent_stopped("go") == "it runs wild"
        view = await d.until(run, "held")
        assert "agent go is stopped: it runs wild" in view.reason
        calls = len(shop.calls)
        with pytest.raises(Conflict, match="agent go is stopped: it runs wild"):
            await d.control.start("go")
        await d.crash_and_replace()
        assert len(shop.calls) == calls
        assert await d.control.resume_agent("go") == 1
        assert await d.control.agent_stopped("go") is None
        assert (await d.until(run, "completed")).result == "done"


async def test_a_resumed_agents_run_is_not_held_again_by_a_worker_that_has_not_heard_of_it() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> int:
        await run.signal("go")
        return await shop.work(1)

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.control.stop_agent("go")
        await d.wait_for(lambda: d.workers[0]._stopped_agents)
        d.workers[0]._heard = lambda notices: None  # from now on it hears nothing
        await d.control.signal(run, "go")
        await d.until(run, "held")
        stale = dict(d.workers[0]._stopped_agents)
        await d.control.resume_agent("go")
        d.workers[0]._stopped_agents.update(stale)
        assert (await d.until(run, "completed")).result == 1


async def test_resuming_an_agent_does_not_grant_a_budget() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await shop.work(0)
        await run.signal("go")
        for n in range(1, 10):
            await shop.work(n)

    async with desk(shop.agent(code, budget=Budget(steps=4)).app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.control.stop_agent("go")
        await d.control.signal(run, "go")
        await d.until(run, "held")
        await d.control.resume_agent("go")
        await d.wait_for(lambda: len(shop.calls) > 1)
        view = await d.until(run, "held")
        assert "budget steps: 4 of 4 spent" in view.reason


async def test_an_unknown_agent_cannot_be_stopped() -> None:
    async with desk(Shop().app) as d:
        with pytest.raises(NotFound, match="agent 'gone' does not exist"):
            await d.control.stop_agent("gone")


# -- losing and releasing ----------------------------------------------------------------------------------------------


async def test_a_zombies_appends_are_fenced_and_its_run_stops() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> int:
        return await shop.slow(1) + await shop.work(2)

    async with desk(shop.agent(code).app, workers=2) as d:
        run = await d.start("go")
        await shop.begun.wait()
        first, second = d.workers
        owner, other = (first, second) if first.runs else (second, first)
        assert other.offer(run)
        await d.wait_for(lambda: len(shop.calls) == 2)
        shop.let_go.set()
        assert (await d.until(run)).result == 3
        await d.wait_for(lambda: owner.runs == 0 and other.runs == 0, "both let go")
        assert (await d.types(run)).count("run.claimed") == 2
        assert (await d.types(run)).count("step.done") == 2
    assert shop.calls == [1, 1, 2]


async def test_a_zombie_that_is_fenced_at_its_last_event_can_take_the_run_again() -> None:
    shop = Shop()
    second_time = asyncio.Event()

    async def code(run: Run[None]) -> str:
        if not shop.begun.is_set():
            shop.begun.set()
            await shop.let_go.wait()  # no step: its next event is the run's end
        elif not second_time.is_set():
            await run.sleep(1000)
        return "done"

    async with desk(shop.agent(code).app, workers=2, park_after_s=10) as d:
        run = await d.start("go")
        await shop.begun.wait()
        owner, other = d.workers if d.workers[0].runs else reversed(d.workers)
        assert other.offer(run)
        await d.has(run, "timer.set")
        shop.let_go.set()
        await d.wait_for(lambda: owner.runs == 0, "its end is fenced, and it lets go")
        second_time.set()
        d.kill(other.identity)
        owner.offer(run)
        await d.wait_for(lambda: _held_by(d, run, owner.identity))


async def _held_by(d: Desk, run: str, worker: str) -> bool:
    return (await d.control.view(run)).owner == worker


async def test_a_released_run_says_so_and_another_worker_takes_it_at_once() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> str:
        await shop.work(1)
        await shop.slow(2)
        return "done"

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await shop.begun.wait()
        leaving = d.workers.pop()
        await d.hire()
        assert await leaving.drain(5.0)
        await d.wait_for(lambda: shop.calls == [1, 2, 2])
        types = await d.types(run)
        assert types[-2:] == ["run.released", "run.claimed"]
        shop.let_go.set()
        assert (await d.until(run)).result == "done"


async def test_a_draining_worker_lets_a_once_step_end_and_begins_no_other() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> list[int]:
        return [await shop.book(n) for n in range(3)]

    async with desk(shop.agent(code).app) as d:
        run = await d.start("go")
        await shop.begun.wait()
        leaving = d.workers.pop()
        draining = asyncio.ensure_future(leaving.drain(5.0))
        await asyncio.sleep(0.1)
        assert not draining.done()
        assert not leaving.offer("run_other")
        shop.let_go.set()
        assert await draining
        await d.hire()
        d.ring(run)
        assert (await d.until(run)).result == [0, 1, 2]
        types = await d.types(run)
        assert "step.doubted" not in types
        assert types.index("run.released") > types.index("step.done")
        assert types.count("step.intended") == 3
    assert len(shop.ledger) == 3


async def test_a_held_step_does_not_keep_a_draining_worker() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> None:
        await shop.lose(1)

    async with desk(shop.agent(code).app, park_after_s=60) as d:
        run = await d.start("go")
        await d.until(run, "held")
        leaving = d.workers.pop()
        assert leaving.runs == 1
        await d.hire()
        assert await leaving.drain(5.0)
        entry = await d.store.entry(run)
        assert entry is not None
        assert entry.state == "held", "what waits for a person does so when its worker has gone"
        assert (await d.control.view(run)).state == "held"
        await d.control.resolve(run, "1", "done", 1)
        await d.until(run, "completed")


@pytest.mark.parametrize("taken_up_again", [False, True])
async def test_a_drained_run_that_only_waits_is_not_taken_again_in_vain(taken_up_again: bool) -> None:
    app: App[None] = App("t")

    @app.agent
    async def go(run: Run[None]) -> str:
        return await run.signal("go", timeout="1h")

    async with desk(app, park_after_s=60) as d:
        run = await d.start("go")
        await d.has(run, "signal.awaited")
        if taken_up_again:  # then no record of the new owner has told the index yet that it waits
            name = await d.crash_and_replace()
            d.ring(run)
            await d.wait_for(lambda: _held_by(d, run, name))
        leaving = d.workers.pop()
        await d.hire()
        assert await leaving.drain(5.0)
        assert "run.released" not in await d.types(run)
        entry = await d.store.entry(run)
        assert entry is not None
        assert entry.state == "parked"
        assert entry.wake_at > d.clock.now()
        await d.control.signal(run, "go", "on")
        assert (await d.until(run)).result == "on"


async def test_a_blob_store_that_is_away_is_not_seen_by_agent_code() -> None:
    app: App[None] = App("t")
    away = True
    ledger: list[int] = []

    @app.tool(effect="once")
    async def big() -> str:
        ledger.append(1)
        return "x" * 100_000

    @app.tools["big"].verify
    async def check() -> Any:
        return Done("x" * 100_000) if ledger else NotDone

    @app.agent
    async def go(run: Run[None]) -> int:
        try:
            return len(await big())
        except Exception as error:
            return int(type(error).__name__ == "StoreUnavailable") - 1

    async with desk(app) as d:
        put = d.blobs.put

        async def faulty(content: bytes) -> Any:
            if away:
                raise StoreUnavailable("no space")
            return await put(content)

        d.blobs.put = faulty
        run = await d.start("go")
        await d.wait_for(lambda: ledger and d.workers[0].runs == 0, "it lets go")
        assert "step.done" not in await d.types(run)
        away = False
        assert (await d.until(run, deadline_s=20)).result == 100_000, "and takes it again by itself"
    assert ledger == [1]


async def test_a_blob_that_is_gone_holds_the_run_and_says_so() -> None:
    app: App[None] = App("t")

    @app.tool(effect="pure")
    async def big() -> str:
        return "x" * 100_000

    @app.agent
    async def go(run: Run[None]) -> int:
        try:
            found = await big()
        except Exception:
            return -1
        await run.signal("go")
        return len(found)

    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        blobs = dict(d.blobs._blobs)
        d.blobs._blobs.clear()
        await d.crash_and_replace()
        await d.control.signal(run, "go")
        view = await d.until(run, "held")
        assert "what its history names cannot be read: blob" in view.reason
        d.blobs._blobs.update(blobs)
        await d.control.redrive(run)
        assert (await d.until(run, "completed")).result == 100_000


async def test_a_store_that_stays_away_ends_in_the_run_being_taken_again_by_the_same_worker() -> None:
    shop = Shop()

    async def code(run: Run[None]) -> list[int]:
        return [await shop.work(n) for n in range(3)]

    async with desk(shop.agent(code).app, append_patience_s=0.1) as d:
        from outlast.journal.stream import Unknown

        away = True

        async def fault(append: Any) -> Any:
            return Unknown("away") if away and b"step.done" in append.body else None

        d.wires["worker-1"].fault = fault
        run = await d.start("go")
        await d.wait_for(lambda: shop.calls and d.workers[0].runs == 0, "it lets go")
        away = False
        assert (await d.until(run, deadline_s=20)).result == [0, 1, 2]
