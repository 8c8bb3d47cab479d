"""Figures that are read from the public events of runs: recovery, takeover, steps that were in doubt. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_OWNING = frozenset({"run.claimed"})
_LETTING_GO = frozenset(
    {"run.released", "run.parked", "run.held", "run.quarantined", "run.completed", "run.failed", "run.cancelled",
     "run.continued"}
)  # fmt: skip
_BOOKKEEPING = frozenset({"run.created", "run.claimed", "run.trial", "run.redriven", "run.cancelling"})


class Event(msgspec.Struct, frozen=True):
    """One event as the API tells it: `at` is seconds since 1970 when its writer made it."""

    seq: int
    at: float
    type: str
    data: Mapping[str, Any] = {}


Histories = Mapping[str, Sequence[Event]]
"""Each run's events, in order."""


class Blow(msgspec.Struct, frozen=True):
    """A worker fell: its identity (as in ``run.claimed``) and when, in seconds since 1970."""

    worker: str
    at: float


class Recovery(msgspec.Struct, frozen=True):
    """What became of the runs that a fallen worker owned. Seconds after the blow; None: nothing of the kind came."""

    runs: int
    """How many runs it owned when it fell."""
    taken_over_s: float | None
    """Until another worker had claimed the first of them."""
    recovered_s: float | None
    """Until the first of them had recorded progress: a step, its end, anything but bookkeeping."""


def owned(events: Sequence[Event], worker: str, at: float) -> bool:
    """Whether `worker` held this run at the time `at`."""
    owner = ""
    for event in events:
        if event.at > at:
            break
        if event.type in _OWNING:
            owner = str(event.data.get("worker", ""))
        elif event.type in _LETTING_GO:
            owner = ""
    return owner == worker


def recovery(histories: Histories, blow: Blow) -> Recovery:
    """How long the runs of a fallen worker stood still: the soonest of them counts."""
    runs = [events for events in histories.values() if owned(events, blow.worker, blow.at)]
    after = [[event for event in events if event.at > blow.at] for events in runs]
    taken = [e.at for events in after for e in events if e.type in _OWNING and e.data.get("worker") != blow.worker]
    moved = [e.at for events in after for e in events if e.type not in _BOOKKEEPING]
    return Recovery(
        runs=len(runs),
        taken_over_s=round(min(taken) - blow.at, 3) if taken else None,
        recovered_s=round(min(moved) - blow.at, 3) if moved else None,
    )


def standstill_s(histories: Histories, at: float) -> float | None:
    """Seconds from `at` (the fall of something that all runs need) until a run begun before it surely went on.

    An event's time is when its writer made it, which may be before it became durable. A run has one append in flight
    at a time, so the *second* append after `at` shows that the first was acknowledged: that one's time counts.
    """
    moved: list[float] = []
    for events in histories.values():
        if events and events[0].at <= at:
            moved.extend(sorted({event.at for event in events if event.at > at})[1:2])
    return min(moved) - at if moved else None


def in_doubt_verified(histories: Histories) -> int:
    """How many times a step in doubt was decided by its tool's `verify`: found done, or found not done and cleared."""
    return sum(
        1
        for events in histories.values()
        for event in events
        if event.type in ("step.done", "step.cleared") and event.data.get("by") == "verify"
    )


def intents_open(events: Sequence[Event]) -> set[str]:
    """Places of ``once`` steps whose intent is recorded and whose outcome is not."""
    found: set[str] = set()
    for event in events:
        place = str(event.data.get("place", ""))
        if event.type in ("step.intended", "step.doubted"):
            found.add(place)
        elif event.type.startswith("step."):
            found.discard(place)
    return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: the smallest value that at least `share` (0 to 1) of all do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-len(ordered) * round(share * 1000) // 1000)  # rounded up, in whole numbers
    return ordered[max(0, rank - 1)]
