"""The judge of a drill. It keeps its own books and believes nobody.

What it knows comes from three places, none of them inside the system under test: what was submitted (written down
before it was sent), the ledger in which the world notes what was done to it, and what the system answers in public.
`judge` compares them and is a pure function; `read_ledger` collects the second.

An effect is identified by what the submitter meant, *(ticket, subject)*, not by the key that the system made: a system
that books one refund under two keys has booked it twice.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

Verdict = Literal["passed", "failed", "invalid"]


class Submission(msgspec.Struct, frozen=True):
    """One ticket as its submitter wrote it down: its unique identity, the effects that are due for it (subject, such as
    an order number, to amount in cents), and the runs by which the system acknowledged it (more than one: doubled).
    """

    ticket: str
    effects: Mapping[str, int] = {}
    runs: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger: `amount` in cents, `pid` of the process that wrote it, `at` seconds since 1970."""

    key: str
    ticket: str
    subject: str
    amount: int
    pid: int = 0
    at: float = 0.0


class Ledger(msgspec.Struct, frozen=True):
    """What the world noted: calls that reached it, and bookings that it made."""

    attempts: Sequence[Entry] = ()
    bookings: Sequence[Entry] = ()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged. `answers` maps each run that the system knows to the state it tells.

    `faults_planned` and `faults_bitten` count injected faults; a fault has bitten when something was seen to fall.
    """

    submissions: Sequence[Submission]
    ledger: Ledger
    answers: Mapping[str, str]
    in_doubt_verified: int = 0
    faults_planned: int = 0
    faults_bitten: int = 0


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The counts, the verdict, and one line for people for each thing that is wrong.

    `runs_total` counts submissions; each is completed or lost. `effects_done` counts due effects that were booked
    with the due amount at least once; `effects_duplicated` counts bookings beyond the first of an effect;
    `effects_unexpected` counts bookings, beyond those, of what nobody was due.
    """

    runs_total: int
    runs_completed: int
    runs_lost: int
    runs_doubled: int
    runs_unexpected: int
    effects_expected: int
    effects_attempted: int
    effects_done: int
    effects_duplicated: int
    effects_missing: int
    effects_unexpected: int
    verdict: Verdict
    findings: tuple[str, ...]


def judge(facts: Facts) -> Judgement:
    """What was lost, doubled, missing or never due.

    ``invalid`` when the load never ran; else ``failed`` when anything is wrong; else ``invalid`` when the drill proves
    nothing (no effect was due, a fault was planned and none bit, or none left an effect in doubt); else ``passed``.
    """
    findings: list[str] = []
    runs = _judge_runs(facts, findings)
    effects = _judge_effects(facts, findings)
    void = _proves_nothing(facts)
    verdict: Verdict = "passed"
    if not _load_ran(facts) or (void and not findings):
        verdict = "invalid"
    elif findings:
        verdict = "failed"
    return Judgement(**runs, **effects, verdict=verdict, findings=(*findings, *void))


def _judge_runs(facts: Facts, findings: list[str]) -> dict[str, int]:
    completed = doubled = 0
    tickets = Counter(one.ticket for one in facts.submissions)
    findings.extend(f"ticket {ticket} was submitted {n} times by the drill" for ticket, n in tickets.items() if n > 1)
    owners: dict[str, str] = {}
    for one in facts.submissions:
        runs = tuple(dict.fromkeys(one.runs))
        if len(runs) > 1:
            doubled += len(runs) - 1
            findings.append(f"ticket {one.ticket} got {len(runs)} runs, expected one: {', '.join(runs)}")
        for run in runs:
            other = owners.setdefault(run, one.ticket)
            if other != one.ticket:
                findings.append(f"run {run} answers for two tickets: {other} and {one.ticket}")
        states = [facts.answers.get(run, "unknown to the system") for run in runs]
        if states and all(state == "completed" for state in states):
            completed += 1
        else:
            found = ", ".join(f"run {run} is {state}" for run, state in zip(runs, states, strict=True))
            findings.append(f"ticket {one.ticket} is lost: {found or 'never acknowledged'}")
    strangers = [run for run in facts.answers if run not in owners]
    findings.extend(f"run {run} was never submitted" for run in strangers)
    total = len(facts.submissions)
    return {
        "runs_total": total,
        "runs_completed": completed,
        "runs_lost": total - completed,
        "runs_doubled": doubled,
        "runs_unexpected": len(strangers),
    }


