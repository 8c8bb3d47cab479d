"""Runs whose agent was removed from the app: they wait for it, and what people decide is done all the same."""

from __future__ import annotations

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.control import Control
from outlast.agent.mail import inbox_key
from outlast.agent.run import Run
from outlast.journal.stream import StoredRecord
from outlast.kernel.error import Conflict
from outlast.kernel.point import Place
from tests.agent.desk import Desk, desk


def shop() -> App[None]:
    app: App[None] = App("t")

    @app.tool(effect="once")
    async def book(ctx: Context[None], cents: int) -> int:
        return cents

    @app.agent
    async def go(run: Run[None]) -> str:
        return f"{await book(80)} {await run.signal('go')}"

    @app.agent
    async def parent(run: Run[None]) -> str:
        return await go()

    @app.agent
    async def loop(run: Run[None], left: int) -> str:
        if left:
            run.continue_as_new(left - 1)
        return await run.signal("go")

    return app


def without(app: App[None], *names: str) -> App[None]:
    left: App[None] = App("t")
    left.agents = {name: agent for name, agent in app.agents.items() if name not in names}
    return left


async def remove(d: Desk, *names: str) -> None:
    """From now on the app has those agents no more: its workers die, one with the new code takes over."""
    d.app = without(d.app, *names)
    d.control = Control(d.platform(d.store), d.app)
    await d.crash_and_replace()
    for dead in [name for name, wire in d.wires.items() if wire.cut]:
        await d.take_over(dead)


async def test_a_run_whose_agent_is_gone_is_cancelled() -> None:
    async with desk(shop()) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await remove(d, "go")
        d.ring(run)
        assert "agent 'go' is not in the app that runs now: bring it back" in (await d.until(run, "held")).reason
        await d.control.cancel(run, "no longer wanted")
        view = await d.until(run, "cancelled")
        assert (view.state, view.reason) == ("cancelled", "no longer wanted")
        assert (await d.types(run))[-2:] == ["run.cancelling", "run.cancelled"]
        with pytest.raises(Conflict, match="has ended"):
            await d.control.cancel(run)


async def test_one_that_was_cancelled_before_anybody_missed_its_agent_ends_at_once() -> None:
    async with desk(shop(), workers=0) as d:
        run = await d.start("go")
        await d.control.cancel(run)
        await remove(d, "go")
        assert (await d.until(run)).state == "cancelled"
        assert await d.types(run) == ["run.created", "run.cancelling", "run.cancelled"]


async def test_its_redrive_is_refused_with_what_to_do_and_goes_through_when_the_agent_is_back() -> None:
    app = shop()
    async with desk(app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await remove(d, "go")
        d.ring(run)
        await d.until(run, "held")
        with pytest.raises(Conflict, match="its agent 'go' is not in the app that runs now; bring it back"):
            await d.control.redrive(run)
        d.app, d.control = app, Control(d.platform(d.store), app)
        await d.crash_and_replace()
        await d.control.redrive(run)
        await d.control.signal(run, "go", "on")
        assert (await d.until(run, "completed")).result == "80 on"


@pytest.mark.parametrize(("how", "event"), [("done", "step.done"), ("fail", "step.failed"), ("retry", "step.cleared")])
async def test_a_step_in_doubt_is_decided_and_the_run_waits_on_for_its_agent(how: str, event: str) -> None:
    app = shop()
    async with desk(app, workers=0) as d:
        run = await doubted(d)
        await remove(d, "go")
        await d.until(run, "held")
        await d.control.resolve(run, "1", how, 7)  # type: ignore[arg-type] # one of the three
        await d.has(run, event)
        view = await d.until(run, "held")
        assert view.steps[0].state == {"done": "done", "fail": "failed", "retry": "running"}[how]
        assert "not in the app" in view.reason
        assert d.executors.asked, "the old executor must not act any more"
        with pytest.raises(Conflict, match="only a held one can be resolved"):
            await d.control.resolve(run, "1", "done", 8)
        if how == "done":
            d.app, d.control = app, Control(d.platform(d.store), app)
            await d.crash_and_replace()
            await d.control.redrive(run)
            await d.control.signal(run, "go", "on")
            assert (await d.until(run, "completed")).result == "7 on"


async def test_a_cancelled_one_ends_only_when_its_step_in_doubt_is_decided() -> None:
    async with desk(shop(), workers=0) as d:
        run = await doubted(d)
        await remove(d, "go")
        await d.until(run, "held")
        await d.control.cancel(run)
        await d.has(run, "run.cancelling")
        view = await d.until(run, "held")
        assert "cancelled, but step 1 (book) is in doubt: resolve it by hand" in view.reason
        d.ring(run)
        await d.control.resolve(run, "1", "done", 7)
        assert (await d.until(run, "cancelled")).state == "cancelled"


async def test_its_children_are_cancelled_with_it_and_its_parent_hears_of_its_end() -> None:
    async with desk(shop()) as d:
        run = await d.start("parent")
        await d.has(run, "child.started")
        (child,) = [entry.run for entry in await d.store.list(agent="go")]
        await d.until(child, "parked")
        await remove(d, "parent")
        d.ring(run)
        await d.until(run, "held")
        await d.control.cancel(run)
        await d.until(run, "cancelled")
        assert (await d.until(child)).state == "cancelled"
    async with desk(shop(), wait_poll_s=60.0) as d:
        run = await d.start("parent")
        await d.has(run, "child.started")
        (child,) = [entry.run for entry in await d.store.list(agent="go")]
        await d.until(child, "parked")
        await remove(d, "go")
        d.ring(child)
        await d.until(child, "held")
        await d.control.cancel(child)
        assert (await d.until(run)).state == "failed", "mail tells it, long before it looks by itself"


@pytest.mark.parametrize("place", ["run.end.before", "append.before"])
async def test_one_that_was_about_to_continue_as_new_does_so_and_its_mail_goes_along(place: Place) -> None:
    async with desk(shop(), workers=0) as d:
        dies = await d.hire_mortal(place, skip=1 if place == "append.before" else 0)
        run = await d.start("loop", 1)
        await dies.died.wait()
        await d.control.cancel(run)
        decided = "run.continuing" in await d.types(run)
        await remove(d, "loop")
        view = await d.until(run)
        if decided:
            assert view.state == "continued"
            view = await d.until(view.continued_to)
        assert view.state == "cancelled"


async def test_an_inbox_that_cannot_be_read_is_not_acted_on() -> None:
    async with desk(shop(), workers=0) as d:
        run = await d.start("go")
        await d.control.cancel(run)
        records = d.store._streams[inbox_key(d.platform(d.store), run)]
        first = records[0]
        records[0] = StoredRecord(first.seq, first.count, first.body.replace(b"cancel", b"conceal"), first.hash)
        await remove(d, "go")
        assert "not in the app" in (await d.until(run)).reason
        entry = await d.store.entry(run)
        assert entry is not None
        assert not entry.due(d.clock.now()), "it does not ring for ever"


async def doubted(d: Desk) -> str:
    """A run whose worker died between the effect and its record."""
    dies = await d.hire_mortal("effect.after")
    run = await d.start("go")
    await dies.died.wait()
    return run
