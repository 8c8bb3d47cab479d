"""Real failovers of real servers: the short form of ``make db-failover``, and its judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from outlast.drill.failover.booking import Booking
from outlast.drill.failover.experiment import Experiment
from outlast.drill.failover.judge import Record, acknowledged, doubled, first_acknowledged_after, judge, lost
from outlast.drill.failover.loss import compare
from outlast.drill.recorder import Answer, AnyCall, AppendCall, Place, Seen, place_of
from outlast.journal.chain import genesis
from tests.servers.postgres import required

STREAM = "run/x@0.local.abcd"
START = place_of(genesis(STREAM))
A = Seen(1, 1, "a", "da", "ha")
B = Seen(2, 2, "b", "db", "hb")
C = Seen(4, 1, "c", "dc", "hc")


def append(made: Seen, at: Place, answer: Answer = "applied", began: float = 1.0) -> AppendCall:
    head = made.place if answer == "applied" else None
    return AppendCall(
        client="k", stream=STREAM, began=began, ended=began + 1, expected=at, made=made, answer=answer, head=head
    )  # fmt: skip


CALLS: Sequence[AnyCall] = [append(A, START), append(B, A.place, began=3.0), append(C, B.place, "unknown", began=5.0)]


def test_what_was_acknowledged_and_is_not_there_is_lost() -> None:
    assert lost(CALLS, {STREAM: [A, B]}) == []
    assert lost(CALLS, {STREAM: [A]}) == [Record(STREAM, 2, 3)]
    assert lost(CALLS, {}) == [Record(STREAM, 1, 1), Record(STREAM, 2, 3)]


def test_another_record_at_its_place_is_a_loss() -> None:
    assert lost(CALLS, {STREAM: [A, Seen(2, 2, "z", "dz", "hz")]}) == [Record(STREAM, 2, 3)]


def test_what_others_built_on_counts_as_acknowledged() -> None:
    calls = [append(A, START, "unknown"), append(B, A.place)]
    assert acknowledged(calls) == {(STREAM, A), (STREAM, B)}


def test_only_what_was_sent_after_the_kill_shows_that_service_is_back() -> None:
    assert first_acknowledged_after(CALLS, 2.9) == 4.0
    assert first_acknowledged_after(CALLS, 3.0) is None


def test_an_effect_that_was_done_twice_is_doubled() -> None:
    bookings = [Booking("r", 1, "k", 1), Booking("r", 2, "l", 1), Booking("r", 1, "m", 2)]
    assert doubled(bookings) == {("r", 1): 2}


def test_the_judge_names_everything_that_is_wrong() -> None:
    bookings = [Booking("r", 0, "k", 1), Booking("r", 0, "l", 1)]
    runs = {"r": ("run_r", "completed"), "s": ("run_s", "held")}
    judgement, findings = judge(CALLS, {STREAM: [A]}, bookings, runs, 2)
    assert (judgement.records_lost, judgement.events_lost, judgement.effects_doubled) == (1, 2, 1)
    assert (judgement.effects_done, judgement.effects_due, judgement.runs_completed) == (1, 2, 1)
    for text in ("2-3 is lost", "effect 0 of run r was done 2 times", "effect 1 of completed run r", "run_s) is held"):
        assert any(text in finding for finding in findings), text
    sound, none = judge(CALLS, {STREAM: [A, B]}, [Booking("r", 0, "k", 1)], {"r": ("run_r", "completed")}, 1)
    assert none == []
    assert sound.events_acknowledged == 3


def test_the_engine_report_is_compared_event_by_event() -> None:
    gone = [Record(STREAM, 2, 3)]
    assert compare(CALLS, gone, Counter({(STREAM, 2): 1})).unreported == {(STREAM, 3): 1}
    assert compare(CALLS, gone, Counter({(STREAM, 1): 1, (STREAM, 2): 1, (STREAM, 3): 1})).invented == {(STREAM, 1): 1}
    exact = compare(CALLS, gone, Counter({(STREAM, 2): 1, (STREAM, 3): 1, (STREAM, 4): 1}))
    assert not exact.unreported
    assert not exact.invented
    assert exact.unanswered == 1, "the fourth was never acknowledged"


@pytest.mark.slow(30)
@pytest.mark.crash
@pytest.mark.timeout(900)
async def test_a_synchronous_failover_loses_nothing_and_doubles_nothing() -> None:
    required()
    said: list[str] = []
    report = await Experiment("sync", 2, 1, said.append).run()
    assert report.verdict == "passed", (report.findings, said)
    assert report.judgement.events_acknowledged
    assert (report.records_lost, report.effects_doubled, report.losses_reported) == (0, 0, 0)
    assert (report.refused, report.refusals_due) == (2, 2)
    assert report.judgement.streams_not_linearizable == 0


@pytest.mark.slow(30)
@pytest.mark.crash
@pytest.mark.timeout(900)
async def test_what_an_asynchronous_failover_loses_is_reported_to_the_event() -> None:
    required()
    said: list[str] = []
    report = await Experiment("async", 2, 1, said.append).run()
    assert report.verdict == "passed", (report.findings, said)
    assert report.events_lost
    assert report.runs_held
    assert report.effects_doubled == 0
    assert report.judgement.runs_completed == report.judgement.runs
    assert (report.losses_unreported, report.losses_invented) == (0, 0)
    assert report.losses_reported == report.events_lost + report.losses_unanswered
