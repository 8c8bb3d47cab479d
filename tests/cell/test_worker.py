from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done
from outlast.cell.worker import Worker
from outlast.journal.stream import Append, Outcome, Unknown
from outlast.kernel.error import NotDone, StoreUnavailable
from tests.agent.desk import Desk, desk


def booking() -> tuple[App[None], list[str]]:
    app: App[None] = App("t")
    ledger: list[str] = []

    @app.tool(effect="once", retry=10)
    async def book(ctx: Context[None], n: int) -> int:
        await asyncio.sleep(0)
        ledger.append(ctx.key)
        return n

    @book.verify
    async def check(ctx: Context[None], n: int) -> Any:
        return Done(n) if ctx.key in ledger else NotDone

    @app.tool(effect="pure")
    async def note(n: int) -> int:
        return n

    @app.agent
    async def go(run: Run[None], n: int) -> list[int]:
        return [await note(n), await book(n), await note(n + 1)]

    @app.agent
    async def wait(run: Run[None]) -> Any:
        return await run.signal("go")

    return app, ledger


async def test_of_two_workers_that_race_for_many_runs_each_has_one_effective_owner() -> None:
    app, ledger = booking()
    async with desk(app, workers=2) as d:
        runs = [await d.start("go", n) for n in range(60)]
        for run in runs:
            for worker in d.workers:
                worker.offer(run)
        for n, run in enumerate(runs):
            view = await d.until(run, deadline_s=30)
            assert view.result == [n, n, n + 1], (view.state, view.reason)
        assert len(set(ledger)) == len(runs)
        for run in runs:
            assert (await d.types(run)).count("step.done") == 3
        await d.wait_for(lambda: all(worker.runs == 0 for worker in d.workers), "nobody holds what has ended")


async def test_a_worker_takes_no_more_runs_than_its_bound() -> None:
    app, _ = booking()
    d = Desk(app, {})
    worker = Worker(app, d.platform(d.store), "w", runs_max=2)
    async with worker:
        runs = [await d.start("wait") for _ in range(3)]
        assert [worker.offer(run) for run in runs] == [True, True, False]
        assert worker.offer(runs[0]), "one that it holds is no more"


async def test_a_worker_can_be_rung_any_number_of_times_and_for_nothing() -> None:
    app, _ = booking()
    async with desk(app) as d:
        run = await d.start("wait")
        for _ in range(50):
            d.workers[0].offer(run)
            d.workers[0].offer("run_nothing")
        await d.until(run, "parked")
        await d.wait_for(lambda: d.workers[0].runs == 0)
        assert (await d.types(run)).count("run.claimed") == 1
        await d.control.signal(run, "go", "x")
        assert (await d.until(run)).result == "x"


async def test_dependencies_are_opened_once_a_worker_and_closed_at_its_end() -> None:
    opened: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        opened.append("open")
        yield "deps"
        opened.append("close")

    app: App[str] = App("t", lifespan=lifespan)

    @app.tool(effect="pure")
    async def tell(ctx: Context[str]) -> str:
        return ctx.deps

    @app.agent
    async def go(run: Run[str]) -> list[str]:
        return [run.deps, await tell()]

    async with desk(app) as d:
        for _ in range(3):
            assert (await d.until(await d.start("go"))).result == ["deps", "deps"]
        assert opened == ["open"]
    assert opened == ["open", "close"]


async def test_leaving_a_worker_lets_go_of_all_its_runs_in_bounded_time() -> None:
    app: App[None] = App("t")
    stuck = asyncio.Event()

    @app.agent
    async def stubborn(run: Run[None]) -> None:
        while not stuck.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await stuck.wait()

    d = Desk(app, {}, unwind_s=0.1)
    worker = Worker(app, d.platform(d.store), "w", report=d.reports.append)
    async with asyncio.timeout(10):
        async with worker:
            runs = [await d.start("stubborn") for _ in range(20)]
            for run in runs:
                worker.offer(run)
            await d.wait_for(lambda: worker.runs == 20)
            for run in runs:
                await d.until(run, "running")
    for run in runs:
        assert (await d.types(run))[-1] == "run.released"
    stuck.set()


async def test_a_run_whose_code_raises_what_nobody_expects_harms_no_other() -> None:
    app, _ = booking()

    @app.agent
    async def odd(run: Run[None]) -> None:
        raise KeyboardInterruptLike

    class KeyboardInterruptLike(BaseException):
        pass

    async with desk(app) as d:
        other = await d.start("wait")
        view = await d.until(await d.start("odd"))
        assert view.state == "failed"
        assert "agent code raised KeyboardInterruptLike" in view.error["message"]  # type: ignore[index]
        await d.control.signal(other, "go", 1)
        assert (await d.until(other)).result == 1


async def test_mail_that_comes_while_a_run_is_being_claimed_is_not_lost() -> None:
    app, _ = booking()
    async with desk(app) as d:
        for n in range(20):
            run = await d.start("wait")
            if n % 2:
                await asyncio.sleep(0)
            await d.control.signal(run, "go", n)
            assert (await d.until(run)).result == n


