"""Steps whose effect may or may not have happened: verified, cleared, or held for a person. Never guessed.

Order matters: first the old executor must be unable to act, then `verify` is asked. The other way round, an executor
that was only frozen could act after the answer.

Source: Helland, "Life beyond Distributed Transactions" (CIDR 2007), on uncertainty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from outlast.agent import event as ev
from outlast.agent.attempt import Threads, in_thread, on_loop
from outlast.agent.context import Context
from outlast.agent.failure import bounded, record_failure
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.stack import tell_where
from outlast.agent.step import StepCall, is_async
from outlast.agent.verdict import Done, Unknown, Verdict
from outlast.journal.blob import load_payload
from outlast.kernel.codec import decode
from outlast.kernel.error import NotDone, StepFailed, TypeMismatch
from outlast.kernel.use import used

CLEARED: Any = object()
"""Another attempt is allowed."""


class Results(Protocol):
    """How an outcome is recorded and given."""

    def bounds(self, call: StepCall[Any], number: int, *, whole: bool) -> tuple[float, Context[Any]]: ...

    async def done(
        self, call: StepCall[Any], number: int, started: float, value: Any, by: ev.By = "call", mail: int = 0
    ) -> Any: ...

    async def fail(self, call: StepCall[Any], number: int, started: float, error: Exception, mail: int = 0) -> Any: ...


class Persons(Protocol):
    """Where people's decisions come in."""

    async def resolution(self, call: StepCall[Any], attempt: int) -> tuple[int, ev.MailResolve]: ...


