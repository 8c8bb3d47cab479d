"""Runs that continue as new, and children that are not there yet, when workers die and people intervene in between."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.journal.index import HintPatch
from outlast.kernel.error import Conflict
from tests.agent.desk import desk


def looping() -> App[None]:
    app: App[None] = App("t")

    @app.agent
    async def loop(run: Run[None], left: int) -> Any:
        if left:
            run.continue_as_new(left - 1)
        return await run.signal("go")

    return app


async def test_a_cancel_between_successor_and_end_reaches_the_successor() -> None:
    async with desk(looping(), workers=0) as d:
        dies = await d.hire_mortal("run.end.before")
        run = await d.start("loop", 1)
        await dies.died.wait()
        await d.control.cancel(run)
        await d.replace(dies)
        view = await d.until(run)
        assert view.state == "continued"
        assert (await d.until(view.continued_to)).state == "cancelled"


async def test_a_signal_to_a_run_that_has_handed_over_is_for_its_successor() -> None:
    async with desk(looping(), workers=0) as d:
        dies = await d.hire_mortal("run.end.before")
        run = await d.start("loop", 1)
        await dies.died.wait()
        await d.control.signal(run, "go", 7, id="seven")
        await d.control.signal(run, "go", 7, id="seven")
        await d.replace(dies)
        view = await d.until(run)
        assert (await d.until(view.continued_to)).result == 7


async def test_who_is_late_for_a_run_that_continued_is_told_where_it_is_now() -> None:
    async with desk(looping()) as d:
        first = await d.start("loop", 2)
        second = (await d.until(first)).continued_to
        third = (await d.until(second)).continued_to
        with pytest.raises(Conflict, match=f"run {first} has ended: it is continued as {third}$"):
            await d.control.signal(first, "go", 7)
        with pytest.raises(Conflict, match=f"it is continued as {third}$"):
            await d.control.cancel(second)
        await d.control.signal(third, "go", 7)
        assert (await d.until(third)).result == 7


async def test_a_signal_that_was_taken_is_not_handed_on_when_it_is_sent_again() -> None:
    app: App[None] = App("t")

    @app.agent
    async def loop(run: Run[None], left: int) -> Any:
        value = await run.signal("go", timeout=0.2 if not left else 30.0, default=None)
        if left:
            run.continue_as_new(left - 1)
        return value

    async with desk(app, workers=0) as d:
        dies = await d.hire_mortal("run.end.before")
        run = await d.start("loop", 1)
        await d.control.signal(run, "go", 1, id="one")
        await dies.died.wait()
        await d.control.signal(run, "go", 1, id="one")
        await d.replace(dies)
        view = await d.until(run)
        assert (await d.until(view.continued_to)).result is None


async def test_cancelling_a_parent_whose_child_was_never_made_leaves_no_phantom() -> None:
    app: App[None] = App("t")

    @app.agent
    async def child(run: Run[None]) -> None:
        await run.signal("never")

    @app.agent
    async def parent(run: Run[None]) -> None:
        await child()

    async with desk(app, workers=0) as d:
        dies = await d.hire_mortal("append.after")
        run = await d.start("parent", {})
        await dies.died.wait()
        await d.control.cancel(run)
        await d.replace(dies)
        assert (await d.until(run)).state == "cancelled"
        assert [entry.run for entry in d.store.entries()] == [run]


async def test_resuming_an_agent_passes_over_a_run_that_is_not_held_any_more() -> None:
    app: App[None] = App("t")

    @app.agent
    async def quick(run: Run[None]) -> int:
        return 1

    async with desk(app) as d:
        run = await d.start("quick", {})
        await d.until(run, "completed")
        d.store.patch(HintPatch(run, state="held", reason="agent quick is stopped: by hand"))
        assert await d.control.resume_agent("quick") == 0
