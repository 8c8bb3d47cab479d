"""Bits that rot in what is stored: detected, named, never acted on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.ending import last_event
from outlast.agent.mail import inbox_key
from outlast.agent.run import Run
from outlast.agent.switch import agent_key, stopped_reason, switch
from outlast.kernel.error import StoreCorrupt
from tests.agent.desk import desk


def rot(store: MemoryStore, stream: str, old: bytes, new: bytes) -> None:
    """Change bytes of the last record that holds `old`."""
    records = store.contents()[stream]
    index = max(place for place, record in enumerate(records) if old in record.body)
    body = records[index].body.replace(old, new)
    assert isinstance(records, list)
    records[index] = msgspec.structs.replace(records[index], body=body)


def waiting() -> App[None]:
    app: App[None] = App("t")

    @app.agent
    async def waits(run: Run[None]) -> Any:
        return await run.signal("go")

    return app


async def test_a_rotten_letter_is_not_acted_on_and_the_run_is_held() -> None:
    async with desk(waiting(), workers=0) as d:
        run = await d.start("waits", {})
        await d.control.signal(run, "go", 100)
        rot(d.store, inbox_key(d.control.platform, run), b"100", b"900")
        await d.hire()
        view = await d.until(run, "held")
        assert "its inbox cannot be read" in view.reason
        assert "not what was written" in view.reason
        assert "signal.consumed" not in await d.types(run)


async def test_a_rotten_ending_is_not_taken_for_a_result() -> None:
    async with desk(waiting()) as d:
        run = await d.start("waits", {})
        await d.control.signal(run, "go", 100)
        assert (await d.until(run, "completed")).result == 100
        stream = next(stream for stream in d.store.contents() if stream.startswith(f"run/{run}"))
        rot(d.store, stream, b"100", b"900")
        with pytest.raises(StoreCorrupt, match="not what was written"):
            await last_event(d.control.platform, run)


@pytest.mark.parametrize("switches", [1, 2, 3])
async def test_a_rotten_switch_is_not_taken_for_an_order(switches: int) -> None:
    async with desk(waiting(), workers=0) as d:
        for number in range(switches):
            await switch(d.control.platform, "waits", ev.AgentStopped(f"reason {number}"))
        assert await stopped_reason(d.control.platform, "waits") == f"reason {switches - 1}"
        rot(d.store, agent_key(d.control.platform, "waits"), b'"reason ', b'"season ')
        with pytest.raises(StoreCorrupt, match="not what was written"):
            await stopped_reason(d.control.platform, "waits")


async def test_with_a_rotten_switch_workers_start_and_its_agent_begins_nothing() -> None:
    app = waiting()

    @app.agent
    async def other(run: Run[None]) -> str:
        return "done"

    async with desk(app, workers=0) as d:
        run, fine = await d.start("waits", {}), await d.start("other", {})
        await switch(d.control.platform, "waits", ev.AgentStopped("reason"))
        rot(d.store, agent_key(d.control.platform, "waits"), b'"reason"', b'"season"')
        await d.hire()
        assert (await d.until(fine)).result == "done"
        view = await d.until(run, "held")
        assert "not what was written" in view.reason
        assert "signal.awaited" not in await d.types(run)


async def test_a_turn_is_refused_where_the_order_of_turns_is_rotten() -> None:
    app: App[None] = App("t")

    @app.agent
    async def talks(run: Run[None]) -> int:
        run.session.state["turns"] = run.session.state.get("turns", 0) + 1
        return run.session.state["turns"]

    async with desk(app) as d:
        assert (await d.until(await d.start("talks", {}, session="s"))).result == 1
        stream = next(stream for stream in d.store.contents() if stream.startswith("session/"))
        rot(d.store, stream, b'"run":"run_', b'"run":"ran_')
        with pytest.raises(StoreCorrupt, match="not what was written"):
            await d.start("talks", {}, session="s")
