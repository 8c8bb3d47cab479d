"""Performing steps: recorded ones from the history, new ones for real; a `once` step never on a guess."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.agent.arguments import digest
from outlast.agent.attempt import Threads, in_thread, on_loop
from outlast.agent.context import Context
from outlast.agent.doubt import Doubt
from outlast.agent.failure import is_retryable, rebuild, record_failure, type_name
from outlast.agent.history import Settled
from outlast.agent.once import Gate, Once, default_retry
from outlast.agent.origin import mark_origin
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder, never
from outlast.agent.stack import tell_where
from outlast.agent.step import Step, StepCall, current_frame
from outlast.journal.blob import Payload, inline_bytes_max, load_payload, store_payload
from outlast.kernel.clock import stamp
from outlast.kernel.codec import decode, encode
from outlast.kernel.error import OutlastError, StepTimeout
from outlast.kernel.use import used
from outlast.policy.retry import Retry


class Performer:
    """Performs the steps of one run in this worker."""

    def __init__(
        self,
        recorder: Recorder,
        platform: Platform,
        gate: Gate,
        threads: Threads,
        deps: Any,
        errors: Mapping[str, type[Exception]],
        doubt: Doubt,
        live: Mapping[str, Callable[[StepCall[Any]], Awaitable[Settled]]],
        begin: Callable[[StepCall[Any]], Awaitable[None]],
        abandoned: Callable[[StepCall[Any]], Awaitable[None]],
    ) -> None:
        self._recorder = recorder
        self._history = recorder.history
        self._platform = platform
        self._gate = gate
        self._threads = threads
        self._deps = deps
        self._errors = errors
        self._doubt = doubt
        self._live = live
        self._begin = begin
        self._abandoned = abandoned
        self.once = Once(self, recorder, platform, gate, threads, errors, doubt, begin)

    async def perform(self, call: StepCall[Any]) -> Any:
        """The step's result as agent code sees it; raises its error."""
        step, place, history = call.step, call.place, self._history
        frame = current_frame.get()
        call.counted = frame is not None and asyncio.current_task() is frame.scope.task
        name = history.names.get(place)
        if name is not None and name != step.name:
            await self._gate.halt(
                "replay_mismatch",
                f"step {place} is {name!r} in the history, {step.name!r} in the code: restore the code that this run "
                "began with, or guard the change with run.version(...)",
            )
        if place in history.abandoned:
            if step.effect == "once" and place in history.intents:
                self.once.begin(call)  # whether it happened is still to be settled before the run can end
            await never()  # agent code cancelled it then, and will again
        if place in history.outcomes:
            settled = self._recorder.replay.ready(place) or await self._recorder.replay.wait(place)
            self._note_drift(call, settled.event)
            call.frame.scope.now = settled.at
            return await self._give(call, settled.event)
        special = self._live.get(step.kind)
        if step.effect == "once" and special is None:
            return await self._shielded_once(call)
        try:
            if special is not None:
                settled = await special(call)
                return await self._give_live(call, settled.event, settled.at)
            return await self._repeatable(call)
        except asyncio.CancelledError:
            await self.abandon(call)
            raise

    async def abandon(self, call: StepCall[Any]) -> None:
        """Record that agent code gave the step up (unless the run itself is being stopped)."""
        self._recorder.leave_wait(call)
        if not self._doubt.stopping() and self._recorder.writer.ended is None:
            await asyncio.shield(
                asyncio.ensure_future(self._recorder.record(ev.StepAbandoned(call.place, call.step.name)))
            )
            await self._abandoned(call)

    # -- results -----------------------------------------------------------------------------------------------------

    async def _give_live(self, call: StepCall[Any], event: ev.RunEvent, at: float) -> Any:
        """What agent code gets from an outcome that has just been recorded, at time `at`."""
        call.frame.scope.now = at
        return await self._give(call, event)

    async def _give(self, call: StepCall[Any], event: ev.RunEvent) -> Any:
        match event:
            case ev.StepDone() | ev.SignalConsumed():
                raw = await self._recorder.reach(load_payload(event.value, self._platform.blobs))
                return decode(raw, call.step.result, f"result of {call.step.name}")
            case ev.StepFailedEvent():
                error = rebuild(event.error, self._errors)
                mark_origin(error, call.place, call.step.name, event.attempt)
                raise error
            case ev.SignalTimedOut():
                if "default" in call.keywords:
                    return call.keywords["default"]
                error = StepTimeout(f"no signal {event.name.removeprefix('signal:')!r} came in time")
                mark_origin(error, call.place, call.step.name, 1)
                raise error
            case _:
                return None

    def _note_drift(self, call: StepCall[Any], event: ev.RunEvent) -> None:
        if not isinstance(event, ev.StepDone | ev.StepFailedEvent):
            return
        now = digest(call)
        if event.args != now and (call.place, now) not in self._history.drifts:
            self._history.drifts.add((call.place, now))
            self._recorder.along(ev.StepDrifted(call.place, call.step.name, event.args, now))

    # -- pure and idempotent steps -----------------------------------------------------------------------------------

    async def _repeatable(self, call: StepCall[Any]) -> Any:
        step, place = call.step, call.place
        retry = step.retry or default_retry
        while True:
            number = self._history.attempts.get(place, 0) + 1
            if number > 1:
                await self.until(self._history.next_at.get(place, 0.0))
            await self._begin(call)
            started = stamp(self._platform.clock)
            try:
                value = await self.attempt(call, number)
            except Exception as error:  # noqa: BLE001 # a tool may raise anything; it is recorded
                failure = error  # handled outside, so that what is raised then has no context, as in replay
            else:
                return await self.done(call, number, started, value)
            delay = self._delay(retry, number, failure)
            if delay is None:
                self.tell_where(call, number, failure)
                return await self.fail(call, number, started, failure)
            next_at = self._platform.clock.now() + delay
            await self._recorder.record(ev.StepRetried(place, step.name, number, record_failure(failure), next_at))

    def _delay(self, retry: Retry, number: int, error: Exception) -> float | None:
        if not is_retryable(error):
            return None
        asked: float | None = getattr(error, "retry_after_s", None)
        return retry.delay_s(number, self._platform.randomness.uniform(), asked)

    async def until(self, at: float) -> None:
        """Wait until then."""
        wait = at - self._platform.clock.now()
        if wait > 0:
            await self._platform.clock.sleep(wait)

    async def attempt(self, call: StepCall[Any], number: int) -> Any:
        """One attempt at its function, in its time; what it asks is noted."""
        token = used.set(call.uses)
        try:
            return await self._attempt(call, number)
        finally:
            used.reset(token)

    def _attempt(self, call: StepCall[Any], number: int) -> Coroutine[Any, Any, Any]:
        step, arguments = call.step, call.arguments
        if step.takes_context:
            timeout_s, context = self.bounds(call, number)
            arguments = (context, *arguments)
        else:
            timeout_s = self._timeout_s(step, self._platform.clock.now())
        if step.is_async:
            return on_loop(step.function, arguments, call.keywords, timeout_s, call)
        left_running = functools.partial(self._threads.note, self.key(call)) if step.effect == "once" else None
        return in_thread(step.function, arguments, call.keywords, timeout_s, call, self._threads, left_running)

    def key(self, call: StepCall[Any]) -> str:
        """The same for every attempt at it, for ever."""
        return f"{self._recorder.run}:{call.place}"

    def _timeout_s(self, step: Step, now: float) -> float:
        timeout_s = step.timeout_s or self._platform.settings.step_timeout_s
        created = self._history.created
        if created is not None and created.deadline_at > 0:
            return max(0.001, min(timeout_s, created.deadline_at - now))
        return timeout_s

    def bounds(self, call: StepCall[Any], number: int, *, whole: bool = False) -> tuple[float, Context[Any]]:
        """How long an attempt may take, in seconds, and what its function is told.

        `whole`: also beyond the run's deadline.
        """
        now = self._platform.clock.now()
        if whole:
            timeout_s = call.step.timeout_s or self._platform.settings.step_timeout_s
        else:
            timeout_s = self._timeout_s(call.step, now)
        context = Context(self._deps, self._recorder.run, self.key(call), number, now + timeout_s, timeout_s)
        return timeout_s, context

    async def _shielded_once(self, call: StepCall[Any]) -> Any:
        return await self.once.perform(call)

    def tell_where(self, call: StepCall[Any], number: int, error: Exception) -> None:
        """For the log, where it arose in a tool; an error that the app has registered, or one of ours, is no fault."""
        if not isinstance(error, OutlastError) and type_name(type(error)) not in self._errors:
            what = f"step {call.place} ({call.step.name}) of run {self._recorder.run} failed, attempt {number}"
            tell_where(what, error)

    # -- recording ---------------------------------------------------------------------------------------------------

    async def done(
        self, call: StepCall[Any], number: int, started: float, value: Any, by: ev.By = "call", mail: int = 0
    ) -> Any:
        """Record a result and give it, through the codec. One that has no JSON form, or another type, is a failure."""
        step = call.step
        coded = self._through_codec(step, value)
        if isinstance(coded, OutlastError):
            return await self.fail(call, number, started, coded, mail)
        raw, given = coded
        self._platform.points.reach("effect.after", step.name)
        payload = Payload(msgspec.Raw(raw))
        if len(raw) > inline_bytes_max:
            payload = await self._recorder.reach(store_payload(raw, self._platform.blobs))
        event = ev.StepDone(call.place, step.name, digest(call), started, payload, step.kind, number, by, mail)
        if step.kind == "model":
            tokens, usd = _charges(value)
            event = msgspec.structs.replace(event, tokens=tokens, usd=usd)
        if call.uses:
            event = msgspec.structs.replace(event, uses=tuple(call.uses))
        call.frame.scope.now = await self._recorder.record(event)
        self._platform.points.reach("record.after", step.name)
        return given

    def _through_codec(self, step: Step, value: Any) -> tuple[bytes, Any] | OutlastError:
        what = f"result of {step.name}"
        try:
            raw = encode(value, what, self._platform.settings.payload_bytes_max)
            return raw, decode(raw, step.result, what)
        except OutlastError as error:
            return error

    async def fail(self, call: StepCall[Any], number: int, started: float, error: Exception, mail: int = 0) -> Any:
        """Record an error as the step's outcome and raise it, through the codec."""
        step = call.step
        event = ev.StepFailedEvent(
            call.place, step.name, digest(call), started, record_failure(error), step.kind, number,
            "person" if mail else "call", mail, tuple(call.uses),
        )  # fmt: skip
        return await self._give_live(call, event, await self._recorder.record(event))


def _charges(answer: Any) -> tuple[int, float]:
    usage = answer.usage
    return usage.input_tokens + usage.output_tokens, answer.cost or 0.0
