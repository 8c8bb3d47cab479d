"""What is predicted, held against the running examples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.drill.prediction.experiment import Trial, Verification, agreement, agreement_min, verify
from outlast.drill.prediction.shown import evidence_of
from outlast.drill.stage import example_directory

DESK = {"support", "journal", "front", "writer.first", "helper.left", "writer"}
INTAKE = {"intake", "journal", "documents", "preprocessing", "extractions", "register", "reader.first", "reader"}


def trial(predicted: tuple[str, ...], observed: tuple[str, ...], signals: int = 1, lost: int = 0) -> Trial:
    return Trial(
        component="a", killed=("a",), predicted=predicted, observed=observed, signals=signals, acknowledged=2, lost=lost
    )


def test_agreement_is_precision_and_recall() -> None:
    assert agreement([trial(("b", "c"), ("b",))]) == (0.5, 1.0)
    assert agreement([trial(("b",), ("b", "c"))]) == (1.0, 0.5)
    assert agreement([trial((), ())]) == (1.0, 1.0)


def test_a_trial_that_killed_nothing_proves_nothing() -> None:
    nothing = Verification(trials=(trial((), (), signals=0),), precision=1.0, recall=1.0)
    assert not nothing.agrees
    assert [one.verdict for one in evidence_of(nothing, 1.0)] == ["invalid"]


def test_lost_work_is_no_agreement_and_evidence_of_the_worst_kind() -> None:
    lossy = Verification(trials=(trial((), (), lost=1),), precision=1.0, recall=1.0)
    assert not lossy.agrees
    assert [(one.verdict, one.passed, one.rpo_s) for one in evidence_of(lossy, 1.0)] == [("failed", False, None)]


def test_work_that_failed_was_not_lost_and_is_no_evidence_that_the_loss_is_survived() -> None:
    one = msgspec.structs.replace(trial(("b",), ("b",)), failed=2)
    failing = Verification(trials=(one,), precision=1.0, recall=1.0)
    assert failing.agrees
    assert [one.verdict for one in evidence_of(failing, 1.0)] == ["failed"]


@pytest.mark.crash
@pytest.mark.slow(45)
@pytest.mark.timeout(600)
async def test_what_is_affected_is_what_was_predicted() -> None:
    found = await verify(SystemClock(), lambda _: None)
    assert found.agrees, "\n".join(map(str, found.trials))
    assert {one.component for one in found.trials} >= DESK
    assert any(one.observed for one in found.trials)
    assert all(one.acknowledged for one in found.trials)
    assert found.lost == 0
    assert {one.subject for one in evidence_of(found, 1.0) if one.verdict != "passed"} == {"writer"}  # none writes then


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_circle_nothing_is_shown_then_it_is_verified_then_it_is_met_by_drill(tmp_path: Path) -> None:
    copy = tmp_path / "intake"
    ignored = shutil.ignore_patterns(".outlast", "__pycache__")
    shutil.copytree(example_directory("document_intake"), copy, ignore=ignored)
    file = str(copy / "outlast.yaml")

    def said(*arguments: str) -> Any:
        command = [sys.executable, "-m", "outlast", "assess", "--json", "--fail-on", "never", "-f", file, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=550)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def statuses() -> dict[str, str]:
        found = said()["promises"]
        return {f"{one['measure']} {one['disruption']}": one["status"] for one in found if one["disruption"]}

    assert set(statuses().values()) == {"met by design"}
    shown = said("--verify")
    assert shown["agrees"]
    assert min(shown["precision"], shown["recall"]) >= agreement_min
    assert {one["component"] for one in shown["trials"]} >= INTAKE
    assert [one["lost"] + one["failed"] for one in shown["trials"]] == [0] * len(shown["trials"])
    promised = ("rto process", "rpo process", "rto dependency", "rpo dependency")
    assert statuses() == dict.fromkeys(promised, "met by drill")
    assert all(json.loads(line)["version"] for line in (copy / ".outlast" / "evidence.jsonl").read_text().splitlines())
