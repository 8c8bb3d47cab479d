"""A run's events as people read them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.agent import event as ev
from outlast.agent.view import EventView, event_view
from outlast.cli.crash import tell_crash
from outlast.cli.story import Teller, advice, failure, moment, took
from outlast.journal.blob import Payload

VALUE = Payload(msgspec.Raw(b'{"a": "\\u001b[2Jb"}'))
FAILED = ev.Failure("app.Refused", "no \x1b[31mmoney", None)
EVERY: list[ev.RunEvent] = [
    ev.RunCreated("support", VALUE, "d", "", 9.0),
    ev.RunClaimed("w1", 1, 0),
    ev.RunClaimed("w2", 2, 1),
    ev.RunTrial(3),
    ev.RunParked("sleep", 9.0),
    ev.RunReleased("w2"),
    ev.RunHeld("in_doubt", "who knows", "1"),
    ev.RunQuarantined(3, "kills its workers"),
    ev.RunRedriven(1),
    ev.RunCancelling(1, "enough"),
    ev.StepIntended("1", "refund", "x", 1, "k", 0.0),
    ev.StepRetried("1", "refund", 1, FAILED, 12.0),
    ev.StepDoubted("1", 1, "the worker died"),
    ev.StepCleared("1", 1, "verify"),
    ev.StepDone("1", "refund", "x", 9.5, VALUE, attempt=2, by="verify"),
    ev.StepFailedEvent("2", "lookup", "x", 9.5, FAILED, attempt=3),
    ev.StepAbandoned("3", "lookup"),
    ev.StepDrifted("1", "refund", "a", "b"),
    ev.ChildStarted("8", "agent:helper", "run_2", "x"),
    ev.TimerSet("4", 70.0),
    ev.TimerFired("4"),
    ev.SignalAwaited("5", "approved", 99.0),
    ev.SignalConsumed("5", "approved", "id", 1, VALUE),
    ev.SignalTimedOut("6", "approved"),
    ev.VersionMarked("7", "n", 2),
    ev.RunCompleted(VALUE),
    ev.RunFailed(FAILED, "2", "lookup", 3),
    ev.RunCancelledEvent("enough"),
    ev.RunContinuing("run_2", VALUE, 99.0),
    ev.RunContinued("run_2"),
    ev.RunLost("run", 17, 23, 4, "w1"),
    ev.RunLost("inbox", 2, 2, 5),
]


async def told(*events: ev.RunEvent) -> list[str]:
    """The lines of these events, ten seconds into the epoch, one millisecond apart."""
    teller = Teller(200)
    lines: list[str] = []
    for number, event in enumerate(events, 1):
        view: EventView = await event_view(number, 10 + number / 1000, event, MemoryBlobs())
        line = teller.line(msgspec.to_builtins(view), everything=True)
        lines.append("" if line is None else line.plain)
    return lines


async def test_every_kind_of_event_has_a_line_that_drives_no_terminal() -> None:
    assert {type(event) for event in EVERY} == set(ev.RunEvent.__args__)
    for line in await told(*EVERY):
        assert len(line) > 12
        assert "\x1b" not in line
        assert "\n" not in line


async def test_what_only_machines_care_about_is_left_out_unless_asked_for() -> None:
    view = msgspec.to_builtins(await event_view(1, 10.0, ev.VersionMarked("7", "n", 2), MemoryBlobs()))
    assert Teller().line(view) is None
    assert Teller().line(view, everything=True) is not None


async def test_a_takeover_names_both_workers() -> None:
    lines = await told(ev.RunClaimed("w1", 1, 0), ev.RunClaimed("w2", 2, 1))
    assert "worker w2 takes over from w1" in lines[1]


async def test_a_failed_run_says_which_step_on_which_attempt_with_what() -> None:
    (line,) = await told(ev.RunFailed(ev.Failure("app.Refused", "no money", None), "2", "lookup", 3))
    assert "failed at step 2 lookup, attempt 3: Refused: no money" in line


async def test_a_verified_step_says_that_it_was_not_repeated() -> None:
    lines = await told(EVERY[10], ev.StepDone("1", "refund", "x", 10.0, VALUE, by="verify"))
    assert "1 refund" in lines[1]
    assert "not repeated" in lines[1]


def test_a_long_value_does_not_wrap() -> None:
    event = {"seq": 1, "at": 1.0, "type": "run.completed", "data": {"value": "x" * 10_000}}
    line = Teller(80).line(event)
    assert line is not None
    assert len(line.plain) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 ms"), (0.0031, "3 ms"), (1.25, "1.2 s"), (303, "5 m 03 s"), (7380, "2 h 03 m"), (200_000, "2 d 7 h")],
)
def test_durations_read_as_people_write_them(seconds: float, text: str) -> None:
    assert took(seconds) == text


def test_no_time_is_a_dash() -> None:
    assert moment(0) == "-"
    assert moment(1e9).startswith("2001-09-0")


def test_a_failure_names_class_message_and_step() -> None:
    error = {"type": "app.Refused", "message": "no", "step": "2", "name": "lookup", "attempt": 3}
    assert failure(error) == "Refused: no (step 2 lookup, attempt 3)"
    assert failure("anything") == "anything"


@pytest.mark.parametrize(
    ("state", "step", "found"),
    [
        ("held", "held", ["decide step 3 (refund): outlast resolve r 3 --done JSON | --retry | --fail"]),
        ("held", "done", ["let it try again: outlast redrive r"]),
        ("quarantined", "done", ["let it try again: outlast redrive r"]),
        ("running", "in_doubt", []),
        ("completed", "done", []),
    ],
)
def test_advice_is_for_runs_that_wait_for_a_person(state: str, step: str, found: list[str]) -> None:
    assert advice({"run": "r", "state": state, "steps": [{"place": "3", "name": "refund", "state": step}]}) == found


def event(number: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"seq": number, "at": 10 + number / 10, "type": kind, "data": data}


HISTORY = [
    event(1, "run.created"),
    event(2, "run.claimed", worker="w1", claim=1),
    event(3, "step.intended", place="1", name="refund"),
    event(4, "run.claimed", worker="w2", claim=2),
]


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ([event(5, "step.done", place="1", name="refund", by="verify")], "found the effect, so it was not repeated"),
        ([event(5, "step.done", place="1", name="refund", by="person")], "a person decided"),
        ([event(5, "step.cleared", place="1"), event(6, "step.done", place="1", name="refund")], "tried again"),
        ([event(5, "step.doubted", place="1"), event(6, "run.held", place="1")], "a person decides"),
    ],
)
def test_the_crash_is_told_with_what_became_of_the_effect(
    rest: list[dict[str, Any]], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_crash([*HISTORY, *rest], "refund", killed=True)
    err = capsys.readouterr().err
    assert "worker w1 was killed after the effect of refund and before its record; w2 took over, 100 ms after" in err
    assert found in err


def test_a_repeated_effect_is_said_to_be_what_was_declared(capsys: pytest.CaptureFixture[str]) -> None:
    done = event(5, "step.done", place="1", name="lookup", by="call")
    assert tell_crash([*HISTORY[:2], HISTORY[3], done], "lookup", killed=True)
    assert "not declared effect='once'" in capsys.readouterr().err


def test_a_crash_that_never_came_is_no_proof(capsys: pytest.CaptureFixture[str]) -> None:
    done = event(3, "step.done", place="1", name="lookup")
    assert not tell_crash([*HISTORY[:2], done], "refnd", killed=False)
    assert "nothing was killed: the run never came to the end of 'refnd' (its steps: lookup)" in capsys.readouterr().err
