"""Steps that must not happen twice: their intent is recorded first, and what is in doubt is settled before a retry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NoReturn, Protocol

import msgspec

from outlast.agent import event as ev
from outlast.agent.arguments import digest
from outlast.agent.attempt import Threads
from outlast.agent.doubt import CLEARED, Doubt, Results
from outlast.agent.failure import rebuild, record_failure
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.step import Step, StepCall
from outlast.kernel.clock import stamp
from outlast.kernel.error import NotDone
from outlast.policy.retry import Retry

default_retry = Retry()


class Gate(Protocol):
    """Asked before anything new begins; does not return while the run may not go on."""

    async def pass_through(self, step: Step) -> None: ...

    async def pass_doubt(self, step: Step) -> None: ...

    async def halt(self, code: str, reason: str) -> NoReturn: ...

    def is_stopping(self) -> bool: ...


class Steps(Results, Protocol):
    """What is common to all steps."""

    def key(self, call: StepCall[Any]) -> str: ...

    def attempt(self, call: StepCall[Any], number: int) -> Coroutine[Any, Any, Any]: ...

    async def until(self, at: float) -> None: ...

    def tell_where(self, call: StepCall[Any], number: int, error: Exception) -> None: ...

    async def abandon(self, call: StepCall[Any]) -> None: ...


class Doubtful(msgspec.Struct, frozen=True):
    """An attempt at a `once` step that ended without saying whether its effect happened."""

    reason: str
    error: ev.Failure | None = None


class Once:
    """Performs the `once` steps of one run."""

    def __init__(
        self,
        steps: Steps,
        recorder: Recorder,
        platform: Platform,
        gate: Gate,
        threads: Threads,
        errors: Mapping[str, type[Exception]],
        doubt: Doubt,
        begin: Callable[[StepCall[Any]], Awaitable[None]],
    ) -> None:
        self._steps = steps
        self._recorder = recorder
        self._history = recorder.history
        self._platform = platform
        self._gate = gate
        self._threads = threads
        self._errors = errors
        self._doubt = doubt
        self._begin = begin
        self._calls: dict[str, asyncio.Task[Any]] = {}
        self.settling: dict[asyncio.Task[Any], str] = {}
        """Those under way, with their places: they outlive their cancellation by agent code until settled."""
        self.acting: set[str] = set()
        """Places of those between intent and record."""

    def begin(self, call: StepCall[Any]) -> asyncio.Task[Any]:
        """Perform it in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._once(call))
        self.settling[task] = call.place
        task.add_done_callback(self._settled)
        return task

    async def perform(self, call: StepCall[Any]) -> Any:
        """The step's result. Its task outlives a cancellation by agent code until it is settled."""
        task = self.begin(call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done() and not self._doubt.stopping():
                await self._steps.abandon(call)
                inner = self._calls.get(call.place)
                if inner is not None:
                    inner.cancel()
            raise

    def _settled(self, task: asyncio.Task[Any]) -> None:
        del self.settling[task]
        if not task.cancelled():
            task.exception()

    async def _once(self, call: StepCall[Any]) -> Any:
        """Settle what an earlier attempt left, then try until there is an outcome or agent code has given it up."""
        step, place, history = call.step, call.place, self._history
        retry = step.retry or default_retry
        intent = history.intents.get(place)
        if intent is not None:
            if intent.event.args != digest(call):
                await self._gate.halt(
                    "replay_mismatch",
                    f"step {place} ({step.name}) is in doubt with other arguments than the code now has: restore the "
                    "code that this run began with",
                )
            await self._gate.pass_doubt(step)
            ended = Doubtful(f"{intent.worker} ended between intent and record")
            result = await self._settle(call, intent.event.attempt, ended)
            if result is not CLEARED:
                return result
        elif history.may_be_done(place):
            result = await self._presume(call)
            if result is not CLEARED:
                return result
        not_before = 0.0
        while True:
            number = history.attempts.get(place, 0) + 1
            counted = number - history.forgiven.get(place, 0)
            last = history.errors.get(place)
            crashes = history.crashes.get(place, 0)
            if crashes > self._platform.settings.crashes_max:
                reason = (
                    f"step {place} ({step.name}) ended with its worker {crashes} times: look at the tool, then redrive"
                )
                await self._gate.halt("crash_loop", reason)
            if place in history.abandoned:
                return None
            if counted > retry.attempts or (last is not None and not last.retryable):
                error = rebuild(last, self._errors) if last else NotDone(f"{number - 1} attempts came to nothing")
                return await self._steps.fail(call, number - 1, self._platform.clock.now(), error)
            if not await self._pause(call, max(not_before, history.next_at.get(place, 0.0))):
                return None
            await self._begin(call)
            result = await self._intend_and_call(call, number, counted, retry)
            if result is not CLEARED:
                return result
            delay = retry.delay_s(counted, self._platform.randomness.uniform())
            not_before = self._platform.clock.now() + (delay or 0.0)

    async def _presume(self, call: StepCall[Any]) -> Any:
        """It may have been done before events of this run were lost: that is settled before anything is done."""
        step, place, lost = call.step, call.place, self._history.lost
        assert lost is not None
        await self._begin(call)
        number = self._history.attempts.get(place, 0) + 1
        what = f"from {lost.first} on" if lost.last < lost.first else f"{lost.first} to {lost.last}"
        reason = f"events {what} of this run were lost, and it may have been done in them"
        key = self._steps.key(call)
        intended = ev.StepIntended(place, step.name, digest(call), number, key, step.settle_s)
        await self._recorder.record(intended, ev.StepDoubted(place, number, reason))
        return await self._doubt.settle(call, self._steps)

    async def _pause(self, call: StepCall[Any], until: float) -> bool:
        """Wait; False if agent code gave the step up meanwhile: there was nothing under way."""
        if until > self._platform.clock.now():
            pause = self._calls[call.place] = asyncio.get_running_loop().create_task(self._steps.until(until))
            try:
                await pause
            except asyncio.CancelledError:
                if self._doubt.stopping() or not pause.cancelled() or call.place not in self._history.abandoned:
                    raise
            finally:
                self._calls.pop(call.place, None)
        return call.place not in self._history.abandoned

    async def _intend_and_call(self, call: StepCall[Any], number: int, counted: int, retry: Retry) -> Any:
        self.acting.add(call.place)
        try:
            result = await self._act(call, number, counted, retry)
        finally:
            self.acting.discard(call.place)
        return await self._settle(call, number, result) if isinstance(result, Doubtful) else result

    async def _act(self, call: StepCall[Any], number: int, counted: int, retry: Retry) -> Any:
        """One attempt, from its intent to its record: the result, CLEARED, or a Doubtful."""
        step, place, points = call.step, call.place, self._platform.points
        key = self._steps.key(call)
        points.reach("intent.before", step.name)
        intended = ev.StepIntended(place, step.name, digest(call), number, key, step.settle_s)
        intended_at = await self._recorder.record(intended)
        points.reach("intent.after", step.name)
        started = stamp(self._platform.clock)
        if place in self._history.abandoned:
            return await self._not_done(call, number, NotDone("agent code gave it up before it began"), 0.0)
        if self._gate.is_stopping():
            return await self._not_done(call, number, NotDone("its run was stopped before it began"), 0.0)
        if 0 < step.settle_s <= started - intended_at:  # others may take it for over already
            late = NotDone("its intent took longer to record than its settle time")
            return await self._not_done(call, number, late, retry.delay_s(counted, self._platform.randomness.uniform()))
        inner = asyncio.get_running_loop().create_task(self._steps.attempt(call, number))
        self._calls[place] = inner
        self._threads.note(key, inner)
        try:
            value = await inner
        except NotDone as error:
            delay = retry.delay_s(counted, self._platform.randomness.uniform())
            failure = error
        except asyncio.CancelledError:
            if not inner.cancelled() or self._doubt.stopping():
                inner.cancel()
                raise
            return Doubtful("agent code cancelled it while it was under way")
        except Exception as error:  # noqa: BLE001 # a tool may raise anything; it is recorded
            self._steps.tell_where(call, number, error)
            return Doubtful(f"{type(error).__name__} after the intent", record_failure(error))
        else:
            return await self._steps.done(call, number, started, value)
        finally:
            self._calls.pop(place, None)
        if delay is None:
            return await self._steps.fail(call, number, started, failure)
        return await self._not_done(call, number, failure, delay)

    async def _not_done(self, call: StepCall[Any], number: int, error: NotDone, delay: float | None) -> Any:
        next_at = self._platform.clock.now() + (delay or 0.0)
        event = ev.StepRetried(call.place, call.step.name, number, record_failure(error), next_at)
        await self._recorder.record(event)
        return CLEARED

    async def _settle(self, call: StepCall[Any], number: int, doubtful: Doubtful) -> Any:
        if call.place not in self._history.doubts:
            await self._recorder.record(ev.StepDoubted(call.place, number, doubtful.reason, doubtful.error))
        return await self._doubt.settle(call, self._steps)
