"""The judge of a failover: compares the books of the load with what is left, and with what the world was done to.

It believes the books (what was acknowledged to whom), the ledger (what was done), and the streams as they are read from
the database at the end. What the engine itself reports as lost is compared, never believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from outlast.drill.failover.booking import Booking
from outlast.drill.linearizability import judge_history
from outlast.drill.recorder import AnyCall, AppendCall, Place, Seen


class Record(msgspec.Struct, frozen=True, order=True):
    """An append by where it stood: its stream, its first and its last event."""

    stream: str
    first: int
    last: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one experiment. Records are appends: each holds one event or more."""

    records_acknowledged: int
    events_acknowledged: int
    records_lost: int
    events_lost: int
    effects_due: int
    effects_done: int
    effects_doubled: int
    runs: int
    runs_completed: int
    calls: int
    calls_unknown: int
    streams: int
    streams_not_linearizable: int


def acknowledged(calls: Iterable[AnyCall]) -> set[tuple[str, Seen]]:
    """Every record that somebody was told is durable: it, or one that was written on top of it."""
    made: dict[tuple[str, Place], AppendCall] = {}
    told: list[AppendCall] = []
    for call in calls:
        if isinstance(call, AppendCall):
            made[call.stream, call.made.place] = call
            if call.answer == "applied":
                told.append(call)
    found: set[tuple[str, Seen]] = set()
    while told:
        call = told.pop()
        if (call.stream, call.made) not in found:
            found.add((call.stream, call.made))
            before = made.get((call.stream, call.expected))
            if before is not None:
                told.append(before)
    return found


def lost(calls: Iterable[AnyCall], left: Mapping[str, Sequence[Seen]]) -> list[Record]:
    """Acknowledged records that do not stand where they were acknowledged."""
    stands = {(stream, record) for stream, records in left.items() for record in records}
    gone = [key for key in acknowledged(calls) if key not in stands]
    return sorted(Record(stream, record.seq, record.place.seq) for stream, record in gone)


def first_acknowledged_after(calls: Iterable[AnyCall], at: float) -> float | None:
    """When an append that was *sent* after `at` was acknowledged for the first time."""
    ended = [
        call.ended
        for call in calls
        if isinstance(call, AppendCall) and call.answer == "applied" and call.began > at and call.ended is not None
    ]
    return min(ended, default=None)


def doubled(bookings: Iterable[Booking]) -> dict[tuple[str, int], int]:
    """Effects that were done more than once, by what was meant, with how often."""
    counts = Counter((booking.run, booking.number) for booking in bookings)
    return {pair: count for pair, count in counts.items() if count > 1}


def judge(
    calls: Sequence[AnyCall],
    left: Mapping[str, Sequence[Seen]],
    bookings: Sequence[Booking],
    runs: Mapping[str, tuple[str, str]],
    per_run: int,
) -> tuple[Judgement, list[str]]:
    """The counts, and a line for people for each thing that is wrong in an experiment that must lose nothing.

    `left`: every stream as it is now. `runs`: by name, each run's identifier and its state. `per_run`: bookings due.
    """
    known = acknowledged(calls)
    gone = lost(calls, left)
    twice = doubled(bookings)
    order = judge_history(calls)
    completed = {name for name, (_, state) in runs.items() if state == "completed"}
    due = {(name, number) for name in completed for number in range(per_run)}
    done = {(booking.run, booking.number) for booking in bookings}
    findings = [f"acknowledged append {one.stream} {one.first}-{one.last} is lost" for one in gone[:10]]
    findings += [f"effect {number} of run {run} was done {n} times" for (run, number), n in list(twice.items())[:10]]
    findings += [f"effect {number} of completed run {run} was never done" for run, number in sorted(due - done)[:10]]
    findings += [f"run {name} ({run}) is {state}" for name, (run, state) in runs.items() if name not in completed][:10]
    findings += [f"stream {one.stream} is not linearizable: {one.finding}" for one in order.violations[:5]]
    judgement = Judgement(
        records_acknowledged=len(known),
        events_acknowledged=sum(record.count for _, record in known),
        records_lost=len(gone),
        events_lost=sum(one.last - one.first + 1 for one in gone),
        effects_due=len(due),
        effects_done=len(due & done),
        effects_doubled=sum(count - 1 for count in twice.values()),
        runs=len(runs),
        runs_completed=len(completed),
        calls=order.calls,
        calls_unknown=order.unknown,
        streams=order.streams,
        streams_not_linearizable=len(order.violations),
    )
    return judgement, findings
