"""Commands in a project where nothing runs: private cells, direct access, and what can be wrong from the start."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast.bootstrap.home import StateDirectory
from tests.cli.system import APP, Project

pytestmark = pytest.mark.crash


@pytest.fixture
def project(short_dir: Path) -> Iterator[Project]:
    made = Project(short_dir)
    yield made
    made.kill()


# -- the first minutes of a new user ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("desk") / "desk"
    subprocess.run([sys.executable, "-m", "outlast", "init", str(home), "--yaml"], check=True, timeout=60)
    return home


def test_what_init_wrote_survives_a_crash_at_its_worst_moment(fresh: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outlast", "run", "support", "Refund order 1043, 80 EUR", "--crash-in", "refund"],
        capture_output=True, text=True, cwd=fresh, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["refund"] == "80.00 EUR for order 1043"
    assert "was killed after the effect of refund and before its record" in done.stderr
    assert "its verify found the effect, so it was not repeated" in done.stderr
    assert len((fresh / "refunds.jsonl").read_text().splitlines()) == 1
    assert (fresh / ".outlast").stat().st_mode & 0o077 == 0


def test_the_test_that_init_wrote_passes(fresh: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=fresh, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_init_wrote_is_well_typed(fresh: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(fresh / "app.py")],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# -- runs that need nobody else ---------------------------------------------------------------------------------------


def test_a_step_in_doubt_is_held_decided_at_rest_and_goes_on_later(project: Project) -> None:
    held = project.process("run", "payer", "--input-json", "3", "--crash-in", "pay", "--json")
    assert held.code == 1, held.err
    assert held.document["state"] == "held"
    run = held.document["run"]
    assert f"outlast resolve {run} 1 --done JSON | --retry | --fail" in held.err
    assert project.state(run) == "held"
    assert project("resolve", run, "1", "--done", '"by hand"').code == 0
    assert project.process("run", "numbers", "--input-json", "1").code == 0  # its workers take the other run up as well
    project.await_that(lambda: project.state(run) in ("completed", "held"), "it went on")
    project.start()
    project.await_that(lambda: project.state(run) == "completed", "it ended")
    assert project("show", run, "--json").document["result"] == "by hand"
    assert len((project.home / "paid").read_text().splitlines()) == 1


def test_a_crash_in_a_tool_that_is_never_called_proves_nothing(project: Project) -> None:
    said = project.process("run", "numbers", "--input-json", "1", "--crash-in", "dubble")
    assert said.code == 1
    assert "nothing was killed: the run never came to the end of 'dubble' (its steps: double)" in said.err


def test_a_repeatable_tool_is_repeated_after_the_crash(project: Project) -> None:
    said = project.process("run", "numbers", "--input-json", "1", "--crash-in", "double")
    assert said.code == 0, said.err
    assert said.out == "8\n"
    assert "not declared effect='once'" in said.err


def test_a_recorded_run_waits_for_somebody_to_run_it(project: Project) -> None:
    detached = project.process("run", "numbers", "--input-json", "2", "--detach")
    assert detached.code == 0
    assert "begins with the next `outlast up`" in detached.err
    run = detached.out.strip()
    assert project.state(run) == "ready"
    assert project("cancel", run).code == 0
    again = project.process("run", "numbers", "--input-json", "2", "--detach").out.strip()
    project.start()
    project.await_that(lambda: project.state(again) == "completed", "it ran")
    project.await_that(lambda: project.state(run) == "cancelled", "it was cancelled")


def test_ctrl_c_ends_the_cell_and_not_the_run(project: Project) -> None:
    running = project.begin("run", "waiter", "later")
    project.heard(running, "1 double")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    (entry,) = project.runs()
    assert f"the run is not lost: outlast show {entry['run']}" in err
    (project.home / "later").touch()
    project.start()
    project.await_that(lambda: project.state(entry["run"]) == "completed", "it went on")


@pytest.mark.parametrize("sealed", [False, True])
def test_where_a_run_failed_is_in_the_log_unless_payloads_are_sealed(project: Project, *, sealed: bool) -> None:
    if sealed:
        assert project.process("keys", "new", "--file", "keys.json").code == 0
        (project.home / "outlast.yaml").write_text("outlast: 1\nstores: {journal: {encrypt: file:keys.json}}\n")
    assert project.process("run", "broken").code != 0
    log = StateDirectory(project.home).logs / "worker.log"
    said = log.read_text() if log.exists() else ""
    assert ('app.py", line' in said and "no \\x1b[31mway" in said) is not sealed, said
    assert ("way" in said) is not sealed


def test_replay_tells_same_drift_and_mismatch(project: Project) -> None:
    run = project.process("run", "numbers", "--input-json", "1", "--json").document["run"]
    same = project.process("replay", run)
    assert (same.code, same.out.split(":")[0]) == (0, "same")
    (project.home / "app.py").write_text(APP.replace("await double(n)", "await double(n + 1)"))
    drift = project.process("replay", run, "--json")
    assert drift.code == 0
    assert drift.document["verdict"] == "drift"
    assert [step["place"] for step in drift.document["drifts"]] == ["1", "2", "3"]
    (project.home / "app.py").write_text(APP.replace("n = await double(n)", 'n = len(await wait_for("there"))'))
    mismatch = project.process("replay", run)
    assert mismatch.code == 1
    assert "step 1 is 'double' in the history, 'wait_for' in the code" in mismatch.out


# -- what can be wrong from the start ---------------------------------------------------------------------------------

TWO_COMMANDS = [["up", "--port", "0"], ["run", "numbers", "1"]]


@pytest.mark.parametrize("command", TWO_COMMANDS)
@pytest.mark.parametrize(
    ("app", "message"),
    [
        (None, "there is no {home}/app.py"),
        ("import not_there_at_all\n", "No module named 'not_there_at_all'"),
        ("def f(:\n", "SyntaxError"),
        ("app = 3\n", "app app:app is int, expected an outlast.App"),
        ("x = 1\n", "app has no 'app'"),
    ],
)
def test_an_app_that_cannot_be_used_is_said_once(
    short_dir: Path, command: list[str], app: str | None, message: str
) -> None:
    project = Project(short_dir, app or "")
    (short_dir / "outlast.yaml").write_text("name: tests\n")
    if app is None:
        (short_dir / "app.py").unlink()
    said = project.process(*command)
    assert said.code == 2, said.err
    assert said.err.count("error: ") == 1
    assert message.format(home=short_dir) in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", [*TWO_COMMANDS, ["runs"], ["show", "run_1"], ["cancel", "run_1"], ["sessions"]])
def test_a_wrong_yaml_is_said_with_its_place(project: Project, command: list[str]) -> None:
    (project.home / "outlast.yaml").write_text("agents:\n  numbers: {deadlin: 3s}\n")
    said = project.process(*command)
    assert said.code == 2
    assert f"{project.home}/outlast.yaml:2:13: unknown key 'deadlin'" in said.err


def test_an_agent_that_only_the_yaml_knows_is_an_error(project: Project) -> None:
    (project.home / "outlast.yaml").write_text("agents: {number: {deadline: 3s}}\n")
    said = project.process("run", "numbers", "--input-json", "1")
    assert said.code == 2
    assert "did you mean 'numbers'" in said.err


@pytest.mark.parametrize("command", ["runs", "show run_1", "sessions", "audit verify", "audit show a"])
def test_where_nothing_has_run_there_is_nothing_to_see_and_nothing_is_made(project: Project, command: str) -> None:
    said = project(*command.split())
    assert said.code == 3
    assert "nothing has run" in said.err
    assert not (project.home / ".outlast").exists()


def test_up_runs_another_blueprint_and_says_once_what_of_it_is_only_described(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.home / "outlast.yaml").write_text("agents: {numbers: {deadline: 1ms}}\n")
    other = project.home / "elsewhere" / "production.yaml"
    other.parent.mkdir()
    other.write_text("""
