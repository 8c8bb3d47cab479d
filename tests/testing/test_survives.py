from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import outlast
from outlast.testing import DidNotSurvive, Ledger, Scripted, survives

app = outlast.App("tests")
LEDGER = Ledger()


@app.tool(effect="once")
async def refund(ctx: outlast.Context[Any], order: str) -> str:
    await asyncio.sleep(1)
    LEDGER.book(ctx.key, order)
    await asyncio.sleep(1)
    return f"refunded {order}"


@refund.verify
async def refunded(ctx: outlast.Context[Any], order: str) -> outlast.Verdict[str]:
    return outlast.Done(f"refunded {order}") if LEDGER.has(ctx.key) else outlast.NotDone


@app.tool(effect="once")
def blind(ctx: outlast.Context[Any], order: str) -> str:
    """Has no verify."""
    LEDGER.book(ctx.key, order)
    return order


@app.tool(effect="pure")
async def sloppy(ctx: outlast.Context[Any], order: str) -> str:
    """Says that it changes nothing, and does."""
    LEDGER.book(ctx.key, order)
    return order


@app.tool(effect="once")
def guessing(ctx: outlast.Context[Any], order: str) -> str:
    LEDGER.book(ctx.key, order)
    return order


@guessing.verify
def guessed(ctx: outlast.Context[Any], order: str) -> outlast.Verdict[str]:
    return outlast.Done(order)  # whether it happened or not


@app.agent
async def careful(run: outlast.Run[Any], orders: list[str]) -> list[str]:
    await run.sleep("2h")
    found = await run.map(refund, orders, limit=2)
    answer = await run.model("writer", "Thank them")
    go = await run.signal("go", bool, timeout="1d", default=False)
    return [*found, answer.value, str(go), run.uuid().hex]


@app.agent
async def held(run: outlast.Run[Any]) -> str:
    return await blind("7")


@app.agent
async def careless(run: outlast.Run[Any]) -> str:
    return await sloppy("7")


@app.agent
async def lossy(run: outlast.Run[Any]) -> str:
    return await guessing("7")


@app.agent
async def telling_time(run: outlast.Run[Any]) -> dict[str, Any]:
    await refund("1")
    return {"at": run.now().isoformat(), "text": "done"}


@app.agent
async def unsteady(run: outlast.Run[Any]) -> float:
    await refund("1")
    return time.perf_counter()


@app.agent
async def family(run: outlast.Run[Any]) -> str:
    first, second = await run.gather(careful([]), refund("2"))
    return f"{len(first)} {second}"


@app.agent
async def failing(run: outlast.Run[Any]) -> None:
    await refund("1")
    raise RuntimeError("after the refund")


def test_a_careful_agent_survives_a_crash_at_every_position() -> None:
    done = survives(careful, [["1", "2", "3"]], effects=LEDGER, model=Scripted(["Thank you."]), signals={"go": True})
    assert len(done.positions) >= 12
    assert done.crashes == 2 * len(done.positions)
    assert "timer.fired at 1" in done.positions
    assert done.positions[-1] == "run.completed"


def test_children_and_branches_survive_too() -> None:
    survives(family, effects=LEDGER)


def test_an_agent_that_fails_fails_the_same_way() -> None:
    survives(failing, effects=LEDGER)


def test_a_doubled_effect_is_told_with_its_position() -> None:
    told = r"killed before append 2 of 3 \(step.done sloppy at 1\): .* happened 2 times"
    with pytest.raises(DidNotSurvive, match=told):
        survives(careless, effects=LEDGER)


def test_a_lost_effect_is_told() -> None:
    with pytest.raises(DidNotSurvive, match=r"killed after append 2 of 4 \(step.intended guessing at 1\): .* is lost"):
        survives(lossy, effects=LEDGER)


def test_a_run_that_needs_a_person_is_told_unless_that_is_fine() -> None:
    with pytest.raises(DidNotSurvive, match=r"waits for a person: step 1 \(blind\) .* the tool has no verify"):
        survives(held, effects=LEDGER)
    survives(held, effects=LEDGER, held_ok=True)


def test_a_result_that_another_try_does_not_give_is_told() -> None:
    with pytest.raises(DidNotSurvive, match="without a crash it is"):
        survives(unsteady, effects=LEDGER)


def test_what_of_a_result_must_be_the_same_can_be_said() -> None:
    survives(telling_time, effects=LEDGER, compare=lambda result: result["text"])


def test_a_model_can_be_made_for_each_crash() -> None:
    survives(careful, [[]], model=lambda: Scripted(["Thank you."]))


async def test_it_can_be_called_from_a_running_loop() -> None:
    survives(failing, effects=LEDGER)