class Doubt:
    """Settles the steps in doubt of one run."""

    def __init__(
        self, recorder: Recorder, platform: Platform, threads: Threads, persons: Persons, stopping: Callable[[], bool]
    ) -> None:
        self._recorder = recorder
        self._history = recorder.history
        self._platform = platform
        self._threads = threads
        self._persons = persons
        self.stopping = stopping
        self._over_since: dict[tuple[str, int], float] = {}

    async def settle(self, call: StepCall[Any], results: Results) -> Any:
        """The step's result, or CLEARED; raises the error that a person or a type gave it."""
        step, place = call.step, call.place
        intent = self._history.intents[place]
        number = intent.event.attempt
        if place in self._history.held:
            return await self._ask(call, number, results, self._history.held[place].reason)
        if step.verify is None:
            reason = f"step {place} ({step.name}) may or may not have happened, and the tool has no verify"
            if place in self._history.presumed:
                reason = f"step {place} ({step.name}): {self._history.doubts[place].reason}, and the tool has no verify"
            return await self._ask(call, number, results, reason)
        failures = 0
        settle_s = max(step.settle_s, intent.event.settle_s)
        while True:
            wait_s = await self._act_until(place, settle_s)
            try:
                verdict = await self._verify(call, number, results)
            except Exception as error:  # noqa: BLE001 # verify is user code: it may raise anything, and is asked again
                failures += 1
                tell_where(f"verify of {step.name} at {place} failed, run {self._recorder.run}", error)
                if failures >= self._platform.settings.verify_attempts_max:
                    said = record_failure(error)
                    reason = f"verify of {step.name} at {place} failed {failures} times: {said.type}: {said.message}"
                    return await self._ask(call, number, results, reason)
                await self._platform.clock.sleep(0.2 * 2**failures)
                continue
            if isinstance(verdict, Done):
                return await results.done(call, number, intent.at, verdict.value, "verify")
            if isinstance(verdict, Unknown) or verdict is Unknown:
                said_why = f": {verdict.reason}" if isinstance(verdict, Unknown) and verdict.reason else ""
                return await self._ask(call, number, results, f"verify of {step.name} at {place} cannot tell{said_why}")
            if not (isinstance(verdict, NotDone) or verdict is NotDone):
                reason = (
                    f"verify of {step.name} at {place} answered {type(verdict).__name__}: expected Done(value), "
                    "NotDone or Unknown"
                )
                return await self._ask(call, number, results, reason)
            if wait_s == 0.0:
                await self._recorder.record(ev.StepCleared(place, number, "verify"))
                return CLEARED
            if wait_s is None:
                reason = (
                    f"verify of {step.name} at {place} says not done, but its old executor "
                    f"{intent.worker or 'is not known and'} may still act: declare settle=... on the tool, or decide "
                    "by hand"
                )
                return await self._ask(call, number, results, reason)
            await self._platform.clock.sleep(wait_s)

    async def _act_until(self, place: str, settle_s: float) -> float | None:
        """Seconds from now after which the effect of the old attempt can no longer begin; None: nobody can say.

        An executor on this host is killed if it still lives; what it may have sent is then on its way for the settle
        time. Of one elsewhere only its promise is known, the settle time after the intent: it is counted from when this
        worker first looked, which is later, by its own clock; two hosts' clocks may differ by more than that.
        """
        clock, intent = self._platform.clock, self._history.intents[place]
        if intent.worker == self._recorder.worker:
            acting = self._threads.acting(intent.event.key)
            if acting is not None:
                await asyncio.wait([acting], timeout=self._platform.settings.step_timeout_s)
                if not acting.done():
                    return None
            over = True
        else:
            over = bool(intent.worker) and await self._platform.executors.confirm_dead(intent.worker)
        if over or settle_s > 0:
            since = self._over_since.setdefault((place, intent.event.attempt), clock.monotonic())
            return max(0.0, since + settle_s - clock.monotonic())
        return None

    async def _verify(self, call: StepCall[Any], number: int, results: Results) -> Verdict[Any]:
        step = call.step
        timeout_s, context = results.bounds(call, number, whole=True)
        arguments = (context, *call.arguments) if step.verify_takes_context else call.arguments
        self._platform.points.reach("verify.before", step.name)
        assert step.verify is not None
        what = f"verify of {step.name} at {call.place}"
        token = used.set(call.uses)
        try:
            if is_async(step.verify):
                verdict = await on_loop(step.verify, arguments, call.keywords, timeout_s, what)
            else:
                verdict = await in_thread(step.verify, arguments, call.keywords, timeout_s, what, self._threads)
        finally:
            used.reset(token)
        self._platform.points.reach("verify.after", step.name)
        return verdict

    async def _ask(self, call: StepCall[Any], number: int, results: Results, reason: str) -> Any:
        # a person looks at a world in which the old executor acts no more, and what it sent has arrived
        settle_s = max(call.step.settle_s, self._history.intents[call.place].event.settle_s)
        wait_s = await self._act_until(call.place, settle_s)
        if wait_s and call.place not in self._history.held:
            await self._platform.clock.sleep(wait_s)
        self._recorder.asked[call.place] = bounded(reason)
        self._recorder.begin_wait(call, 0.0)
        if call.place not in self._history.held:
            await self._hold(call, reason)
        while True:
            mail, resolution = await self._persons.resolution(call, number)
            if resolution.how != "done":
                break
            raw = await self._recorder.reach(load_payload(resolution.value, self._platform.blobs))
            try:
                value = decode(raw, call.step.result, f"the value given for {call.step.name} at {call.place}")
            except TypeMismatch as error:
                reason = self._recorder.asked[call.place] = bounded(f"{error}; resolve it with another value")
                self._recorder.begin_wait(call, 0.0)
                await self._hold(call, reason, mail)
                continue
            return await results.done(call, number, self._platform.clock.now(), value, "person", mail)
        now = self._platform.clock.now()
        if resolution.how == "retry":
            await self._recorder.record(ev.StepCleared(call.place, number, "person", mail))
            return CLEARED
        message = resolution.message or "a person decided that it failed"
        return await results.fail(call, number, now, StepFailed("outlast.Resolved", message), mail)

    async def _hold(self, call: StepCall[Any], reason: str, mail: int = 0) -> None:
        event = ev.RunHeld("in_doubt", bounded(reason), call.place, mail, self._recorder.seen)
        await asyncio.shield(asyncio.ensure_future(self._recorder.record(event)))
