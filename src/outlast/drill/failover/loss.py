"""What the engine says was lost, beside what the books say: to the event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from outlast.drill.failover.judge import Record
from outlast.drill.recorder import AnyCall, AppendCall

Event = tuple[str, int]
"""A stream and the number of an event in it. One place can be lost more than once, by several failovers."""


class Compared(msgspec.Struct, frozen=True):
    """Events: reported by the engine, lost by the books and not reported, reported and not lost.

    `unanswered` were reported, too, and are there: they were committed on the server that died, their writer was never
    told so, and has sent the same bytes again.
    """

    reported: int
    unanswered: int
    unreported: Counter[Event]
    invented: Counter[Event]


def events_of(records: Iterable[Record]) -> Counter[Event]:
    """Every event of some lost appends."""
    return Counter((one.stream, number) for one in records for number in range(one.first, one.last + 1))


def reported(memory: Path) -> Counter[Event]:
    """Every event in the loss reports that processes with this memory have written; once for each failover."""
    from outlast.adapters.postgres.loss import losses_beside, read_losses

    found = {
        (report.timeline, lost.stream, number)
        for report in read_losses(losses_beside(memory))
        for lost in report.lost
        for number in range(lost.first, lost.last + 1)
    }
    return Counter((stream, number) for _, stream, number in found)


def unanswered(calls: Iterable[AnyCall]) -> set[Event]:
    """Every event whose append was once of unknown outcome."""
    return {
        (call.stream, number)
        for call in calls
        if isinstance(call, AppendCall) and call.answer == "unknown"
        for number in range(call.made.seq, call.made.place.seq + 1)
    }


def compare(calls: Iterable[AnyCall], gone: Iterable[Record], told: Counter[Event]) -> Compared:
    """The two books side by side."""
    events = events_of(gone)
    open_ = unanswered(calls)
    more = told - events
    invented = Counter({event: count for event, count in more.items() if event not in open_})
    return Compared(told.total(), (more - invented).total(), events - told, invented)
