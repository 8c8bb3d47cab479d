"""Backups and restores from the command line: what is said, as text and as JSON, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outlast.cli.exit import ExitCode
from tests.cli.conftest import Said

Cli = Callable[..., Said]


@pytest.fixture
def home(short_dir: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which something has run."""
    monkeypatch.chdir(short_dir)
    assert cli("init", "desk").code == 0
    home = short_dir / "desk"
    (home / "outlast.yaml").write_text("name: desk\nbackup: {journal: {places: {home: ../depot}, lock: 7d}}\n")
    assert cli("run", "support", "Refund order 1043, 80 EUR", "--home", home).code == 0
    return home


def taken(cli: Cli, home: Path, *more: str) -> Any:
    said = cli("backup", "--home", home, "--json", *more)
    assert said.code == 0, said.err
    return said.document


def test_a_backup_is_taken_listed_verified_and_restored(cli: Cli, home: Path) -> None:
    first = taken(cli, home)
    assert (first["kind"], first["number"]) == ("full", 1)
    assert first["locked_until"] > first["begun_at"] + 6 * 86400
    assert taken(cli, home)["kind"] == "increment"
    assert taken(cli, home, "--full")["kind"] == "full"
    listed = cli("backup", "list", "--home", home, "--json").document
    assert [one["number"] for one in listed["backups"]] == [1, 2, 3]
    assert "up to 20" in cli("backup", "list", "--home", home).out
    verified = cli("backup", "verify", "--from", home.parent / "depot")
    assert verified.code == 0
    assert verified.out.startswith("whole: 3 backups")
    other = home.parent / "other"
    restored = cli("restore", "--from", "depot", "--to", other, "--json")
    assert restored.code == 0
    assert restored.document["whole"]
    assert (other / "outlast.yaml.restored").read_text() == (home / "outlast.yaml").read_text()
    assert cli("audit", "verify", "--home", other).code == 0
    (other / "app.py").write_bytes((home / "app.py").read_bytes())
    runs = cli("runs", "--home", other, "--json").document
    assert [run["state"] for run in runs["runs"]] == ["completed"]
    again = cli("restore", "--from", "depot", "--to", other)
    assert again.code == ExitCode.CONFLICT
    assert "not empty" in again.err
    early = cli("restore", "--from", "depot", "--to", home.parent / "early", "--at", "2001-01-01T00:00:00Z")
    assert early.code == 0
    assert "0 events" in early.out or "began later" in early.err


def test_damage_fails_the_verification_and_is_named(cli: Cli, home: Path) -> None:
    taken(cli, home)
    segment = next((home.parent / "depot").glob("series_*/*/*.segment"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.chmod(0o644)
    segment.write_bytes(content)
    said = cli("backup", "verify", "--home", home)
    assert said.code == ExitCode.FAILED
    assert segment.name in said.out
    assert not cli("backup", "verify", "--home", home, "--json").document["whole"]
    said = cli("restore", "--from", "depot", "--to", home.parent / "other")
    assert said.code == ExitCode.FAILED
    assert segment.name in said.err
    said = cli("backup", "test", "--home", home)
    assert said.code == ExitCode.FAILED
    assert "could NOT be restored" in said.out
    checks = {check["name"]: check for check in cli("doctor", "--home", home, "--json").document["checks"]}
    assert checks["backups (home)"]["status"] == "failed"


def test_a_test_restore_leaves_evidence_and_nothing_else(cli: Cli, home: Path) -> None:
    taken(cli, home)
    said = cli("backup", "test", "--home", home, "--json")
    assert said.code == 0
    assert said.document["passed"]
    evidence = [json.loads(line) for line in (home / ".outlast/evidence.jsonl").read_text().splitlines()]
    assert evidence[0]["drill"] == "test-restore"
    assert evidence[0]["disruption"] == "corruption"
    assert evidence[0]["rto_s"] == said.document["took_s"]
    assert not list((home / ".outlast").glob("trial-*"))
    assert cli("assess", "--home", home, "--json").code in (0, 1)
    checks = {check["name"]: check for check in cli("doctor", "--home", home, "--json").document["checks"]}
    assert checks["backups (home)"]["status"] == "ok"
    assert "restored and verified" in checks["backups (home)"]["found"]


def test_pruning_is_only_said_until_it_is_wanted_and_locks_hold(cli: Cli, home: Path) -> None:
    for _ in range(3):
        taken(cli, home, "--full")
    said = cli("backup", "prune", "--home", home, "--keep", "0s", "--yes", "--json").document
    assert (said["backups"], said["kept"]) == ([], 3)
    (home / "outlast.yaml").write_text("name: desk\n")
    for _ in range(2):
        taken(cli, home, "--full", "--to", "../free")
    dry = cli("backup", "prune", "--home", home, "--from", "../free", "--keep", "0s")
    assert "would remove 1 backups" in dry.out
    done = cli("backup", "prune", "--home", home, "--from", "../free", "--keep", "0s", "--yes", "--json").document
    assert len(done["backups"]) == 1
    assert cli("backup", "verify", "--home", home, "--from", "../free").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["backup", "list", "--from", "nowhere"], ExitCode.OK, "no backup is there"),
        (["restore", "--from", "nowhere", "--to", "x"], ExitCode.NOT_FOUND, "no complete backup"),
        (["restore", "--from", "depot", "--to", "x", "--at", "yesterday"], ExitCode.USAGE, "not understood"),
        (["restore", "--from", "depot", "--to", "x", "--at", "2026-01-01T00:00:00"], ExitCode.USAGE, "with its zone"),
        (["restore", "--from", "s3://UPPER/x", "--to", "x"], ExitCode.USAGE, "not understood"),
        (["backup", "verify", "nonsense", "--from", "depot"], ExitCode.USAGE, "SERIES/NUMBER"),
    ],
)
def test_what_cannot_be_done_is_said(
    cli: Cli, short_dir: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: ExitCode, words: str
) -> None:
    monkeypatch.chdir(short_dir)
    said = cli(*arguments)
    assert said.code == code
    assert words in said.out + said.err
    assert not (short_dir / "nowhere").exists()


def test_a_project_that_says_no_place_is_told_how(cli: Cli, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short_dir / "app.py").write_text("")
    said = cli("backup", "--home", short_dir)
    assert said.code == ExitCode.USAGE
    assert "places" in said.err
