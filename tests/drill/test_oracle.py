"""The oracle must catch what is planted, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.drill.oracle import Entry, Facts, Ledger, Submission, judge, read_ledger


def sound(tickets: int = 4, **changes: object) -> Facts:
    """A drill in which all went well: every second ticket has one effect due, the last one two."""
    submissions: list[Submission] = []
    for i in range(tickets):
        effects = {f"order-{i}": 100 + i} if i % 2 else {}
        if i == tickets - 1:
            effects[f"order-{i}b"] = 7
        submissions.append(Submission(f"t{i}", effects, (f"run-{i}",)))
    bookings = [
        Entry(f"key-{one.ticket}-{subject}", one.ticket, subject, cents)
        for one in submissions
        for subject, cents in one.effects.items()
    ]
    facts = Facts(
        submissions=submissions,
        ledger=Ledger(attempts=[*bookings, *bookings[:1]], bookings=bookings),
        answers={f"run-{i}": "completed" for i in range(tickets)},
        in_doubt_verified=1,
        faults_planned=3,
        faults_bitten=2,
    )
    return msgspec.structs.replace(facts, **changes)


def with_bookings(facts: Facts, *more: Entry, without: int | None = None) -> Facts:
    kept = [entry for i, entry in enumerate(facts.ledger.bookings) if i != without]
    return msgspec.structs.replace(facts, ledger=Ledger(facts.ledger.attempts, [*kept, *more]))


def test_a_sound_drill_passes_with_exact_counts() -> None:
    found = judge(sound())
    assert found.verdict == "passed"
    assert found.findings == ()
    assert (found.runs_total, found.runs_completed, found.runs_lost) == (4, 4, 0)
    assert (found.effects_expected, found.effects_done, found.effects_attempted) == (3, 3, 4)
    assert (found.effects_duplicated, found.effects_missing, found.effects_unexpected) == (0, 0, 0)


@pytest.mark.parametrize("state", ["running", "ready", "parked", "held", "failed", "cancelled", "quarantined"])
def test_a_run_that_did_not_complete_is_lost(state: str) -> None:
    facts = sound()
    found = judge(msgspec.structs.replace(facts, answers={**facts.answers, "run-2": state}))
    assert (found.verdict, found.runs_lost, found.runs_completed) == ("failed", 1, 3)
    assert found.findings == (f"ticket t2 is lost: run run-2 is {state}",)


def test_an_acknowledged_run_that_the_system_forgot_is_lost() -> None:
    answers = dict(sound().answers)
    del answers["run-1"]
    found = judge(sound(answers=answers))
    assert (found.verdict, found.runs_lost) == ("failed", 1)
    assert "unknown to the system" in found.findings[0]


def test_a_ticket_that_was_never_acknowledged_is_lost() -> None:
    facts = sound()
    found = judge(msgspec.structs.replace(facts, submissions=[*facts.submissions, Submission("t9")]))
    assert (found.verdict, found.runs_total, found.runs_lost) == ("failed", 5, 1)
    assert found.findings == ("ticket t9 is lost: never acknowledged",)


def test_two_runs_for_one_ticket_are_caught() -> None:
    facts = sound()
    twice = msgspec.structs.replace(facts.submissions[0], runs=("run-0", "run-x"))
    found = judge(
        msgspec.structs.replace(
            facts, submissions=[twice, *facts.submissions[1:]], answers={**facts.answers, "run-x": "completed"}
        )
    )
    assert (found.verdict, found.runs_doubled, found.runs_unexpected) == ("failed", 1, 0)


def test_one_run_for_two_tickets_is_caught() -> None:
    facts = sound()
    other = msgspec.structs.replace(facts.submissions[0], runs=("run-1",))
    answers = {run: state for run, state in facts.answers.items() if run != "run-0"}
    found = judge(msgspec.structs.replace(facts, submissions=[other, *facts.submissions[1:]], answers=answers))
    assert found.verdict == "failed"
    assert "answers for two tickets" in found.findings[0]


def test_a_run_that_nobody_submitted_is_caught() -> None:
    facts = sound()
    found = judge(msgspec.structs.replace(facts, answers={**facts.answers, "run-x": "completed"}))
    assert (found.verdict, found.runs_unexpected) == ("failed", 1)


def test_a_missing_effect_is_caught_even_when_its_attempt_was_logged() -> None:
    found = judge(with_bookings(sound(), without=0))
    assert (found.verdict, found.effects_missing, found.effects_done, found.effects_expected) == ("failed", 1, 2, 3)
    assert found.findings == ("effect order-1 of ticket t1 of 101 cents is missing from the ledger",)


def test_a_doubled_effect_is_caught_under_one_key() -> None:
    facts = sound()
    found = judge(with_bookings(facts, facts.ledger.bookings[0]))
    assert (found.verdict, found.effects_duplicated, found.effects_done) == ("failed", 1, 3)


def test_a_doubled_effect_is_caught_under_two_keys() -> None:
    facts = sound()
    again = msgspec.structs.replace(facts.ledger.bookings[0], key="another")
    found = judge(with_bookings(facts, again, again))
    assert (found.verdict, found.effects_duplicated) == ("failed", 2)
    assert "another" in found.findings[0]


def test_an_effect_that_nobody_was_due_is_caught() -> None:
    found = judge(with_bookings(sound(), Entry("k", "t0", "order-0", 5)))
    assert (found.verdict, found.effects_unexpected, found.effects_duplicated) == ("failed", 1, 0)


def test_a_wrong_amount_is_both_missing_and_unexpected() -> None:
    found = judge(with_bookings(sound(), Entry("k", "t1", "order-1", 999_999), without=0))
    assert (found.effects_missing, found.effects_unexpected, found.effects_duplicated) == (1, 1, 0)


def test_one_key_for_two_effects_is_caught() -> None:
    facts = sound()
    key = facts.ledger.bookings[1].key
    found = judge(with_bookings(facts, msgspec.structs.replace(facts.ledger.bookings[0], key=key), without=0))
    assert found.verdict == "failed"
    assert (found.effects_missing, found.effects_duplicated) == (0, 0)
    assert f"key {key} stands for 2 different effects" in found.findings[0]


def test_a_ticket_that_the_drill_itself_submitted_twice_is_caught() -> None:
    facts = sound()
    found = judge(msgspec.structs.replace(facts, submissions=[*facts.submissions, facts.submissions[0]]))
    assert found.verdict == "failed"
    assert "submitted 2 times by the drill" in found.findings[0]


def test_without_load_the_drill_is_invalid() -> None:
    found = judge(Facts(submissions=[], ledger=Ledger(), answers={}))
    assert found.verdict == "invalid"
    assert "load never ran" in found.findings[0]


def test_a_system_that_never_acknowledged_anything_makes_the_drill_invalid() -> None:
    found = judge(Facts(submissions=[Submission("t", {"o": 1})], ledger=Ledger(), answers={}))
    assert found.verdict == "invalid"


def test_a_drill_without_any_effect_due_is_invalid() -> None:
    facts = Facts(submissions=[Submission("t", {}, ("r",))], ledger=Ledger(), answers={"r": "completed"})
    assert judge(facts).verdict == "invalid"


def test_faults_that_never_bit_make_a_clean_drill_invalid() -> None:
    found = judge(sound(faults_bitten=0))
    assert found.verdict == "invalid"
    assert found.findings == ("none of 3 planned faults ever bit",)


def test_faults_that_left_nothing_in_doubt_make_a_clean_drill_invalid() -> None:
    assert judge(sound(in_doubt_verified=0)).verdict == "invalid"


def test_without_faults_nothing_needs_to_have_been_in_doubt() -> None:
    assert judge(sound(faults_planned=0, faults_bitten=0, in_doubt_verified=0)).verdict == "passed"


def test_a_loss_is_a_failure_even_when_no_fault_bit() -> None:
    assert judge(with_bookings(sound(faults_bitten=0), without=0)).verdict == "failed"


@given(
    lost=st.sets(st.integers(0, 19)),
    missing=st.sets(st.integers(0, 9)),
    doubled=st.lists(st.integers(0, 9), max_size=12),
)
def test_planted_faults_are_counted_exactly(lost: set[int], missing: set[int], doubled: list[int]) -> None:
    submissions = [Submission(f"t{i}", {f"o{i}": i + 1} if i < 10 else {}, (f"r{i}",)) for i in range(20)]
    again = [i for i in doubled if i not in missing]
    bookings = [Entry(f"k{i}", f"t{i}", f"o{i}", i + 1) for i in [*(set(range(10)) - missing), *again]]
    found = judge(
        Facts(
            submissions=submissions,
            ledger=Ledger(bookings, bookings),
            answers={f"r{i}": "held" if i in lost else "completed" for i in range(20)},
        )
    )
    assert (found.runs_total, found.runs_lost) == (20, len(lost))
    assert (found.effects_expected, found.effects_missing) == (10, len(missing))
    assert found.effects_duplicated == len(again)
    assert found.effects_unexpected == found.runs_doubled == found.runs_unexpected == 0
    assert (found.verdict == "passed") == (not lost and not missing and not again)


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none.sqlite") == Ledger()


def test_a_ledger_file_without_tables_is_empty(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l.sqlite")) as base:
        base.execute("CREATE TABLE other (x)")
    assert read_ledger(tmp_path / "l.sqlite") == Ledger()


def test_a_file_that_is_no_ledger_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "l.sqlite").write_bytes(b"not a database, surely not a database" * 100)
    with pytest.raises(sqlite3.Error):
        read_ledger(tmp_path / "l.sqlite")


def test_the_ledger_is_read_in_order(tmp_path: Path) -> None:
    columns = "(id INTEGER PRIMARY KEY, key, ticket, subject, amount, pid, at)"
    with closing(sqlite3.connect(tmp_path / "l.sqlite")) as base, base:
        base.execute(f"CREATE TABLE attempt {columns}")
        base.execute(f"CREATE TABLE booking {columns}")
        row = "(key, ticket, subject, amount, pid, at) VALUES ('k', 't', 'o', 5, 1, 2.5)"
        base.execute(f"INSERT INTO attempt {row}")
        base.execute(f"INSERT INTO attempt {row}")
        base.execute(f"INSERT INTO booking {row}")
    found = read_ledger(tmp_path / "l.sqlite")
    assert found == Ledger((Entry("k", "t", "o", 5, 1, 2.5),) * 2, (Entry("k", "t", "o", 5, 1, 2.5),))
