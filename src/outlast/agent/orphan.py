"""A run whose agent is not in the app that runs now: it cannot go on, yet what people decide about it is done.

A cancellation ends it, a decision about a step in doubt is recorded, and a run that was about to continue as new does
so. Whatever needs its code waits until the agent is back and the run is redriven.
"""

from __future__ import annotations

import msgspec

from outlast.agent import event as ev
from outlast.agent.ending import state_of
from outlast.agent.farewell import tell_others
from outlast.agent.handover import forward, make_successor
from outlast.agent.history import History, Intent
from outlast.agent.mail import Mailbox, inbox_key
from outlast.agent.platform import Platform
from outlast.agent.wait import stop_child
from outlast.journal.index import HintPatch, State
from outlast.kernel.clock import stamp
from outlast.kernel.error import OutlastError, StoreCorrupt, StoreSealed, StoreUnavailable

Settled = ev.StepDone | ev.StepFailedEvent | ev.StepCleared
"""What a person's decision makes of a step in doubt."""


class Decided(msgspec.Struct, frozen=True):
    """The events to append, and what they change about the run's entry in the index."""

    events: list[ev.RunEvent]
    hint: HintPatch


async def decide(platform: Platform, run: str, history: History) -> Decided:
    """What becomes of the run. What this does before the append may be done again. Raises StoreUnavailable."""
    mailbox, seen = await _read_mail(platform, run, history)
    events: list[ev.RunEvent] = []
    settled: list[Settled] = []
    if history.continuing is not None:
        await make_successor(platform, run, history)
        mailbox, seen = await _read_mail(platform, run, history)  # whoever posts from here on finds the successor
        await forward(platform, mailbox, history.continuing.run)
        events.append(ev.RunContinued(history.continuing.run))
    else:
        settled = await _settle(platform, history, mailbox)
        events.extend(settled)
        events.extend(_cancel(history, mailbox, {event.place for event in settled}))
    last = events[-1] if events else None
    if isinstance(last, ev.RunCancelledEvent):
        await _stop_children(platform, run, history)
    elif not isinstance(last, ev.RunHeld | ev.RunContinued):
        events.extend(_doubt(history, {event.place for event in settled}))
        last = _rest(history)
        events.append(last)
    state, reason = _state(history, last)
    now = stamp(platform.clock)
    hint = HintPatch(run, state=state, owner="", wake_at=0.0, seen=seen, reason=reason, updated_at=now)
    return Decided(events, hint)


async def conclude(platform: Platform, run: str, history: History, decided: Decided) -> None:
    """After the append: who may wait for this run's end is told."""
    last = decided.events[-1]
    if isinstance(last, ev.RunEnd) and history.created is not None:
        await tell_others(platform, run, history.created, last, None, None)


async def _read_mail(platform: Platform, run: str, history: History) -> tuple[Mailbox, int]:
    """The mailbox, and the last letter that has been looked at."""
    mailbox = Mailbox(history)
    try:
        await mailbox.fetch(platform, run)
    except (StoreCorrupt, StoreSealed):
        # nothing in it is acted on, and it is not looked at again before something new comes
        return Mailbox(history), (await platform.store.head(inbox_key(platform, run))).seq
    return mailbox, mailbox.read_to


async def _settle(platform: Platform, history: History, mailbox: Mailbox) -> list[Settled]:
    """What people have decided about steps in doubt. Their executors must not act any more when it is recorded."""
    settled: list[Settled] = []
    for place, (number, letter) in mailbox.resolutions.items():
        intent = history.intents.get(place)
        if intent is None or letter.attempt not in (0, intent.event.attempt):
            continue
        await platform.executors.confirm_dead(intent.worker)
        settled.append(_settled(intent, number, letter))
    return settled


def _settled(intent: Intent, number: int, letter: ev.MailResolve) -> Settled:
    was = intent.event
    match letter.how:
        case "done":
            return ev.StepDone(
                was.place, was.name, kind="tool", args=was.args, attempt=was.attempt, started_at=intent.at,
                value=letter.value, by="person", mail=number,
            )  # fmt: skip
        case "fail":
            error = ev.Failure("outlast.Resolved", letter.message or "a person decided that it failed")
            return ev.StepFailedEvent(
                was.place, was.name, kind="tool", args=was.args, attempt=was.attempt, started_at=intent.at,
                error=error, by="person", mail=number,
            )  # fmt: skip
        case "retry":
            return ev.StepCleared(was.place, was.attempt, "person", number)


def _cancel(history: History, mailbox: Mailbox, settled: set[str]) -> list[ev.RunEvent]:
    """The run's end, if it is to be cancelled and nothing is in doubt any more."""
    events: list[ev.RunEvent] = []
    if history.cancelling is not None:
        reason = history.cancelling.reason
    elif mailbox.cancel is not None:
        number, letter = mailbox.cancel
        reason = letter.reason
        events.append(ev.RunCancelling(number, reason))
    else:
        return []
    doubted = [(place, intent) for place, intent in history.intents.items() if place not in settled]
    if not doubted:
        return [*events, ev.RunCancelledEvent(reason)]
    place, intent = doubted[0]
    if place not in history.held or events:
        why = f"cancelled, but step {place} ({intent.event.name}) is in doubt: resolve it by hand"
        events.append(ev.RunHeld("in_doubt", why, place))
    return events


async def _stop_children(platform: Platform, run: str, history: History) -> None:
    """As the run itself would: one whose inbox cannot take it ends by its deadline."""
    for child in history.children.values():
        try:
            await stop_child(platform, run, child.run)
        except StoreUnavailable:
            raise
        except OutlastError:
            continue


def _doubt(history: History, settled: set[str]) -> list[ev.StepDoubted]:
    """Steps whose worker is gone and that nobody verifies: a person may decide about them."""
    reason = "its worker is gone, and its agent is not in the app that could verify it"
    open_places = history.intents.keys() - history.doubts.keys() - settled
    return [ev.StepDoubted(place, history.intents[place].event.attempt, reason) for place in sorted(open_places)]


def _rest(history: History) -> ev.RunHeld | ev.RunParked:
    if "" in history.held:
        return ev.RunParked("still held", 0.0)
    agent = history.created.agent if history.created is not None else ""
    reason = f"its agent {agent!r} is not in the app that runs now: bring it back, then redrive, or cancel the run"
    return ev.RunHeld("unknown_agent", reason, "")


def _state(history: History, last: ev.RunEvent) -> tuple[State, str]:
    match last:
        case ev.RunCancelledEvent() | ev.RunContinued():
            return state_of(last)
        case ev.RunHeld():
            return "held", last.reason
        case _:
            return "held", history.held[""].reason
