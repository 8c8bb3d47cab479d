from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.create import run_key
from outlast.agent.run import Run
from outlast.cell.claim import claim, read_history
from outlast.journal.stream import StoredRecord, Unknown
from outlast.kernel.error import NotFound, StoreCorrupt, StoreUnavailable
from tests.agent.desk import Desk, unknown_once

app: App[None] = App("t")


@app.agent
async def go(run: Run[None]) -> None:
    await run.signal("go")


async def made() -> tuple[Desk, str]:
    d = Desk(app, {}, append_patience_s=0.1)
    return d, await d.start("go")


async def taken(d: Desk, run: str, worker: str, *, solo: bool = False, agents: Any = None, wire: Any = None) -> Any:
    return await claim(d.platform(wire or d.store), run, worker, solo, app.agents if agents is None else agents)


async def state(d: Desk, run: str) -> str:
    entry = await d.store.entry(run)
    assert entry is not None
    return entry.state


async def test_a_claim_is_an_event_and_tells_the_index() -> None:
    d, run = await made()
    claimed = await taken(d, run, "w1")
    assert claimed.history.owner == "w1"
    assert claimed.history.claims == 1
    entry = await d.store.entry(run)
    assert entry is not None
    assert (entry.state, entry.owner) == ("running", "w1")
    assert claimed.head == await d.store.head(claimed.stream)


async def test_of_many_who_claim_at_once_exactly_one_wins() -> None:
    d, run = await made()

    class Slow:
        """All read the same before any of them appends."""

        def __getattr__(self, name: str) -> Any:
            return getattr(d.store, name)

        async def read(self, *arguments: Any) -> Any:
            found = await d.store.read(*arguments)
            await asyncio.sleep(0.01)
            return found

    claims = await asyncio.gather(*(taken(d, run, f"w{n}", wire=Slow()) for n in range(20)))
    won = [claimed for claimed in claims if claimed is not None]
    assert len(won) == 1
    assert (await d.types(run)).count("run.claimed") == 1


async def test_anybody_may_claim_at_any_time() -> None:
    d, run = await made()
    first, second = await taken(d, run, "w1"), await taken(d, run, "w2")
    assert second.history.claims == 2
    assert first.head.seq < second.head.seq


async def test_there_is_nothing_to_claim_where_there_is_no_run_or_it_has_ended() -> None:
    d, run = await made()
    assert await taken(d, "run_none", "w") is None
    async with d:
        await d.hire()
        await d.control.cancel(run)
        await d.until(run)
        assert await taken(d, run, "w") is None


async def test_fruitless_claims_lead_to_a_trial_and_then_to_quarantine() -> None:
    d, run = await made()
    for n in range(3):
        assert (await taken(d, run, f"w{n}")).history.fruitless == n + 1
    assert await taken(d, run, "w3") is None
    assert await state(d, run) == "trial"
    assert await taken(d, run, "w4") is None
    assert (await d.types(run)).count("run.trial") == 1, "it is asked for once"
    assert await taken(d, run, "solo", solo=True) is not None
    assert await taken(d, run, "w5") is None
    assert await state(d, run) == "trial", "one trial may have been ended from outside"
    assert await taken(d, run, "solo2", solo=True) is not None
    assert await taken(d, run, "w6") is None
    assert await state(d, run) == "quarantined"
    view = await d.control.view(run)
    assert view.state == "quarantined"
    assert "5 workers died or hung with it, 2 of them alone with it" in view.reason


async def test_a_quarantined_run_is_redriven() -> None:
    d, run = await made()
    for n in range(4):
        await taken(d, run, f"w{n}")
    for n in range(2):
        await taken(d, run, f"solo{n}", solo=True)
        await taken(d, run, f"after{n}")
    async with d:
        await d.hire()
        await d.control.signal(run, "go")
        await asyncio.sleep(0.1)
        await d.until(run, "quarantined")
        await d.control.redrive(run)
        assert (await d.until(run, "completed")).state == "completed"


async def test_an_innocent_run_outlives_a_trial_that_was_ended_from_outside() -> None:
    d, run = await made()
    for n in range(4):
        await taken(d, run, f"w{n}")
    await taken(d, run, "killed", solo=True)
    async with d:
        await d.hire()
        assert await state(d, run) == "running"
        d.ring(run)
        await d.until(run, "parked")
        await d.control.signal(run, "go")
        assert (await d.until(run)).state == "completed"


async def test_any_progress_clears_the_suspicion() -> None:
    d, run = await made()
    for _ in range(3):
        for n in range(2):
            await taken(d, run, f"w{n}")
        async with Desk(app, {}) as other:
            other.store = d.store
            other.control = Control(other.platform(d.store), app)
            name = await other.hire()
            other.ring(run)
            await other.until(run, "parked")
            other.kill(name)
        assert "run.trial" not in await d.types(run)


async def test_a_run_of_an_unknown_agent_is_held_and_goes_on_when_it_is_back() -> None:
    d, run = await made()
    assert await taken(d, run, "w", agents={}) is None
    assert await state(d, run) == "held"
    assert "its agent 'go' is not in the app that runs now" in (await d.control.view(run)).reason
    assert await taken(d, run, "w", agents={}) is None
    await d.control.redrive(run)
    entry = await d.store.entry(run)
    assert entry is not None
    assert entry.due(d.clock.now())
    assert await taken(d, run, "w", agents={}) is None
    entry = await d.store.entry(run)
    assert entry is not None
    assert not entry.due(d.clock.now()), "it does not ring for ever"
    await d.control.redrive(run)
    assert await taken(d, run, "w") is not None


async def test_a_claim_of_unknown_outcome_is_settled() -> None:
    d, run = await made()
    await d.hire()
    for applied in (False, True):
        wire = d.wires["worker-1"]
        wire.fault = unknown_once(1, applied, d.store)
        claimed = await taken(d, run, "w", wire=wire)
        assert claimed.head == await d.store.head(claimed.stream)
    assert (await d.types(run)).count("run.claimed") == 2
    await d.__aexit__()


async def test_a_claim_that_lands_late_is_one_that_others_see() -> None:
    d, run = await made()
    await d.hire()
    wire = d.wires["worker-1"]
    late: list[Any] = []

    async def fault(append: Any) -> Any:
        late.append(append)
        return Unknown("lost")

    wire.fault = fault
    with pytest.raises(StoreUnavailable):
        await taken(d, run, "late", wire=wire)
    await d.store.append(late[0])
    claimed = await taken(d, run, "w2")
    assert claimed.history.claims == 2
    await d.__aexit__()


async def test_a_history_that_is_not_what_was_written_is_refused() -> None:
    d, run = await made()
    await taken(d, run, "w")
    records = d.store._streams[run_key(d.platform(d.store), run)]
    first = records[0]
    records[0] = StoredRecord(first.seq, first.count, first.body.replace(b'"go"', b'"no"'), first.hash)
    with pytest.raises(StoreCorrupt, match="are not what was written: see `outlast audit verify`"):
        await taken(d, run, "w2")
    records[0] = first
    del records[0]
    with pytest.raises(StoreCorrupt):
        await taken(d, run, "w2")


async def test_a_history_of_no_run_is_not_found() -> None:
    d, _ = await made()
    with pytest.raises(NotFound):
        await read_history(d.platform(d.store), "run_none")


async def test_a_history_is_folded_up_to_its_claim() -> None:
    d, run = await made()
    history = (await taken(d, run, "w")).history
    assert isinstance(history.created, ev.RunCreated)
    assert history.created.agent == "go"
    assert history.events == 2
