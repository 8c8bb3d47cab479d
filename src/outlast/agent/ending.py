"""How runs end: as they record it, and as those who wait for them see it."""

from __future__ import annotations

import msgspec

from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.failure import record_failure
from outlast.agent.origin import origin_of
from outlast.agent.platform import Platform
from outlast.journal.blob import Payload
from outlast.journal.chain import genesis, verify
from outlast.journal.index import State
from outlast.journal.stream import Head

_continuations_max = 10_000


class Ending(msgspec.Struct, frozen=True):
    """A run's result, or its error; `session` is the Payload of its SessionChange."""

    run: str
    value: Payload = Payload(msgspec.Raw(b"null"))
    error: ev.Failure | None = None
    session: Payload | None = None


async def last_event(platform: Platform, run: str) -> ev.RunEvent | None:
    """The last event of a run, its record verified against the one before; None if there is no such run."""
    last = await last_recorded(platform, run)
    return None if last is None else last[0]


async def last_recorded(platform: Platform, run: str) -> tuple[ev.RunEvent, float] | None:
    """As `last_event`, with the time in its record."""
    key = run_key(platform, run)
    head = await platform.store.head(key)
    back = 2
    while head.seq:
        records = await platform.store.read(key, max(0, head.seq - back), 1000)
        if len(records) > 1 or (records and records[0].seq == 1):
            start = genesis(key)
            if len(records) > 1:
                start = Head(records[-1].seq - 1, records[-2].hash)
            verify(key, records[-1:], start)
            envelope = ev.RUN.read(key, records[-1])
            return envelope.events[-1], envelope.at
        back *= 8  # the last two records begin earlier than that
    return None


async def last_of(platform: Platform, run: str) -> str:
    """The run that continues `run` now: itself, or the last of those that were continued as new."""
    for _ in range(_continuations_max):
        event = await last_event(platform, run)
        if not isinstance(event, ev.RunContinued):
            break
        run = event.run
    return run


async def read_ending(platform: Platform, run: str) -> Ending | None:
    """How a run ended, followed through its continuations; None while it has not."""
    for _ in range(_continuations_max):
        match await last_event(platform, run):
            case ev.RunCompleted() as event:
                return Ending(run, event.value, None, event.session)
            case ev.RunFailed() as event:
                return Ending(run, error=event.error)
            case ev.RunCancelledEvent() as event:
                return Ending(run, error=ev.Failure("outlast.RunCancelled", event.reason))
            case ev.RunContinued() as event:
                run = event.run
            case _:
                return None
    return None


def failed(error: Exception) -> ev.RunFailed:
    """The end of a run whose code raised, with the step that the error came from."""
    origin = origin_of(error)
    if origin is None:
        return ev.RunFailed(record_failure(error))
    return ev.RunFailed(record_failure(error), origin.place, origin.name, origin.attempt)


def state_of(event: ev.RunEnd) -> tuple[State, str]:
    """What the index says of a run that ended so: its state, and why in one line."""
    match event:
        case ev.RunCompleted():
            return "completed", ""
        case ev.RunFailed():
            where = f" in step {event.place} ({event.name}), attempt {event.attempt}" if event.place else ""
            return "failed", f"{event.error.type}: {event.error.message}"[:300] + where
        case ev.RunCancelledEvent():
            return "cancelled", event.reason
        case ev.RunContinued():
            return "continued", event.run
