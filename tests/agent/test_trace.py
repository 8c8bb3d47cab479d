"""Runs leave in their histories what they have asked, and a trace reads it from there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import outlast
from outlast.adapters.scripted.endpoint import Scripted
from outlast.agent import trace
from outlast.agent.trace import Trace, observe
from outlast.assessment.observed import Observation
from tests.agent.desk import Desk, desk

app = outlast.App[None]("traced")
store = outlast.Guard("store")
shaky = outlast.Guard("shaky", fallback=lambda: "instead")


async def fine() -> str:
    return "well"


async def bad() -> str:
    raise ConnectionError("away")


@app.tool(effect="pure")
async def reads() -> list[str]:
    return [(await store(fine)).value, (await shaky(bad)).value]


@app.tool(effect="pure", retry=2)
async def fails() -> str:
    return (await store(bad)).value


@app.tool(effect="idempotent")
def names(ctx: outlast.Context[Any]) -> None:
    ctx.uses("ledger")


@app.tool(effect="once")
async def acts() -> None:
    return None


@app.tool(effect="once")
async def doubtful() -> None:
    raise ConnectionError("who knows")


@doubtful.verify
async def _(ctx: outlast.Context[Any]) -> outlast.Verdict[None]:
    ctx.uses("bank")
    return outlast.Done(None)


@app.tool(effect="pure")
def quiet() -> int:
    return 1


@app.agent
async def child(run: outlast.Run[None]) -> None:
    await names()


@app.agent
async def parent(run: outlast.Run[None]) -> None:
    await reads()
    await quiet()
    await acts()
    await doubtful()
    await run.model("writer", "hello")
    try:
        await fails()
    except ConnectionError:
        pass
    await run.child(child)


async def looked(found: Desk, limit: int = 100) -> Observation:
    return (await observe(found.platform(found.store), limit)).observation("traced", 1.0)


async def test_each_thing_that_was_asked_is_an_edge_with_the_tool_that_asked() -> None:
    async with desk(app, endpoints={"writer": Scripted()}) as found:
        for _ in range(2):
            assert (await found.until(await found.start("parent"), deadline_s=20)).state == "completed"
        seen = await looked(found)
    assert {(one.source, one.target, one.kind, one.via) for one in seen.seen} == {
        ("parent", "journal", "journal", ()),
        ("parent", "store", "guard", ("reads", "fails")),
        ("parent", "shaky", "guard", ("reads",)),
        ("parent", "bank", "guard", ("doubtful",)),
        ("parent", "acts", "tool", ("acts",)),
        ("parent", "writer", "model", ()),
        ("parent", "child", "agent", ()),
        ("child", "journal", "journal", ()),
        ("child", "ledger", "guard", ("names",)),
    }
    assert {one.runs for one in seen.seen} == {2}
    assert (seen.runs, seen.whole) == (4, True)


async def test_only_the_newest_runs_are_looked_at_and_that_is_said() -> None:
    async with desk(app) as found:
        for _ in range(3):
            await found.until(await found.start("child"), deadline_s=20)
        assert (await looked(found, 2)).runs == 2
        assert not (await looked(found, 2)).whole
        assert (await looked(found, 3)).whole


def test_edges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "edges_max", 3)
    found = Trace()
    for number in range(10):
        found._note("a", f"b{number}", "guard", 1.0, "t")
    observation = found.observation("s", 1.0)
    assert (len(observation.seen), observation.whole) == (3, False)


async def test_outside_of_a_step_nothing_is_noted() -> None:
    assert (await store(fine)).value == "well"
    from outlast.kernel.use import note_use, used, uses_max

    assert used.get() is None
    names: list[str] = []
    token = used.set(names)
    for number in range(uses_max + 5):
        note_use(f"n{number}")
        note_use("n0")
    used.reset(token)
    assert len(names) == uses_max == len(set(names))
    await asyncio.sleep(0)
