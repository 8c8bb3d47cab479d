"""The kill switch of an agent, seen from `Control`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.control import Control, Started
from outlast.agent.mail import read_inbox
from outlast.agent.run import Run
from outlast.agent.switch import switch
from outlast.cell.sweep import Sweep
from outlast.journal.index import Behind
from outlast.kernel.error import Conflict
from tests.agent.desk import desk


async def test_a_known_key_gives_its_run_also_while_the_agent_is_stopped() -> None:
    app: App[None] = App("stopped")

    @app.agent
    async def idle(run: Run[None]) -> None:
        return None

    async with desk(app) as d:
        before = await d.control.start("idle", key="one")
        await d.control.stop_agent("idle", "maintenance")
        assert await d.control.start("idle", key="one") == Started(before.run, False)
        with pytest.raises(Conflict, match="maintenance"):
            await d.control.start("idle", key="two")


class Lagging:
    """An index whose lists come from a copy that has heard of nothing yet, unless a fresh one is asked for."""

    def __init__(self, behind: MemoryStore) -> None:
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def list(self, *, fresh: bool = False, **filters: Any) -> Any:
        return await self._behind.list(**filters) if fresh else Behind([], 9.0)


async def test_who_resumes_an_agent_finds_its_held_runs_though_a_replica_does_not_know_them_yet() -> None:
    app: App[None] = App("lagging")

    @app.tool(effect="pure")
    async def one() -> int:
        return 1

    @app.agent
    async def counts(run: Run[None]) -> int:
        await run.signal("go", int)
        return await one()

    async with desk(app) as d:
        run = await d.start("counts")
        await d.until(run, "parked")
        await d.control.stop_agent("counts", "maintenance")
        await d.control.signal(run, "go", 1)
        await d.until(run, "held")
        lagging: Any = Lagging(d.store)
        behind = Control(dataclasses.replace(d.control.platform, index=lagging), app)
        assert await behind.resume_agent("counts") == 1
        await d.until(run, "completed")


class Frozen:
    """An index that knows one entry."""

    def __init__(self, behind: MemoryStore, entry: Any) -> None:
        self._behind = behind
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def entry(self, run: str) -> Any:
        return self._entry


async def test_a_run_that_was_being_held_while_its_agent_was_resumed_is_let_go_by_the_sweep() -> None:
    app: App[None] = App("missed")

    @app.tool(effect="pure")
    async def one() -> int:
        return 1

    @app.agent
    async def counts(run: Run[None]) -> int:
        await run.signal("go", int)
        return await one()

    async with desk(app) as d:
        run = await d.start("counts")
        await d.until(run, "parked")
        await d.control.stop_agent("counts", "maintenance")
        await d.control.signal(run, "go", 1)
        await d.until(run, "held")
        assert not await Sweep(d.control.platform, d.reports.append).mend(run), "its agent is stopped"
        await switch(d.control.platform, "counts", ev.AgentResumed())
        held = await d.store.entry(run)
        stale: Any = Frozen(d.store, held)
        both = [Sweep(dataclasses.replace(d.control.platform, index=stale), d.reports.append) for _ in range(2)]
        assert [await sweep._released(run) for sweep in both] == [True, True], "neither sees what the other one did"
        await d.until(run, "completed")
        letters, _ = await read_inbox(d.control.platform, run)
        assert [type(letter.mail) for letter in letters] == [ev.MailSignal, ev.MailRedrive], "it is told once"
        assert d.reports == []
