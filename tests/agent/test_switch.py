"""The kill switch's stream: the last word counts, whoever else speaks at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.switch import agent_key, read_stopped, stopped_reason, switch
from outlast.journal.stream import Conflicted
from outlast.kernel.error import Conflict, UsageError
from tests.agent.desk import Desk, Wire, unknown_once

app: App[None] = App("t")


async def test_the_last_word_counts() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    assert await stopped_reason(platform, "go") is None
    for n in range(3):
        await switch(platform, "go", ev.AgentStopped(f"reason {n}"))
        assert await stopped_reason(platform, "go") == f"reason {n}"
    await switch(platform, "go", ev.AgentResumed())
    assert await stopped_reason(platform, "go") is None


async def test_only_the_stopped_ones_are_named_with_their_reasons() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    await switch(platform, "one", ev.AgentStopped("why"))
    await switch(platform, "two", ev.AgentStopped("why not"))
    await switch(platform, "two", ev.AgentResumed())
    assert await read_stopped(platform, ["one", "two", "three"]) == {"one": "why"}


async def test_many_who_switch_at_once_all_have_their_word_recorded() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    await asyncio.gather(*(switch(platform, "go", ev.AgentStopped(str(n))) for n in range(20)))
    key = agent_key(platform, "go")
    records = await d.store.read(key, 0, 100)
    said = [event.reason for record in records for event in ev.AGENT.read(key, record).events]  # type: ignore[union-attr]
    assert sorted(said, key=int) == [str(n) for n in range(20)]


@pytest.mark.parametrize("applied", [True, False])
async def test_a_word_of_unknown_outcome_is_recorded_once(applied: bool) -> None:
    d = Desk(app, {})
    wire = Wire(d.store)
    wire.fault = unknown_once(1, applied, d.store)
    platform = d.platform(wire)
    await switch(platform, "go", ev.AgentStopped("once"))
    assert len(await d.store.read(agent_key(platform, "go"), 0, 100)) == 1


async def test_a_switch_that_never_gets_its_turn_gives_up() -> None:
    d = Desk(app, {})
    wire = Wire(d.store)

    async def fault(append: Any) -> Any:
        return Conflicted(await d.store.head(append.stream))

    wire.fault = fault
    with pytest.raises(Conflict, match="too many are switching it at once; try again"):
        await switch(d.platform(wire), "go", ev.AgentStopped("never"))


async def test_a_name_that_is_no_agent_is_refused() -> None:
    d = Desk(app, {})
    with pytest.raises(UsageError):
        await stopped_reason(d.platform(d.store), "../etc")
