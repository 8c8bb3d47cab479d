"""Bugs of runs: timers, signals, inboxes, cancelling, budgets, sessions, parking, dispatch, quarantine."""

# ruff: noqa: SLF001 (it stands in for what it replaces, and sees what that sees)
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.agent.departure import Departure
from outlast.agent.ending import Ending, read_ending
from outlast.agent.execution import Execution
from outlast.agent.history import History, Settled
from outlast.agent.mail import Letter, read_inbox
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.session import Entered, enter_turn, save_snapshot
from outlast.agent.step import StepCall
from outlast.agent.wait import Waits
from outlast.cell.doorbell import Doorbell
from outlast.policy.budget import Budget, Spent, exceeded
from outlast.simulation.mutation.patch import Mutant, Patch, everywhere

_sleep = Waits.sleep
_mail = Execution.mail


def _fold(kind: type[Any], function: Callable[..., None]) -> list[Patch]:
    return [Patch(History, "_fold", {**History._fold, kind: function})]


def _forget_timer(self: History, event: ev.TimerSet, at: float) -> None:
    self._trace(event.place, "sleep")


def _forget_mail(self: History, event: ev.SignalConsumed, at: float) -> None:
    self._trace(event.place, f"signal:{event.name}")
    self._settle(event.place, event, at)
    self.steps += 1


async def _sleep_once(self: Waits, call: StepCall[Any]) -> Settled:
    if call.place in self._history.timers:
        self._history.timers[call.place] = 0.0  # the bug: what was waited for before the takeover counts as over
    return await _sleep(self, call)


def _never_wake(self: Recorder) -> float:
    return 0.0


async def _never_there(platform: Platform, run: str, letters: list[Letter], mail: ev.Mail) -> int | None:
    return None


async def _mail_from_now_on(self: Execution) -> None:
    if self._ready:
        await _mail(self)
    else:
        _, self._mailbox.at = await read_inbox(self._platform, self.run_id)
        self._recorder.seen = self._mailbox.read_to


def _stopping_but_closing(self: Departure) -> bool:
    return self.leaving or self.why is not None or self.holding is not None


async def _close_at_once(self: Execution) -> None:
    assert self._closing.end is not None
    await self._unwind()
    await self._end(self._closing.end)


def _generous(budget: Budget, spent: Spent, grants: int = 0) -> str | None:
    return exceeded(budget, msgspec.structs.replace(spent, steps=spent.steps - 2), grants)


async def _any_ending(platform: Platform, run: str) -> Ending | None:
    return await read_ending(platform, run) or Ending(run)


async def _enter_and_save(platform: Platform, session: str, run: str, ttl_s: float, skip_held: bool) -> Entered:
    entered = await enter_turn(platform, session, run, ttl_s, skip_held)
    if entered.state is not None:
        await save_snapshot(platform, session, entered.turn, entered.state)
    return entered


async def _scan_nothing(self: Doorbell, *, owned: bool) -> None:
    return None


def _always_claim(*_: object) -> str:
    return "claim"


MUTANTS = [
    Mutant("forget-the-timer", "a timer is set anew after a takeover", "waits", "crashes",
           lambda: _fold(ev.TimerSet, _forget_timer)),
    Mutant("timer-at-takeover", "a timer counts as fired after a takeover", "waits", "crashes",
           lambda: [Patch(Waits, "sleep", _sleep_once)]),
    Mutant("park-forgets-wake", "a parked run does not say when it wants to go on", "waits", "none",
           lambda: [Patch(Recorder, "wake_at", _never_wake)]),
    Mutant("double-a-signal", "a signal that was consumed is there again after a takeover", "waits", "crashes",
           lambda: _fold(ev.SignalConsumed, _forget_mail)),
    Mutant("inbox-without-ids", "a message sent again stands in the inbox again", "waits", "network",
           lambda: everywhere("_number_of", _never_there, "agent.mail")),
    Mutant("inbox-unread", "what came before a run was claimed is not read", "doubt", "crashes",
           lambda: [Patch(Execution, "mail", _mail_from_now_on)]),
    Mutant("begin-while-cancelling", "the gate lets steps begin after a cancel was recorded", "stops", "none",
           lambda: [Patch(Departure, "is_stopping", _stopping_but_closing)], shown_by=7),
    Mutant("cancel-unsettled", "a cancelled run ends while a `once` step is in doubt", "cancels", "none",
           lambda: [Patch(Execution, "_close", _close_at_once)]),
    Mutant("generous-budget", "two steps more than the budget may begin", "budgets", "none",
           lambda: everywhere("exceeded", _generous, "agent.gate")),
    Mutant("turn-before-its-turn", "a turn begins before the one before it has ended", "sessions", "none",
           lambda: everywhere("read_ending", _any_ending, "agent.session")),
    Mutant("snapshot-too-early", "a session's snapshot is taken before the turn it names has ended", "sessions", "none",
           lambda: everywhere("enter_turn", _enter_and_save, "agent.turn")),
    Mutant("no-scan", "a hint that was lost is not made up for by looking", "steps", "network",
           lambda: [Patch(Doorbell, "_scan_once", _scan_nothing)]),
    Mutant("never-quarantine", "a run that kills its workers is claimed for ever", "neighbours", "none",
           lambda: everywhere("decide", _always_claim, "cell.claim")),
]  # fmt: skip
"""The runs'."""
