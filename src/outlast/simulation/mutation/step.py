"""Bugs of steps: intents, doubt, verification, replay order, gather."""

# ruff: noqa: SLF001 (it stands in for what it replaces, and sees what that sees)
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from outlast.agent import event as ev
from outlast.agent.branch import start_line
from outlast.agent.doubt import CLEARED, Doubt, Results
from outlast.agent.history import Settled
from outlast.agent.perform import Performer
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.replay import Replay
from outlast.agent.step import Frame, StepCall
from outlast.agent.verdict import Verdict
from outlast.simulation.mutation.patch import Mutant, Patch, everywhere

_record = Recorder.record
_act_until = Doubt._act_until
_verify = Doubt._verify
_ask = Doubt._ask


async def _record_no_intent(self: Recorder, *events: ev.RunEvent) -> float:
    if isinstance(events[0], ev.StepIntended):
        at = round(self._platform.clock.now(), 6)
        self._fold(events, at)
        return at
    return await _record(self, *events)


async def _clear_at_once(self: Doubt, call: StepCall[Any], results: Results) -> Any:
    number = self._history.intents[call.place].event.attempt
    await self._recorder.record(ev.StepCleared(call.place, number, "verify"))
    return CLEARED


def _is_foreign(doubt: Doubt, place: str) -> bool:
    return doubt._history.intents[place].worker != doubt._recorder.worker


async def _trust_silence(self: Doubt, place: str, settle_s: float) -> float | None:
    return 0.0 if _is_foreign(self, place) else await _act_until(self, place, settle_s)


async def _verify_then_confirm(self: Doubt, call: StepCall[Any], number: int, results: Results) -> Verdict[Any]:
    verdict = await _verify(self, call, number, results)
    if _is_foreign(self, call.place):
        await _act_until(self, call.place, 0.0)  # the bug: it could act after the answer and before this
    return verdict


async def _ignore_settle(self: Doubt, place: str, settle_s: float) -> float | None:
    return await _act_until(self, place, 0.0)


async def _settle_from_intent(self: Doubt, place: str, settle_s: float) -> float | None:
    left = await _act_until(self, place, settle_s)
    if left is None or not _is_foreign(self, place):
        return left
    return max(0.0, self._history.intents[place].at + settle_s - self._platform.clock.now())


async def _ask_first(self: Doubt, call: StepCall[Any], number: int, results: Results, reason: str) -> Any:
    self._asking = True  # type: ignore[attr-defined] # the mutant's own
    return await _ask(self, call, number, results, reason)


async def _not_for_people(self: Doubt, place: str, settle_s: float) -> float | None:
    return 0.0 if getattr(self, "_asking", False) else await _act_until(self, place, settle_s)


async def _once_as_any(self: Performer, call: StepCall[Any]) -> Any:
    return await self._repeatable(call)


def _in_any_order(self: Replay, place: str) -> Settled | None:
    return self._give(place)


async def _gather_until_error(
    frame: Frame,
    branches: Sequence[Callable[[], Awaitable[Any]]],
    limit: int | None,
    recorder: Recorder,
    platform: Platform,
) -> list[Any]:
    place = frame.scope.next_place("gather")
    platform.points.reach("gather.enter", place)
    gate = asyncio.Semaphore(limit or max(1, len(branches)))

    async def line(branch: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            recorder.busy += 1
            try:
                return await branch()
            except Exception:
                platform.points.reach("gather.error", place)
                raise
            finally:
                recorder.busy -= 1
                recorder.look()

    scopes = [frame.scope.branch(place, index) for index in range(len(branches))]
    recorder.busy -= 1
    tasks = [start_line(frame.engine, scope, line(branch)) for scope, branch in zip(scopes, branches, strict=True)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        recorder.busy += 1
        for task in tasks:
            task.cancel()  # the bug: the first error ends the others wherever they are
    platform.points.reach("gather.exit", place)
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            raise task.exception() or RuntimeError
    return [task.result() for task in tasks]


def _act(function: Any) -> list[Patch]:
    return [Patch(Doubt, "_act_until", function)]


MUTANTS = [
    Mutant("forget-the-intent", "a `once` step is called without its intent being recorded", "doubt", "crashes",
           lambda: [Patch(Recorder, "record", _record_no_intent)]),
    Mutant("retry-a-once", "a `once` step in doubt is tried again without asking", "doubt", "crashes",
           lambda: [Patch(Doubt, "settle", _clear_at_once)]),
    Mutant("once-as-any", "a `once` step is performed as one that may be repeated", "doubt", "crashes",
           lambda: [Patch(Performer, "_shielded_once", _once_as_any)]),
    Mutant("trust-silence", "a silent executor counts as dead without being confirmed dead", "doubt", "zombies",
           lambda: _act(_trust_silence)),
    Mutant("verify-before-death", "`verify` is asked before the old executor is confirmed dead", "doubt", "zombies",
           lambda: [*_act(_trust_silence), Patch(Doubt, "_verify", _verify_then_confirm)]),
    Mutant("ignore-settle", "what the old executor sent is not waited for", "doubt", "crashes",
           lambda: _act(_ignore_settle)),
    Mutant("settle-from-intent", "the settle time counts from the intent of an executor that was only frozen", "late",
           "zombies", lambda: _act(_settle_from_intent), shown_by=71),
    Mutant("person-before-death", "a person is asked while the old executor can still act", "doubt", "zombies",
           lambda: [*_act(_not_for_people), Patch(Doubt, "_ask", _ask_first)]),
    Mutant("replay-in-any-order", "recorded outcomes are given out in the order of the calls", "branches", "crashes",
           lambda: [Patch(Replay, "ready", _in_any_order)], shown_by=17),
    Mutant("gather-until-error", "the first error of a gather cancels the other branches", "branches", "crashes",
           lambda: everywhere("gather", _gather_until_error, "agent.execution")),
]  # fmt: skip
"""The steps'."""