objectives: {live: {availability: 99.9%}}
agents: {numbers: {class: live, needs: {orders: soft}, reads: {queue: jobs}}}
stores: {orders: {kind: sql, aws: aurora}}
queues: {jobs: {aws: sqs}}
training: {classifier: {data: orders}}
server: {token: env:DESK_TOKEN}
models: {writer: {endpoints: [{name: none, url: "http://127.0.0.1:9/v1", model: m}]}}
gateway: {listen: "127.0.0.1:0"}
""")
    monkeypatch.setenv("DESK_TOKEN", "a-token-of-the-test")
    project.start("-f", other)
    expected = "stores.orders (sql), queues.jobs (without an address), training.classifier"
    assert (project.home / "up.log").read_text().count(f"not started here, only described: {expected}\n") == 1
    assert project("run", "numbers", "--input-json", "1").out.strip() == "8"  # with the token that the other names
    project.await_that(lambda: "gateway" in {one["kind"] for one in project.told("ChildReady")}, "the gateway serves")
    assert project.stop() == 0


def test_a_port_in_use_is_a_clear_error(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = project.process("up", "--port", port)
    assert said.code == 2
    assert f"address 127.0.0.1:{port} cannot be used: address already in use" in said.err
    assert not (project.home / ".outlast" / "up.json").exists()


def test_a_secret_that_is_not_there_is_named_and_a_wrong_one_refused(project: Project) -> None:
    (project.home / "outlast.yaml").write_text("server: {token: file:token}\n")
    said = project.process("up", "--port", "0")
    assert said.code == 2
    assert "secret file:token cannot be read" in said.err
    (project.home / "token").write_text("correct-horse-battery-staple")
    project.start()
    assert project("run", "numbers", "--input-json", "1").code == 0
    (project.home / "token").write_text("another-horse-battery-staple")
    refused = project("run", "numbers", "--input-json", "1")
    assert refused.code == 2
    assert "token" in refused.err
    assert "battery" not in refused.err


# -- up itself --------------------------------------------------------------------------------------------------------


def test_ctrl_c_once_lets_steps_end_and_twice_stops_at_once(project: Project) -> None:
    project.start()
    assert project.up is not None
    run = project("run", "waiter", "late", "--detach").out.strip()
    project.await_that((project.home / "late.awaited").exists, "it is in its second step")
    project.up.send_signal(signal.SIGINT)
    project.await_that(lambda: project.told("ChildLeaving"), "it drains")
    assert project.up.poll() is None
    project.up.send_signal(signal.SIGINT)
    assert project.up.wait(30) == 0
    assert project.told("CellStopped")
    (project.home / "late").touch()
    project.start()
    project.await_that(lambda: project.state(run) == "completed", "another up ends what the first began")


def test_up_says_one_json_object_a_line(project: Project) -> None:
    project.start()
    assert project.stop() == 0
    lines = (project.home / "up.log").read_text().splitlines()
    kinds = [json.loads(line)["t"] for line in lines]
    assert {"ChildStarted", "ChildReady", "ChildLeaving", "ChildDead", "CellStopped"} <= set(kinds)
    assert kinds[-1] == "CellStopped"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_of_logs_ends_no_cell_and_no_run(project: Project) -> None:
    with Path("/dev/full").open("wb") as full:
        project.up = subprocess.Popen(
            project.command("up", "--port", 0, "--workers", 1, "--json"), stdout=full, stderr=full, cwd=project.home
        )
        project.await_that(StateDirectory(project.home).up.exists, "it serves")
        run = project.command("run", "numbers", "--input-json", "[1]")
        done = subprocess.run(run, stdout=subprocess.PIPE, stderr=full, cwd=project.home)
    assert (done.returncode, done.stdout) == (0, b"8\n")
    assert project.stop() == 5  # its lines are lost, and it says so


def test_on_a_terminal_up_shows_a_live_table_and_leaves_the_screen_as_it_was(project: Project) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    project.up = subprocess.Popen(
        project.command("up", "--port", 0, "--workers", 1),
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=project.home, env={**environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    parts = (b"process", b"writer", b"server", b"Ctrl-C once", b"http://127.0.0.1:")
    while not all(part in seen for part in parts):
        seen += os.read(ours, 65536)
    project.up.send_signal(signal.SIGINT)
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:  # the other end is closed: it has ended
        pass
    os.close(ours)
    assert project.up.wait(30) == 0
    assert b"stopped" in seen
    assert seen.rstrip().rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")  # the cursor is shown again


def test_a_changed_file_starts_workers_anew(project: Project) -> None:
    project.start("--reload")
    assert project("run", "numbers", "--input-json", "1").out == "8\n"
    old = project.child("worker")
    (project.home / "app.py").write_text(APP.replace("return n * 2", "return n * 3"))
    project.await_that(lambda: project.child("worker") != old, "workers start anew")
    project.await_that(lambda: len(project.told("ChildReady")) >= 7, "they serve")
    project.await_that(lambda: project("run", "numbers", "--input-json", "1").out == "27\n", "today's code runs")


# -- the audit --------------------------------------------------------------------------------------------------------


def test_the_audit_finds_a_changed_byte_a_missing_end_and_a_missing_journal(project: Project) -> None:
    run = project.process("run", "numbers", "--input-json", "1", "--json").document["run"]
    whole = project("audit", "verify", "--json")
    assert (whole.code, whole.document["whole"], whole.document["flaws"]) == (0, True, [])
    records = project("audit", "show", run, "--json").document["records"]
    assert [record["seq"] for record in records] == sorted(record["seq"] for record in records)
    assert all(re.fullmatch("[0-9a-f]{64}", record["hash"]) for record in records)
    assert "run.created" in project("audit", "show", records[0]["stream"]).out
    assert project("audit", "show", "nobody").code == 3
    assert project("audit", "show", "x/y").code == 2

    journal = project.home / ".outlast" / "journal.sqlite"
    kept = project.home / "kept"
    shutil.copytree(project.home / ".outlast", kept)
    _change(journal, "UPDATE record SET body = replace(body, 'double', 'dubble') WHERE body LIKE '%double%'")
    damages = project("audit", "verify", "--json")
    assert damages.code == 1
    assert {flaw["damage"] for flaw in damages.document["flaws"]} == {"chain"}
    assert "NOT what was written" in project("audit", "verify").out

    _restore(kept, journal.parent)
    _change(
        journal, "DELETE FROM record WHERE rowid = (SELECT max(rowid) FROM record WHERE body LIKE '%run.completed%')"
    )
    found = project("audit", "verify", "--json").document
    assert not found["whole"]
    assert "truncated" in {flaw["damage"] for flaw in found["flaws"]}

    _restore(kept, journal.parent)
    for path in journal.parent.glob("journal.sqlite*"):
        path.unlink()
    gone = project("audit", "verify")
    assert gone.code == 1
    assert "restore it from a backup" in gone.out


def _change(journal: Path, statement: str) -> None:
    connection = sqlite3.connect(journal)
    connection.execute(statement)
    connection.commit()
    connection.close()


def _restore(kept: Path, state: Path) -> None:
    shutil.rmtree(state)
    shutil.copytree(kept, state)
