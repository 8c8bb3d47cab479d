"""The support desk's agent, in this process: every ticket, and a death between the refund and its record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.local.artifact import artifacts_of, is_present, minilm, models_directory
from outlast.adapters.scripted.endpoint import Scripted
from outlast.drill.oracle import Facts, Submission, judge, read_ledger
from outlast.drill.workload import Case, load_cases
from tests.agent.desk import At, desk
from tests.examples.conftest import DESK, Load

pulled = all(is_present(artifact, models_directory()) for artifact in artifacts_of(minilm))
embeddings = pytest.mark.skipif(not pulled, reason="the embedding model is not here: outlast model pull")


@pytest.fixture(params=["keywords", pytest.param("embeddings", marks=[pytest.mark.real_model, embeddings])])
def labelled_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    if request.param == "keywords":
        monkeypatch.setenv("OUTLAST_MODELS", str(tmp_path / "no models"))
    return str(request.param)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SUPPORT_DESK_LEDGER", str(tmp_path / "ledger.sqlite"))
    return tmp_path / "ledger.sqlite"


def ticket(case: Case) -> dict[str, Any]:
    return {"ticket": {"id": case.id, "customer": case.customer, "text": case.text}}


async def test_every_ticket_gets_its_label_and_every_refund_that_is_due_and_no_other(
    load: Load, ledger: Path, labelled_by: str
) -> None:
    app = load("app").app
    cases = load_cases(DESK / "tickets.jsonl")
    async with desk(app, workers=2, endpoints={"writer": Scripted()}) as cell:
        runs = {case.id: await cell.start("support", ticket(case), key=case.id) for case in cases}
        views = {case.id: await cell.until(runs[case.id], deadline_s=60) for case in cases}
    judgement = judge(
        Facts(
            submissions=[Submission(case.id, case.refunds, (runs[case.id],)) for case in cases],
            ledger=read_ledger(ledger),
            answers={view.run: view.state for view in views.values()},
        )
    )
    assert judgement.findings == ()
    assert judgement.verdict == "passed"
    assert judgement.effects_attempted == judgement.effects_expected == sum(len(case.refunds) for case in cases)
    replies = [views[case.id].result for case in cases]
    assert {reply["labelled_by"] for reply in replies} == {labelled_by}
    assert [reply["refunded"] for reply in replies] == [case.refunds for case in cases]
    right = sum(reply["label"] == case.label for reply, case in zip(replies, cases, strict=True))
    assert right >= 0.9 * len(cases)
    assert all(reply["text"] for reply in replies)


async def test_a_worker_that_dies_between_refund_and_record_leaves_one_booking(load: Load, ledger: Path) -> None:
    module = load("app")
    case = next(case for case in load_cases(DESK / "tickets.jsonl") if len(case.refunds) == 1)
    async with desk(module.app, workers=0, endpoints={"writer": Scripted()}) as cell:
        died = asyncio.Event()

        def die(subject: str) -> None:
            if subject == "refund":
                cell.kill(first)
                died.set()

        first = await cell.hire(At("effect.after", die))
        run = await cell.start("support", ticket(case))
        await asyncio.wait_for(died.wait(), 20)
        await cell.hire()
        await cell.take_over(first)
        view = await cell.until(run, deadline_s=20)
        events = await cell.control.events(run)
    assert view.state == "completed"
    assert view.result["refunded"] == case.refunds
    assert [event.data["by"] for event in events if event.type == "step.done" and event.data["name"] == "refund"] == [
        "verify"
    ]
    found = read_ledger(ledger)
    assert len(found.bookings) == len(found.attempts) == 1


async def test_a_worker_that_dies_before_the_refund_leaves_one_booking_too(load: Load, ledger: Path) -> None:
    module = load("app")
    case = next(case for case in load_cases(DESK / "tickets.jsonl") if len(case.refunds) == 1)
    async with desk(module.app, workers=0, endpoints={"writer": Scripted()}) as cell:
        died = asyncio.Event()

        def die(subject: str) -> None:
            cell.kill(first)
            died.set()
            raise ConnectionError("the process is gone before the effect begins")

        first = await cell.hire(At("intent.after", die))
        run = await cell.start("support", ticket(case))
        await asyncio.wait_for(died.wait(), 20)
        await cell.hire()
        await cell.take_over(first)
        view = await cell.until(run, deadline_s=20)
    assert view.state == "completed"
    assert len(read_ledger(ledger).bookings) == 1
