"""The document intake, each dependency away in turn; and books that find what is planted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.assessment.impact import State
from outlast.drill.gate import Gate
from outlast.drill.guard import Guard
from outlast.drill.intake.book import Filing, Sent, wrong_marks
from outlast.drill.intake.document import document
from outlast.drill.intake.experiment import Experiment
from outlast.drill.intake.outage import bitten, outages
from outlast.drill.intake.report import Report, Row, evidence_of, observed, word_of
from outlast.drill.intake.stage import IntakeStage, example, marked
from outlast.drill.measure import Event
from outlast.drill.stage import example_directory

REGISTER_FROZEN = next(one for one in outages if one.name == "register SIGSTOP")


def event(at: float, type: str, **data: Any) -> Event:
    return Event(seq=1, at=at, type=type, data=data)


def sent(mark: str, degraded: bool = False, events: tuple[Event, ...] = ()) -> Sent:
    result = {"degraded": ["reader"] if degraded else []}
    return Sent(mark, "o", 1.0, run=mark, state="completed", result=result, events=events)


def test_what_waited_is_told_by_the_events_of_the_steps_that_wait() -> None:
    one = sent(
        "DOC-1",
        events=(
            event(1.0, "step.retried", place="1", name="fetch"),
            event(3.0, "step.retried", place="1", name="fetch"),
            event(5.0, "step.done", place="1", name="fetch"),
            event(6.0, "step.retried", place="2", name="preprocess"),
            event(7.0, "step.done", place="2", name="preprocess"),
            event(8.0, "step.intended", place="3", name="file"),
            event(8.5, "step.doubted", place="3"),
            event(9.0, "step.done", place="3", name="file"),
        ),
    )
    assert one.waited == {"documents": 4.0, "register": 0.5}
    assert sent("DOC-2").waited == {}


def test_marks_that_are_wrong_are_found() -> None:
    answered = {"preprocessing": {"DOC-1": 1, "DOC-2": 1, "DOC-4": 1}, "first": {"DOC-1": 1, "DOC-3": 1, "DOC-4": 1}}
    good = [sent("DOC-1"), sent("DOC-2", True), sent("DOC-3", True)]
    filings = [Filing("DOC-1", False), Filing("DOC-2", True), Filing("DOC-3", True)]
    assert wrong_marks(good, filings, answered) == []
    assert len(wrong_marks([sent("DOC-2")], filings, answered)) == 1  # was read without, and does not say so
    assert len(wrong_marks([sent("DOC-1", True)], filings, answered)) == 1  # says so, and was not
    assert len(wrong_marks([sent("DOC-4")], [Filing("DOC-4", True)], answered)) == 1  # the register says otherwise


def test_what_became_of_the_agent_is_a_word() -> None:
    events = (event(1.0, "step.retried", place="1", name="fetch"), event(2.0, "step.done", place="1"))
    waited = sent("DOC-1", events=events)
    assert observed([sent("DOC-2"), waited], 0) == "waiting"
    assert observed([sent("DOC-2", True), waited], 0) == "degraded"
    assert observed([sent("DOC-2")], 0) == "untouched"
    assert observed([sent("DOC-2")], 1) == "down"
    words = [word_of(state) for state in (State.UNTOUCHED, State.WEAKENED, State.DEGRADED, State.WAITING, State.DOWN)]
    assert words == ["untouched", "untouched", "degraded", "waiting", "down"]


def test_a_mark_stands_in_the_text_of_its_document() -> None:
    assert {marked(document(f"DOC-{n}", n).encode()) for n in range(7)} == {f"DOC-{n}" for n in range(7)}
    assert marked(b"nothing") == ""


def test_a_wire_that_nobody_asked_while_it_was_sick_has_not_bitten(tmp_path: Path) -> None:
    stage = IntakeStage(tmp_path, Guard(), SystemClock(), with_gates=False)
    stage.gates = {name: Gate(lambda: "", marked) for name in ("first", "spare")}
    both = next(one for one in outages if one.name == "reader 503")
    assert not bitten(both, stage, fell=True)
    stage.gates["first"].refused = 1
    assert not bitten(both, stage, fell=True)
    stage.gates["spare"].refused = 1
    assert bitten(both, stage, fell=True)
    assert not bitten(both, stage, fell=False)


def row(**changes: Any) -> Row:
    given: dict[str, Any] = {
        "name": "register SIGKILL", "subject": "register", "how": "SIGKILL", "bitten": True, "documents": 4,
        "affected": 4, "degraded": 0, "waited": 4, "waited_s_max": 1.0, "waited_s_total": 4.0, "reviewed": 0,
        "lost": 0, "doubled": 0, "away_s": 4.0, "first_success_s": None, "caught_up_s": 1.0, "whole_s": 2.0,
        "predicted": "waiting", "observed": "waiting",
    }  # fmt: skip
    return Row(**{**given, **changes})


def test_what_did_not_bite_is_no_evidence_and_what_lost_or_doubled_fails() -> None:
    report = Report(
        verdict="passed", findings=(), rows=(row(), row(bitten=False), row(lost=1), row(doubled=1), row(whole_s=None)),
        documents=1, completed=1, lost=0, filed=1, doubled=0, missing=0, degraded=0, marks_wrong=0,
        in_doubt_verified=1, journal_whole=True, elapsed_s=1.0,
    )  # fmt: skip
    assert [one.verdict for one in evidence_of(report, 1.0)] == ["passed", "invalid", "failed", "failed", "failed"]


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_each_dependency_is_away_and_no_document_is_lost_or_doubled(tmp_path: Path) -> None:
    told: list[str] = []
    report = await Experiment(tmp_path / "home", outages, SystemClock(), told.append, during=4).run()
    assert report.verdict == "passed", "\n".join(report.findings)
    assert (report.lost, report.doubled, report.missing, report.marks_wrong) == (0, 0, 0, 0)
    assert report.completed == report.filed == report.documents
    assert report.journal_whole
    rows = {one.name: one for one in report.rows}
    assert len(rows) == len(outages)
    for one in rows.values():
        assert one.bitten
        assert one.predicted == one.observed
        assert one.reviewed == one.degraded
    for name in ("documents SIGKILL", "register SIGKILL", "register SIGSTOP"):
        assert rows[name].waited > 0 == rows[name].degraded
        assert rows[name].first_success_s is None
    for name in ("preprocessing SIGSTOP", "reader.first 503", "reader 503"):
        assert rows[name].degraded > 0 == rows[name].waited
        assert rows[name].first_success_s is not None
    assert rows["extractions SIGKILL"].affected == 0
    assert report.in_doubt_verified > 0
    project = tmp_path / "home" / "intake"
    command = [sys.executable, "-m", "outlast", "graph", "--observed", "--json", "--home", str(project)]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    standings = {f"{one['source']} -> {one['target']}": one["standing"] for one in json.loads(seen.stdout)["edges"]}
    assert standings.pop("front -> reader") == "out of sight"
    assert len(standings) == 8
    assert set(standings.values()) == {"seen"}


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_verify_that_trusts_a_register_at_its_first_word_is_found_out(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    shutil.copytree(example_directory(example), planted, ignore=shutil.ignore_patterns("__pycache__", ".outlast"))
    text = (planted / "app.py").read_text()
    hasty = text.replace("    denied_s = 0.0\n", "    return outlast.NotDone\n", 1)
    assert hasty != text
    (planted / "app.py").write_text(hasty)
    report = await Experiment(
        tmp_path / "home", [REGISTER_FROZEN], SystemClock(), lambda _: None, during=2, source=planted
    ).run()
    assert report.verdict == "failed"
    assert report.doubled > 0
