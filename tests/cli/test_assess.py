"""``outlast assess`` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlast.cli.main import main

GOOD = Path("tests/assessment/good.yaml").resolve()
BAD = Path("tests/assessment/bad.yaml").resolve()


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A directory with the bad blueprint alone: no app."""
    (tmp_path / "outlast.yaml").write_text(BAD.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def test_a_good_system_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", "-f", str(GOOD)]) == 0
    assert "met by design" in capsys.readouterr().out


def test_a_bad_one_fails_and_needs_no_app(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", "--home", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "OL-DAT-001" in out
    assert f"{bad}/outlast.yaml:" in out
    assert "missed by design" in out


@pytest.mark.parametrize(("fail_on", "code"), [("critical", 1), ("never", 0)])
def test_what_fails_is_said(bad: Path, fail_on: str, code: int) -> None:
    assert main(["assess", "--home", str(bad), "--fail-on", fail_on]) == code


def test_json_and_sarif_are_documents(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["assess", "--home", str(bad), "--json"])
    assert json.loads(capsys.readouterr().out)["counts"]["critical"] > 0
    main(["assess", "--home", str(bad), "--sarif"])
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"


def test_what_if_tells_the_story(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["assess", "--home", str(bad), "--what-if", "stock down"])
    out = capsys.readouterr().out
    assert "what if: dependency stock" in out
    assert "gate: down after 6s" in out
    assert "class live: down" in out


def test_a_fix_is_written_and_keeps_the_comments(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = bad / "outlast.yaml"
    before = file.read_text(encoding="utf-8")
    main(["assess", "--home", str(bad), "--apply", "OL-DAT-001", "--apply", "OL-QUE-003"])
    after = file.read_text(encoding="utf-8")
    assert before.count("#") == after.count("#")
    assert "keep: 14d" in after
    assert "OL-DAT-001" not in capsys.readouterr().out
    assert len(set(before.splitlines()) - set(after.splitlines())) == 1  # the line of the queue


def test_a_rule_without_a_finding_is_refused(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (bad / "outlast.yaml").read_bytes()
    assert main(["assess", "--home", str(bad), "--apply", "OL-XXX-001"]) == 2
    assert "OL-XXX-001" in capsys.readouterr().err
    assert (bad / "outlast.yaml").read_bytes() == before


def test_evidence_next_to_the_file_counts(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from outlast.adapters.host.clock import SystemClock

    (bad / ".outlast").mkdir()
    line = {"drill": "zone-off", "at": SystemClock().now() - 60, "passed": True, "disruption": "zone", "rto_s": 9.0}
    (bad / ".outlast" / "evidence.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    main(["assess", "--home", str(bad)])
    assert "met by drill" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-on", "worst"], "--fail-on"),
        (["--json", "--sarif"], "choose one"),
        (["--what-if", "zone nowhere down"], "no zone"),
        (["-f", "missing.yaml"], "is not there"),
    ],
)
def test_what_is_wrong_is_said(bad: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", "--home", str(bad), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_evidence_that_is_not_evidence_is_named_and_does_not_count(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bad / "drills.jsonl").write_text('{"drill": 1}\n', encoding="utf-8")
    main(["assess", "--home", str(bad), "--evidence", str(bad / "drills.jsonl")])
    said = capsys.readouterr()
    assert "drills.jsonl:1" in said.err
    assert "met by drill" not in said.out


def test_only_examples_can_be_verified(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", "--verify", "-f", str(bad / "outlast.yaml")]) == 2
    assert "document-intake" in capsys.readouterr().err
