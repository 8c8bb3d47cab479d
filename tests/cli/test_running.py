"""Commands beside a running ``outlast up``: one, for all tests of this module."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.system import Project

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def desk() -> Iterator[Project]:
    home = Path(tempfile.mkdtemp(prefix="ol-", dir="/tmp"))
    project = Project(home)
    (home / "there").touch()
    try:
        project.start()
        yield project
        assert project.stop() == 0
        assert project.told("CellStopped")
    finally:
        project.kill()
        shutil.rmtree(home, ignore_errors=True)


def test_a_run_is_followed_on_stderr_and_its_result_is_printed(desk: Project) -> None:
    said = desk("run", "numbers", "--input-json", "1")
    assert said.code == 0, said.err
    assert json.loads(said.out) == 8
    for step in ("1 double → 2", "2 double → 4", "3 double → 8", "completed: 8"):
        assert step in said.err


def test_text_is_printed_as_it_is(desk: Project) -> None:
    assert desk("run", "waiter", "there").out == "there\n"


def test_json_is_the_runs_document_and_nothing_else(desk: Project) -> None:
    document = desk("run", "numbers", "--input-json", '{"n": 2}', "--json").document
    assert document["state"] == "completed"
    assert document["result"] == 16
    assert [step["name"] for step in document["steps"]] == ["double"] * 3
    assert desk("show", document["run"], "--json").document == document


def test_arguments_come_from_a_file_too(desk: Project, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"n": 4}')
    assert desk("run", "numbers", "--input-json", f"@{tmp_path}/in.json").out == "32\n"


def test_the_same_key_is_the_same_run_and_another_input_under_it_a_conflict(desk: Project) -> None:
    first = desk("run", "numbers", "--input-json", "5", "--key", "k", "--json").document
    again = desk("run", "numbers", "--input-json", "5", "--key", "k", "--json")
    assert again.document["run"] == first["run"]
    assert "started it before" in again.err
    other = desk("run", "numbers", "--input-json", "6", "--key", "k")
    assert other.code == 4
    assert other.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nobody"], 3, "agent 'nobody' does not exist (there: "),
        (["numbers", "text"], 2, "does not fit"),
        (["numbers"], 2, "n"),
        (["numbers", "--input-json", "{"], 2, "--input-json is not JSON"),
        (["numbers", "1", "--input-json", "1"], 2, "give the input once"),
        (["numbers", "--input-json", "@/nowhere"], 2, "cannot be read"),
        (["payer", "--input-json", "1", "--crash-in", "pay"], 4, "while `outlast up`"),
        (["payer", "--input-json", "1", "--crash-in", "pay", "--detach"], 2, "leave --detach out"),
    ],
)
def test_what_cannot_be_started_says_why(desk: Project, arguments: list[str], code: int, message: str) -> None:
    before = len(desk.runs())
    said = desk("run", *arguments)
    assert said.code == code, said.err
    assert message in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert len(desk.runs()) == before


def test_a_failed_run_is_1_and_its_story_says_what_failed(desk: Project) -> None:
    said = desk("run", "broken", "--json")
    assert said.code == 1
    assert said.document["error"]["message"].endswith("way")
    assert "\x1b" not in said.err
    told = desk("show", said.document["run"])
    assert told.code == 0
    assert "ValueError: no" in told.out
    assert "\x1b" not in told.out


def test_a_run_that_continues_in_another_is_followed_there(desk: Project) -> None:
    said = desk("run", "chain", "--input-json", "2")
    assert said.out == "7\n"
    assert said.err.count("continued in another run") == 2


def test_a_detached_run_waits_for_its_signal_and_takes_it_once(desk: Project) -> None:
    run = desk("run", "asker", "--detach").out.strip()
    desk.await_that(lambda: desk.state(run) in ("running", "parked"), "it waits")
    for _ in range(2):
        assert desk("signal", run, "go", '{"a": 1}', "--id", "one").code == 0
    desk.await_that(lambda: desk.state(run) == "completed", "it ends")
    document = desk("show", run, "--events", "--json").document
    assert document["result"] == {"a": 1}
    assert [event["seq"] for event in document["events"]] == list(range(1, document["seq"] + 1))
    assert desk("signal", run, "go").code == 4


def test_a_run_can_be_cancelled(desk: Project) -> None:
    run = desk("run", "asker", "--detach", "--json").document["run"]
    assert desk("cancel", run, "--reason", "enough", "--json").document == {"run": run, "cancel": "enough"}
    desk.await_that(lambda: desk.state(run) == "cancelled", "it is cancelled")
    assert "enough" in desk("show", run).out


def test_the_kill_switch_stops_an_agent_and_lets_it_go_on(desk: Project) -> None:
    assert desk("stop", "chain", "--reason", "tests", "--json").document == {"agent": "chain", "stopped": True}
    refused = desk("run", "chain", "--input-json", "0")
    assert refused.code == 4
    assert "tests" in refused.err
    assert desk("resume", "chain").code == 0
    assert desk("run", "chain", "--input-json", "0").code == 0
    assert desk("stop", "nobody").code == 3


def test_sessions_show_what_was_said(desk: Project) -> None:
    desk("run", "talker", "hello", "--session", "ada")
    desk("run", "talker", "again", "--session", "ada")
    (listed,) = desk("sessions", "--json").document["sessions"]
    assert (listed["session"], listed["runs"], listed["last_state"]) == ("ada", 2, "completed")
    document = desk("session", "ada", "--json").document
    assert [message["content"] for message in document["messages"]] == ["hello", "again"]
    assert "hello" in desk("session", "ada").out
    assert len(desk.runs("--session", "ada")) == 2
    assert desk("session", "nobody").code == 3


def test_lists_can_be_narrowed(desk: Project) -> None:
    desk("run", "numbers", "--input-json", "9")
    assert {entry["agent"] for entry in desk.runs("--agent", "numbers")} == {"numbers"}
    assert {entry["state"] for entry in desk.runs("--state", "completed")} == {"completed"}
    assert len(desk.runs("--limit", 1)) == 1
    assert desk.runs("--agent", "nobody") == []
    unknown = desk("runs", "--state", "hled")
    assert unknown.code == 2
    assert "did you mean 'held'" in unknown.err
    assert "numbers" in desk("runs").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "run_none"],
        ["signal", "run_none", "go"],
        ["cancel", "run_none"],
        ["redrive", "run_none"],
        ["resolve", "run_none", "1", "--retry"],
    ],
)
def test_an_unknown_run_is_3(desk: Project, arguments: list[str]) -> None:
    said = desk(*arguments)
    assert said.code == 3, said.err
    assert "run_none" in said.err


@pytest.mark.parametrize("arguments", [[], ["--done", "1", "--retry"], ["--retry", "because"], ["--done", "paid"]])
def test_a_step_is_resolved_in_exactly_one_way(desk: Project, arguments: list[str]) -> None:
    assert desk("resolve", "run_none", "1", *arguments).code == 2


def test_only_what_is_held_can_be_resolved_or_redriven(desk: Project) -> None:
    run = desk("run", "numbers", "--input-json", "1", "--json").document["run"]
    assert desk("resolve", run, "1", "--fail", "no").code == 4
    assert desk("redrive", run).code == 4


def test_a_second_up_in_the_same_directory_names_the_first(desk: Project) -> None:
    assert desk.up is not None
    said = desk.process("up", "--port", 0)
    assert said.code == 4
    assert f"process {desk.up.pid}" in said.err
    assert "serves" not in said.out


def test_the_doctor_sees_that_it_runs(desk: Project) -> None:
    assert desk.up is not None
    document = desk("doctor", "--json").document
    found = {check["name"]: check for check in document["checks"]}
    assert found["address"]["found"] == f"`outlast up` runs here, process {desk.up.pid}"
    assert found["app"]["status"] == "ok"
    assert "numbers" in found["app"]["found"]


def test_replay_beside_a_running_cell_writes_nothing(desk: Project) -> None:
    run = desk("run", "numbers", "--input-json", "3", "--json").document["run"]
    before = desk("show", run, "--json").out
    document = desk.process("replay", run, "--json").document
    assert (document["verdict"], document["outcomes"], document["ended"]) == ("same", 3, True)
    assert desk("show", run, "--json").out == before


def test_who_follows_sees_every_event_once_though_the_server_dies(desk: Project) -> None:
    following = desk.begin("run", "waiter", "after-the-server", "--json")
    before = desk.heard(following, "1 double")
    killed = desk.child("server")
    os.kill(killed, signal.SIGKILL)
    desk.await_that(lambda: desk.child("server") != killed, "another server starts")
    (desk.home / "after-the-server").touch()
    out, err = following.communicate(timeout=60)
    err = before + err
    assert following.returncode == 0, err
    assert json.loads(out)["result"] == "after-the-server"
    assert err.count("created, agent waiter") == 1
    assert err.count("completed") == 1


def test_reading_needs_no_server(desk: Project) -> None:
    server = desk.child("server")
    os.kill(server, signal.SIGSTOP)
    try:
        assert desk.runs()
    finally:
        os.kill(server, signal.SIGCONT)
    desk.await_that(lambda: desk("run", "numbers", "--input-json", "1").code == 0, "it serves again")


def test_who_stops_following_does_not_stop_the_run(desk: Project) -> None:
    following = desk.begin("run", "waiter", "later")
    desk.heard(following, "1 double")
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=30)
    assert following.returncode == 130
    assert "the run is not lost: outlast show run_" in err
    run = err.rsplit(" ", 1)[1].strip()
    (desk.home / "later").touch()
    desk.await_that(lambda: desk.state(run) == "completed", "it ends")
