"""What drills have shown: written for good, read with suspicion, and counted by the assessment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.assessment.assess import assess
from outlast.assessment.describe import describe
from outlast.assessment.evidence import day_s
from outlast.assessment.precaution import Evidence
from outlast.blueprint.load import parse_placed
from outlast.drill.evidence import append, read, stamped, warnings_max
from outlast.drill.prediction.experiment import Trial, Verification
from outlast.drill.prediction.shown import evidence_of
from outlast.drill.report import Report
from outlast.drill.report import evidence_of as demo_evidence

NOW = 1_700_000_000.0
PROMISING = b"""
outlast: 1
name: shop
objectives: {live: {survive: {process: {rto: 10s, rpo: 0s}}}}
agents: {helper: {class: live}}
"""


def result(**changes: Any) -> Evidence:
    given = {"drill": "d", "at": NOW, "passed": True, "disruption": "process", "subject": "helper", "rto_s": 2.0}
    return Evidence(**{**given, "rpo_s": 0.0, **changes})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".outlast" / "evidence.jsonl"


def test_results_are_added_at_the_end_and_nothing_is_changed(file: Path) -> None:
    append(file, [result(drill="one")])
    first = file.read_bytes()
    append(file, stamped([result(drill="two"), result(drill="three")], "shop", file.parent))
    assert file.read_bytes().startswith(first)
    found, warnings = read(file, "shop", NOW)
    assert [one.drill for one in found] == ["one", "two", "three"]
    assert warnings == ()
    assert json.loads(first)["v"] == 1
    assert found[1].version


def test_a_line_that_somebody_died_in_takes_no_other_along(file: Path) -> None:
    append(file, [result(drill="one")])
    with file.open("ab") as torn:
        torn.write(b'{"drill": "torn", "a')
    append(file, [result(drill="two")])
    found, warnings = read(file, "shop", NOW)
    assert [one.drill for one in found] == ["one", "two"]
    assert len(warnings) == 1
    assert f"{file}:2" in warnings[0]


def test_several_writers_lose_nothing(file: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from outlast.assessment.precaution import Evidence; "
        "from outlast.drill.evidence import append; "
        "[append(Path(sys.argv[1]), [Evidence(drill=sys.argv[2], at=1.0, passed=True)]) for _ in range(50)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(file), str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found, warnings = read(file, "shop", NOW)
    assert (len(found), warnings) == (150, ())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "malformed"),
        ('{"drill": 1}', "expected"),
        ("\xff\xfe", ""),
        (json.dumps({"drill": "d", "at": NOW + 3600, "passed": True}), "in the future"),
        (json.dumps({"drill": "d", "at": NOW, "passed": True, "v": 2}), "version 2"),
        (json.dumps({"drill": "d", "at": NOW, "passed": True, "rto_s": -1}), "negative"),
        (json.dumps({"drill": "d", "at": NOW, "passed": True, "verdict": "failed"}), "verdict is failed"),
        (json.dumps({"drill": "d" * 70_000, "at": NOW, "passed": True}), "bytes"),
    ],
)
def test_a_line_that_cannot_be_believed_is_named_and_does_not_count(file: Path, line: str, said: str) -> None:
    file.parent.mkdir()
    file.write_bytes(line.encode("latin-1") + b"\n")
    append(file, [result()])
    found, warnings = read(file, "shop", NOW)
    assert len(found) == 1
    assert len(warnings) == 1
    assert said in warnings[0]


def test_what_was_invalid_or_of_another_system_is_no_evidence(file: Path) -> None:
    append(file, [result(passed=False, verdict="invalid"), result(system="bank"), result(system="shop")])
    found, warnings = read(file, "shop", NOW)
    assert [one.system for one in found] == ["shop"]
    assert warnings == ()


def test_a_file_full_of_rubbish_is_told_in_a_few_lines_and_no_file_in_none(file: Path) -> None:
    assert read(file, "shop", NOW) == ((), ())
    file.parent.mkdir()
    file.write_bytes(b"rubbish\n" * 1_000)
    found, warnings = read(file, "shop", NOW)
    assert found == ()
    assert len(warnings) == warnings_max + 1
    assert "995 more" in warnings[-1]


def test_of_a_huge_file_the_end_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(file, [result(drill=f"d{number}") for number in range(100)])
    monkeypatch.setattr("outlast.drill.evidence.evidence_bytes_max", 2_000)
    found, warnings = read(file, "shop", NOW)
    assert 1 <= len(found) < 20
    assert found[-1].drill == "d99"
    assert "only its end" in warnings[0]


def test_a_demo_that_killed_nobody_shows_nothing() -> None:
    def told(**changes: Any) -> Evidence:
        empty = {field.name: 0 for field in msgspec.structs.fields(Report)}
        return demo_evidence(Report(**{**empty, "verdict": "passed", "recovery_s_p99": 0.2, **changes}), NOW)

    assert (told(workers_killed=2).verdict, told(workers_killed=2).rto_s) == ("passed", 0.2)
    assert (told().verdict, told().passed) == ("invalid", False)
    assert told(workers_killed=2, verdict="failed").rpo_s is None


def statuses(file: Path, now: float) -> dict[str, str]:
    blueprint, places = parse_placed(PROMISING)
    found, _ = read(file, blueprint.name, now)
    promises = assess(describe(blueprint, places, "outlast.yaml", found), now).promises
    return {one.measure: f"{one.status}, {one.evidence_state}" for one in promises}


def test_the_whole_circle_nothing_shown_then_shown_then_expired_then_failed(file: Path) -> None:
    assert statuses(file, NOW) == {"rto": "met by design, none", "rpo": "met by design, none"}
    trial = Trial(
        component="helper", killed=("helper",), predicted=(), observed=(), signals=3, disruption="process", rto_s=2.5,
        acknowledged=4,
    )  # fmt: skip
    nothing_killed = Trial(component="helper", killed=("helper",), predicted=(), observed=(), signals=0)
    shown = Verification(trials=(trial, nothing_killed), precision=1.0, recall=1.0, system="shop", work="live")
    append(file, stamped(evidence_of(shown, NOW), shown.system, file.parent))
    assert [json.loads(line)["verdict"] for line in file.read_text().splitlines()] == ["passed", "invalid"]
    assert statuses(file, NOW + 60) == {"rto": "met by drill, current", "rpo": "met by drill, current"}
    assert statuses(file, NOW + 31 * day_s) == {"rto": "met by design, expired", "rpo": "met by design, expired"}
    append(file, [result(at=NOW + day_s, passed=False, verdict="failed", rto_s=60.0, rpo_s=None)])
    assert statuses(file, NOW + 2 * day_s) == {"rto": "missed by drill, failed", "rpo": "missed by drill, failed"}