def _judge_effects(facts: Facts, findings: list[str]) -> dict[str, int]:
    due = {(one.ticket, subject): cents for one in facts.submissions for subject, cents in one.effects.items()}
    booked: dict[tuple[str, str], list[Entry]] = {}
    for entry in facts.ledger.bookings:
        booked.setdefault((entry.ticket, entry.subject), []).append(entry)
    missing = duplicated = unexpected = 0
    for pair, cents in due.items():
        if not any(entry.amount == cents for entry in booked.get(pair, ())):
            missing += 1
            findings.append(f"effect {_name(pair)} of {cents} cents is missing from the ledger")
    for pair, entries in booked.items():
        if len(entries) > 1:
            duplicated += len(entries) - 1
            keys = ", ".join(sorted({entry.key for entry in entries}))
            findings.append(f"effect {_name(pair)} was booked {len(entries)} times, under {keys}")
        if any(entry.amount != due.get(pair) for entry in entries):
            unexpected += 1
            amounts = ", ".join(str(entry.amount) for entry in entries)
            findings.append(f"effect {_name(pair)} was booked with {amounts} cents, due was {due.get(pair, 'nothing')}")
    findings.extend(_shared_keys(facts.ledger.bookings))
    return {
        "effects_expected": len(due),
        "effects_attempted": len(facts.ledger.attempts),
        "effects_done": len(due) - missing,
        "effects_duplicated": duplicated,
        "effects_missing": missing,
        "effects_unexpected": unexpected,
    }


def _shared_keys(bookings: Iterable[Entry]) -> list[str]:
    pairs: dict[str, set[tuple[str, str]]] = {}
    for entry in bookings:
        pairs.setdefault(entry.key, set()).add((entry.ticket, entry.subject))
    return [
        f"key {key} stands for {len(found)} different effects: {', '.join(_name(pair) for pair in sorted(found))}"
        for key, found in pairs.items()
        if len(found) > 1
    ]


def _load_ran(facts: Facts) -> bool:
    return bool(facts.answers or facts.ledger.attempts or any(one.runs for one in facts.submissions))


def _proves_nothing(facts: Facts) -> list[str]:
    void: list[str] = []
    if not _load_ran(facts):
        void.append("the load never ran: nothing was submitted, or nothing was acknowledged and nothing done")
    if not any(one.effects for one in facts.submissions):
        void.append("no submitted ticket makes an effect due: duplicates could not have shown")
    if facts.faults_planned and not facts.faults_bitten:
        void.append(f"none of {facts.faults_planned} planned faults ever bit")
    if facts.faults_planned and not facts.in_doubt_verified:
        void.append("no effect was ever in doubt: no fault fell between an effect and its record")
    return void


def _name(pair: tuple[str, str]) -> str:
    return f"{pair[1]} of ticket {pair[0]}"


def read_ledger(path: Path) -> Ledger:
    """The ledger as it stands: SQLite tables ``attempt`` and ``booking`` with the columns of `Entry`.

    A file that is not there yet is an empty ledger. Raises sqlite3.Error for one that cannot be read. It is opened
    for writing although nothing is written: SQLite must undo the half-finished transaction of a killed writer.
    """
    if not path.exists():
        return Ledger()
    with closing(sqlite3.connect(path, timeout=10.0)) as base:
        base.execute("PRAGMA query_only = ON")
        tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return Ledger(
            attempts=_entries(base, "SELECT key, ticket, subject, amount, pid, at FROM attempt ORDER BY id")
            if "attempt" in tables
            else (),
            bookings=_entries(base, "SELECT key, ticket, subject, amount, pid, at FROM booking ORDER BY id")
            if "booking" in tables
            else (),
        )


def _entries(base: sqlite3.Connection, query: str) -> tuple[Entry, ...]:
    rows: list[tuple[Any, ...]] = base.execute(query).fetchall()
    return tuple(Entry(*row) for row in rows)
