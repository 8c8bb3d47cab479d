from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

import outlast
from outlast.testing import Ledger, Scripted, run

app = outlast.App("tests")


@dataclass
class Reply:
    text: str
    orders: list[str]


@app.tool(effect="pure")
def lookup(order: str) -> str:
    """A synchronous tool."""
    return f"order {order}"


@app.agent
async def support(run: outlast.Run[Any], message: str, orders: list[str]) -> Reply:
    answer = await run.model("writer", f"Answer: {message}")
    found = await run.map(lookup, orders, limit=2)
    return Reply(answer.value, found)


@app.agent
async def patient(run: outlast.Run[Any]) -> float:
    before = run.now()
    await run.sleep("7d")
    return (run.now() - before) / timedelta(days=1)


@app.agent
async def asking(run: outlast.Run[Any]) -> list[Any]:
    return [
        await run.signal("go", str),
        await run.signal("go", str),
        await run.signal("never", timeout="3h", default=0),
    ]


@app.agent
async def failing(run: outlast.Run[Any]) -> None:
    raise ValueError("no such order")


@app.agent
async def parent(run: outlast.Run[Any]) -> str:
    return (await support("hello", orders=["7"])).orders[0]


@app.agent
async def counting(run: outlast.Run[Any], left: int) -> str:
    await lookup(str(left))
    if left:
        run.continue_as_new(left - 1)
    return "done"


@app.agent
async def with_deps(run: outlast.Run[dict[str, str]]) -> str:
    return run.deps["name"]


def test_a_result_has_its_annotated_type() -> None:
    finished = run(support, {"message": "hi", "orders": ["1", "2"]}, model=Scripted(["Good day."]))
    assert finished.result == Reply("Good day.", ["order 1", "order 2"])
    assert [step.name for step in finished.steps] == ["model:writer", "lookup", "lookup"]
    assert finished.events[0].type == "run.created"
    assert finished.events[-1].type == "run.completed"


def test_a_scripted_model_answers_where_none_is_given() -> None:
    assert "hi" in run(support, ["hi", []]).result.text


def test_days_pass_in_no_time() -> None:
    assert run(patient).result == pytest.approx(7.0, abs=0.01)


def test_signals_are_taken_in_order_and_the_others_time_out() -> None:
    assert run(asking, signals=[("go", "one"), ("go", "two")]).result == ["one", "two", 0]


def test_a_failed_run_has_an_error_and_no_result() -> None:
    finished = run(failing)
    assert (finished.state, finished.why) == ("failed", "ValueError: no such order")
    with pytest.raises(AssertionError, match="the run is failed, not completed: ValueError: no such order"):
        _ = finished.result


def test_child_runs_and_successors_belong_to_it() -> None:
    assert run(parent).result == "order 7"
    assert run(counting, 3).result == "done"


def test_dependencies_can_be_given() -> None:
    assert run(with_deps, deps={"name": "fake"}).result == "fake"


def test_an_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(outlast.TypeMismatch):
        run(support, {"message": 7})


async def test_it_can_be_called_from_a_running_loop() -> None:
    assert run(counting, 0).result == "done"
    with pytest.raises(outlast.TypeMismatch):
        run(support, {"message": 7})


def test_two_plays_are_the_same() -> None:
    one, other = (run(support, ["hi", ["1"]]) for _ in range(2))
    assert [(event.seq, event.at, event.type) for event in one.events] == [
        (event.seq, event.at, event.type) for event in other.events
    ]


def test_a_ledger_keeps_doubles_and_finds_by_key() -> None:
    ledger = Ledger()
    ledger.book("a", 1)
    ledger.book("a", 2)
    assert (ledger.has("a"), ledger.has("b"), ledger.find("a"), len(ledger.entries())) == (True, False, 1, 2)
    with pytest.raises(KeyError):
        ledger.find("b")
    ledger.clear()
    assert not ledger.entries()