async def test_mail_that_comes_while_a_run_parks_is_not_lost() -> None:
    app, _ = booking()
    async with desk(app, park_after_s=0.02) as d:
        for n in range(25):
            run = await d.start("wait")
            await asyncio.sleep(0.018 + 0.0004 * (n % 12))
            await d.control.signal(run, "go", n)
            assert (await d.until(run, deadline_s=2)).result == n


async def test_a_worker_takes_again_what_it_let_go_of_while_the_store_was_away() -> None:
    app, _ = booking()
    async with desk(app, append_patience_s=0.05) as d:
        wire = d.wires["worker-1"]
        away = True

        async def fault(append: Append) -> Outcome | None:
            return Unknown("away") if away and b"step.done" in append.body else None

        wire.fault = fault
        run = await d.start("go", 1)
        await d.wait_for(lambda: d.workers[0].runs == 0 and _claims(d, run), "it lets go")
        entry = await d.store.entry(run)
        assert entry is not None
        assert (entry.state, entry.owner) == ("running", "worker-1"), "nobody else would look for it"
        away = False
        assert (await d.until(run, deadline_s=20)).result == [1, 1, 2]


async def _claims(d: Desk, run: str) -> int:
    return (await d.control.view(run)).claims


async def test_every_append_may_be_unknown_once_and_land_or_not() -> None:
    app, ledger = booking()
    async with desk(app, append_patience_s=5.0) as d:
        seen: set[str] = set()
        wire = d.wires["worker-1"]

        async def fault(append: Append) -> Outcome | None:
            if append.append_id in seen:
                return None
            seen.add(append.append_id)
            if len(seen) % 2:
                await d.store.append(append)
            return Unknown("lost")

        wire.fault = fault
        for n in range(10):
            assert (await d.until(await d.start("go", n))).result == [n, n, n + 1]
    assert len(ledger) == len(set(ledger)) == 10


async def test_a_worker_whose_index_is_away_reports_it_and_goes_on() -> None:
    app, _ = booking()
    async with desk(app) as d:
        worker = d.workers[0]

        class Away:
            async def entry(self, run: str) -> Any:
                raise StoreUnavailable("the index is away")

        run = await d.start("wait")
        await d.until(run, "parked")
        worker._again.add(run)
        platform = worker._platform
        object.__setattr__(platform, "index", Away())
        worker._look_again(run)
        await d.wait_for(lambda: d.reports)
        object.__setattr__(platform, "index", d.store)
        assert "the index is away" in d.reports[-1]
        await d.control.signal(run, "go", 1)
        assert (await d.until(run)).result == 1


async def test_a_drain_that_does_not_end_in_time_says_so() -> None:
    app: App[None] = App("t")
    let_go = asyncio.Event()
    begun = asyncio.Event()

    @app.tool(effect="once")
    async def book() -> None:
        begun.set()
        await let_go.wait()

    @app.agent
    async def go(run: Run[None]) -> None:
        await book()

    async with desk(app) as d:
        run = await d.start("go")
        await begun.wait()
        assert not await d.workers[0].drain(0.1)
        assert d.workers[0].draining
        let_go.set()
        assert await d.workers[0].drain(5)
        assert "step.done" in await d.types(run)


def racing() -> App[None]:
    app: App[None] = App("t")

    @app.agent
    async def race(run: Run[None]) -> Any:
        first = asyncio.ensure_future(run.signal("go"))
        await asyncio.wait([first])  # code that waits by itself does not park: nobody would ring for it
        return first.result()

    return app


async def test_mail_for_a_running_run_is_seen_where_no_notice_ever_comes() -> None:
    async with desk(racing(), workers=0) as d:
        d.store._listeners.add = lambda listener, *, steps=True: lambda: None
        await d.hire()
        run = await d.start("race")
        d.ring(run)
        await d.has(run, "signal.awaited")
        await d.control.signal(run, "go", 7)
        assert (await d.until(run)).result == 7


async def test_an_inbox_that_was_looked_at_is_not_read_again_and_all_runs_cost_one_look_at_the_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outlast.cell.worker._strays_s", 3600.0)  # only this test looks
    looks: list[str | None] = []
    reads: list[str] = []
    async with desk(racing(), workers=0) as d:
        d.store._listeners.add = lambda listener, *, steps=True: lambda: None
        owned, read = d.store.owned, d.store.read

        async def counted(owner: str | None = None, limit: int = 10_000) -> Any:
            looks.append(owner)
            return await owned(owner, limit)

        async def noted(stream: str, after: int = 0, limit: int = 1000) -> Any:
            reads.append(stream)
            return await read(stream, after, limit)

        d.store.owned, d.store.read = counted, noted
        await d.hire()
        runs = [await d.start("race") for _ in range(5)]
        for run in runs:
            d.ring(run)
            await d.has(run, "signal.awaited")
            await d.control.signal(run, "other", 1)  # nobody waits for it: no record says that it was seen
        worker = d.workers[0]
        looks.clear()
        await worker._take_strays()
        await d.wait_for(lambda: not worker._background)
        read_once = len(reads)
        for _ in range(2):
            await worker._take_strays()
            await d.wait_for(lambda: not worker._background)
        assert (looks, len(reads)) == ([worker.identity] * 3, read_once)
        assert all(execution.seen == 1 for execution in worker._executions.values())
