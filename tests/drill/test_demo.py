"""The whole demo with real processes: it passes, it fails when it must, and it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host import table
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.drill.demo import Options, Status, run_demo
from outlast.drill.stage import example_directory
from outlast.kernel.error import ConfigurationError

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(400)]
Until = Callable[..., Awaitable[None]]
PROMISED = {
    *("runs_total", "runs_completed", "runs_lost", "effects_expected", "effects_done", "effects_duplicated"),
    *("effects_missing", "in_doubt_verified", "workers_killed", "workers_frozen", "supervisor_restarts"),
    *("recovery_s_p50", "recovery_s_p99", "elapsed_s"),
}


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keywords instead of embeddings: workers start sooner."""
    monkeypatch.setenv("OUTLAST_MODELS", str(tmp_path / "no models"))


def left_behind(home: Path) -> list[int]:
    """Processes whose command line names the demo's directory."""
    found: list[int] = []
    for process in table.everybody():
        try:
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if str(home).encode() in command and not process.zombie:
            found.append(process.pid)
    return found


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "outlast", "demo", "--model", "scripted", *arguments]


def call(arguments: Sequence[str]) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=350)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_everything_is_killed_and_nothing_is_lost_from_a_path_with_a_space_in_it(tmp_path: Path) -> None:
    home = tmp_path / "a demo"
    code, report = call(command("--tickets", "30", "--kills", "3", "--seed", "5", "--home", str(home), "--json"))
    assert report["findings"] == []
    assert (code, report["verdict"]) == (0, "passed")
    assert set(report) >= PROMISED
    assert (report["runs_total"], report["runs_completed"], report["runs_lost"]) == (30, 30, 0)
    assert report["effects_expected"] == report["effects_done"] > 5
    assert report["in_doubt_verified"] > 0
    assert report["workers_killed"] == 3
    assert report["workers_frozen"] == report["zombies_returned"] == 1
    assert report["writers_killed"] == report["supervisor_restarts"] == 1
    assert {harm["kind"] for harm in report["faults"] if harm["bitten"]} >= {"crash_point", "freeze", "supervisor"}
    assert report["journal_whole"] is True
    assert 0 < report["recovery_s_p50"] <= report["recovery_s_p99"]
    assert (report["seed"], report["labelled_by"]) == (5, "keywords")
    assert left_behind(home) == []


def test_without_faults_nothing_needs_to_be_in_doubt(tmp_path: Path) -> None:
    code, report = call(command("--tickets", "6", "--no-fault", "--home", str(tmp_path / "d"), "--json"))
    assert (code, report["verdict"]) == (0, "passed")
    assert (report["workers_killed"], report["in_doubt_verified"], report["faults"]) == (0, 0, [])
    assert report["recovery_s_p50"] is None


def test_for_people_it_ends_with_a_table_and_the_verdict(tmp_path: Path) -> None:
    shown = subprocess.run(
        command("--tickets", "4", "--no-fault", "--seed", "9"), capture_output=True, text=True, timeout=200
    )
    assert shown.returncode == 0
    assert "4 of 4 completed, 0 lost" in shown.stdout
    assert "verdict: passed" in shown.stdout
    assert "seed 9" in shown.stderr


async def test_an_agent_that_is_wrong_about_its_effect_fails_the_demo(tmp_path: Path) -> None:
    """The same agent, but its refund claims that the ledger dedupes: it does not, and the oracle sees it."""
    wrong = tmp_path / "wrong"
    shutil.copytree(example_directory(), wrong, ignore=shutil.ignore_patterns("__pycache__"))
    code = (wrong / "app.py").read_text()
    assert code.count('effect="once"') == code.count("@refund.verify\n") == 1
    code = code.replace('effect="once"', 'effect="idempotent"').replace("@refund.verify\n", "")
    (wrong / "app.py").write_text(code)
    options = Options(tickets=16, kills=2, seed=1, model="scripted", home=tmp_path / "d", example=wrong)
    report = await run_demo(options, SystemClock(), OsRandomness(), lambda _: None)
    assert report.verdict == "failed"
    assert report.effects_duplicated > 0
    assert any("was booked 2 times" in finding for finding in report.findings)
    assert (report.runs_lost, report.effects_missing) == (0, 0)
    assert Path(report.home).is_dir()


async def test_an_agent_that_forgets_its_refund_fails_the_demo(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    shutil.copytree(example_directory(), wrong, ignore=shutil.ignore_patterns("__pycache__"))
    code = (wrong / "app.py").read_text()
    assert code.count("ctx.deps.ledger.book(ctx.key, ticket, order, cents)") == 1
    code = code.replace("ctx.deps.ledger.book(ctx.key, ticket, order, cents)", "Receipt(0, order, cents)")
    (wrong / "app.py").write_text(code)
    options = Options(tickets=4, faults=False, seed=1, model="scripted", home=tmp_path / "d", example=wrong)
    report = await run_demo(options, SystemClock(), OsRandomness(), lambda _: None)
    assert report.verdict == "failed"
    assert report.effects_missing == report.effects_expected > 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_a_demo_that_is_stopped_leaves_no_process_behind(
    how: signal.Signals, tmp_path: Path, until: Until
) -> None:
    home = tmp_path / "d"
    child = await asyncio.create_subprocess_exec(
        *command("--kills", "30", "--home", str(home)), stderr=asyncio.subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert child.stderr is not None
    async for line in child.stderr:
        if line.startswith(b"SIG"):  # the first fault
            break
    assert left_behind(home)
    child.send_signal(how)
    await child.stderr.read()
    assert await child.wait() == (130 if how == signal.SIGINT else -signal.SIGKILL)
    await until(lambda: not left_behind(home), 40, "the guard has ended all")


async def test_a_directory_in_use_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    told: list[Status] = []
    with pytest.raises(ConfigurationError, match="not empty"):
        await run_demo(Options(model="scripted", home=tmp_path), SystemClock(), OsRandomness(), told.append)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
