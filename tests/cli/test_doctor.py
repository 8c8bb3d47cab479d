"""What the doctor finds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.platform import open_direct_platform
from outlast.cli import check
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.publication import cursor_stream
from outlast.journal.record import make_append
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Applied, StreamKey
from tests.cli.conftest import Said

APP = "import outlast\napp = outlast.App('tests')\n@app.agent\nasync def one(run: outlast.Run) -> int:\n    return 1\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "outlast.yaml").write_text("server: {listen: 127.0.0.1:0}\n")
    return tmp_path


def found(cli: Callable[..., Said], home: Path) -> tuple[int, dict[str, Any]]:
    said = cli("doctor", "--json", "--home", home)
    assert said.document["ok"] == (said.code == 0)
    return said.code, {entry["name"]: entry for entry in said.document["checks"]}


def test_a_healthy_project_passes_and_nothing_is_left_behind(cli: Callable[..., Said], home: Path) -> None:
    before = sorted(home.iterdir())
    code, checks = found(cli, home)
    assert code == 0, checks
    assert {"python", "sqlite", "project", "permissions", "file system", "disk", "sync", "address", "app"} <= set(
        checks
    )
    assert "one" in checks["app"]["found"]
    assert "ms for a durable write" in checks["sync"]["found"]
    assert [path for path in sorted(home.iterdir()) if path.name != "__pycache__"] == before


def test_people_get_a_line_for_each_and_what_to_do(cli: Callable[..., Said], home: Path) -> None:
    (home / "app.py").write_text("import nothing_of_the_kind\n")
    said = cli("doctor", "--home", home)
    assert said.code == 1
    assert "failed  app" in said.out
    assert "No module named 'nothing_of_the_kind'" in said.out


def test_without_a_project_the_machine_is_checked_and_the_rest_fails(
    cli: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli("doctor", "--json")
    assert said.code == 1
    assert said.document["checks"][-1]["name"] == "project"
    assert "outlast init" in said.document["checks"][-1]["advice"]


@pytest.mark.parametrize(
    ("yaml", "name", "advice"),
    [
        ("nam: x", "outlast.yaml", "did you mean 'name'"),
        ("server: {token: env:NOT_SET_ANYWHERE}", "secrets", "NOT_SET_ANYWHERE is not set"),
        ("models: {w: {endpoints: [{name: a, url: 'http://h/v1', model: m, key: file:k}]}}", "secrets", "no such file"),
        ("agents: {two: {}}", "app", "agents.two is not an agent"),
        ("app: other:app", "app", "there is no"),
    ],
)
def test_what_is_wrong_in_the_yaml_fails_its_own_check(
    cli: Callable[..., Said], home: Path, yaml: str, name: str, advice: str
) -> None:
    (home / "outlast.yaml").write_text(yaml)
    code, checks = found(cli, home)
    assert code == 1
    assert checks[name]["status"] == "failed"
    assert advice in checks[name]["advice"]


def test_a_port_in_use_fails(cli: Callable[..., Said], home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (home / "outlast.yaml").write_text(f"server: {{listen: 127.0.0.1:{taken.getsockname()[1]}}}\n")
        code, checks = found(cli, home)
    assert code == 1
    assert "address already in use" in checks["address"]["found"]


def test_an_import_that_kills_its_process_or_never_ends_is_told(
    cli: Callable[..., Said], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "app.py").write_text("import os\nos._exit(3)\n")
    assert "ended with status 3" in found(cli, home)[1]["app"]["advice"]
    monkeypatch.setattr(check, "app_import_timeout_s", 1.0)
    (home / "app.py").write_text("import threading\nthreading.Event().wait(30)\n")
    assert "was not imported within 1s" in found(cli, home)[1]["app"]["found"]


def test_a_state_directory_that_others_can_read_is_a_warning(cli: Callable[..., Said], home: Path) -> None:
    (home / ".outlast").mkdir(mode=0o755)
    (home / ".outlast").chmod(0o755)
    code, checks = found(cli, home)
    assert code == 0
    assert checks["permissions"]["status"] == "warning"
    assert "chmod 700" in checks["permissions"]["advice"]


def test_little_space_fails_and_less_than_a_gigabyte_is_a_warning(
    cli: Callable[..., Said], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "disk_bytes_low", 1 << 60)
    assert found(cli, home)[1]["disk"]["status"] == "warning"
    monkeypatch.setattr(check, "disk_bytes_min", 1 << 60)
    assert found(cli, home)[1]["disk"]["status"] == "failed"


def test_how_far_events_are_published_is_told(cli: Callable[..., Said], home: Path) -> None:
    publish = "publish: {eventbridge: decisions, region: eu-central-1}"
    (home / "outlast.yaml").write_text(f"server: {{listen: 127.0.0.1:0}}\nstores: {{journal: {{{publish}}}}}\n")
    assert found(cli, home)[1]["events to decisions"]["found"] == "nothing has run yet"
    asyncio.run(runs_that_nobody_heard_of(home, published=1, others=2))
    code, checks = found(cli, home)
    assert code == 0
    assert checks["events to decisions"]["status"] == "warning"
    assert "of the 3 newest runs that have ended, 2 are not wholly published" in checks["events to decisions"]["found"]


async def runs_that_nobody_heard_of(home: Path, published: int, others: int) -> None:
    """Runs that ended long ago, with cursors of an outbox for so many of them."""
    async with open_direct_platform(home, Blueprint()) as platform:
        for number in range(published + others):
            stream = str(StreamKey("run", f"r{number}", platform.store.lineage))
            hint = HintPatch(f"r{number}", state="completed", created_at=1.0, updated_at=1.0)
            append = make_append(stream, genesis(stream), "a", 1.0, [{"type": "x"}], hint)
            outcome = await platform.store.append(append)
            assert isinstance(outcome, Applied)
            if number < published:
                head = outcome.head
                await platform.snapshots.save(Snapshot(cursor_stream(stream), head.seq, head.hash, 1, stream.encode()))
