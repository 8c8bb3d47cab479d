"""Performing steps: recorded ones from the history, new ones for real; a `once` step never on a guess."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, Protocol

import msgspec

from outlast.agent import event as ev
from outlast.agent.arguments import digest
from outlast.agent.attempt import Threads, attempt
from outlast.agent.context import Context
from outlast.agent.doubt import CLEARED, Doubt
from outlast.agent.failure import is_retryable, rebuild, record_failure
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder, never
from outlast.agent.step import Step, StepCall, current_frame
from outlast.journal.blob import Payload, load_payload, store_payload
from outlast.kernel.codec import decode, encode
from outlast.kernel.error import NotDone, OutlastError, StepTimeout
from outlast.policy.retry import Retry

_default_retry = Retry()


class Gate(Protocol):
    """Asked before anything new begins; does not return while the run may not go on."""

    async def pass_through(self, step: Step) -> None: ...

    async def pass_doubt(self, step: Step) -> None: ...

    async def halt(self, code: str, reason: str, place: str) -> NoReturn: ...


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
        live: Mapping[str, Callable[[StepCall[Any]], Awaitable[Any]]],
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
        self._calls: dict[str, asyncio.Task[Any]] = {}
        self.settling: set[asyncio.Task[Any]] = set()
        """`once` steps under way: they outlive their cancellation by agent code until they are settled."""

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
                "",
            )
        if place in history.abandoned:
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
                return await self.give_live(call, await special(call))
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

    # -- results -----------------------------------------------------------------------------------------------------

    async def give_live(self, call: StepCall[Any], event: ev.RunEvent) -> Any:
        """What agent code gets from an outcome that has just been recorded."""
        call.frame.scope.now = self._history.last_at
        return await self._give(call, event)

    async def _give(self, call: StepCall[Any], event: ev.RunEvent) -> Any:
        match event:
            case ev.StepDone() | ev.SignalConsumed():
                raw = await load_payload(event.value, self._platform.blobs)
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
        retry = step.retry or _default_retry
        while True:
            number = self._history.attempts.get(place, 0) + 1
            await self._until(self._history.next_at.get(place, 0.0))
            await self._gate.pass_through(step)
            started = self._platform.clock.now()
            try:
                value = await self._call(call, number)
            except Exception as error:  # noqa: BLE001 # a tool may raise anything; it is recorded
                delay = self._delay(retry, number, error)
                if delay is None:
                    return await self.fail(call, number, started, error)
                next_at = self._platform.clock.now() + delay
                await self._recorder.record(ev.StepRetried(place, step.name, number, record_failure(error), next_at))
                continue
            return await self.done(call, number, started, value)

    def _delay(self, retry: Retry, number: int, error: Exception) -> float | None:
        if not is_retryable(error):
            return None
        asked: float | None = getattr(error, "retry_after_s", None)
        return retry.delay_s(number, self._platform.randomness.uniform(), asked)

    async def _until(self, at: float) -> None:
        wait = at - self._platform.clock.now()
        if wait > 0:
            await self._platform.clock.sleep(wait)

    async def _call(self, call: StepCall[Any], number: int) -> Any:
        step = call.step
        timeout_s, context = self.bounds(call, number)
        arguments = (context, *call.arguments) if step.takes_context else call.arguments
        return await attempt(
            step.function, arguments, call.keywords, is_async=step.is_async, timeout_s=timeout_s,
            threads=self._threads, what=f"step {step.name} at {call.place}",
            left_running=functools.partial(self._doubt.still_running.__setitem__, call.place),
        )  # fmt: skip

    def bounds(self, call: StepCall[Any], number: int) -> tuple[float, Context[Any]]:
        """How long an attempt may take, in seconds, and what its function is told."""
        now = self._platform.clock.now()
        timeout_s = call.step.timeout_s or self._platform.settings.step_timeout_s
        created = self._history.created
        if created is not None and created.deadline_at > 0:
            timeout_s = max(0.001, min(timeout_s, created.deadline_at - now))
        key = f"{self._recorder.run}:{call.place}"
        return timeout_s, Context(self._deps, self._recorder.run, key, number, now + timeout_s, timeout_s)

    # -- recording ---------------------------------------------------------------------------------------------------

    async def done(
        self, call: StepCall[Any], number: int, started: float, value: Any, by: str = "call", mail: int = 0
    ) -> Any:
        """Record a result and give it, through the codec. One that has no JSON form, or another type, is a failure."""
        step = call.step
        try:
            raw = encode(value, f"result of {step.name}", self._platform.settings.payload_bytes_max)
            given = decode(raw, step.result, f"result of {step.name}")
        except OutlastError as error:
            return await self.fail(call, number, started, error)
        tokens, usd = _charges(value) if step.kind == "model" else (0, 0.0)
        self._platform.points.reach("effect.after", step.name)
        payload = Payload(msgspec.Raw(raw)) if len(raw) <= 1024 else await store_payload(raw, self._platform.blobs)
        event = ev.StepDone(
            call.place, step.name, step.kind, digest(call), number, started, payload, by, mail, tokens, usd  # type: ignore[arg-type] # by is one of the three
        )  # fmt: skip
        call.frame.scope.now = await self._recorder.record(event, size=len(payload.json))
        self._platform.points.reach("record.after", step.name)
        return given

    async def fail(self, call: StepCall[Any], number: int, started: float, error: Exception, mail: int = 0) -> Any:
        """Record an error as the step's outcome and raise it, through the codec."""
        step = call.step
        event = ev.StepFailedEvent(
            call.place, step.name, step.kind, digest(call), number, started, record_failure(error),
            "person" if mail else "call", mail,
        )  # fmt: skip
        await self._recorder.record(event)
        return await self.give_live(call, event)

    # -- steps that must not happen twice ----------------------------------------------------------------------------

    async def _shielded_once(self, call: StepCall[Any]) -> Any:
        task = asyncio.get_running_loop().create_task(self._once(call))
        self.settling.add(task)
        task.add_done_callback(self._settled)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done() and not self._doubt.stopping():
                await self.abandon(call)
                inner = self._calls.get(call.place)
                if inner is not None:
                    inner.cancel()
            raise

    def _settled(self, task: asyncio.Task[Any]) -> None:
        self.settling.discard(task)
        if not task.cancelled():
            task.exception()

    async def _once(self, call: StepCall[Any]) -> Any:
        step, place, history = call.step, call.place, self._history
        retry = step.retry or _default_retry
        intent = history.intents.get(place)
        if intent is not None:
            if intent.event.args != digest(call):
                await self._gate.halt(
                    "replay_mismatch",
                    f"step {place} ({step.name}) is in doubt with other arguments than the code now has: restore the "
                    "code that this run began with",
                    "",
                )
            await self._gate.pass_doubt(step)
            result = await self._settle(call, intent.event.attempt, f"{intent.worker} ended between intent and record")
            if result is not CLEARED:
                return result
        while True:
            number = history.attempts.get(place, 0) + 1
            last = history.errors.get(place)
            crashes = history.crashes.get(place, 0)
            if crashes > self._platform.settings.crashes_max:
                reason = (
                    f"step {place} ({step.name}) ended with its worker {crashes} times: look at the tool, then redrive"
                )
                await self._gate.halt("crash_loop", reason, "")
            if number - crashes > retry.attempts:
                error = rebuild(last, self._errors) if last else NotDone(f"{number - 1} attempts came to nothing")
                return await self.fail(call, number - 1, self._platform.clock.now(), error)
            await self._until(history.next_at.get(place, 0.0))
            await self._gate.pass_through(step)
            result = await self._intend_and_call(call, number, retry)
            if result is not CLEARED:
                return result

    async def _intend_and_call(self, call: StepCall[Any], number: int, retry: Retry) -> Any:
        step, place, points = call.step, call.place, self._platform.points
        key = f"{self._recorder.run}:{place}"
        points.reach("intent.before", step.name)
        await self._recorder.record(ev.StepIntended(place, step.name, digest(call), number, key, step.settle_s))
        points.reach("intent.after", step.name)
        started = self._platform.clock.now()
        inner = asyncio.get_running_loop().create_task(self._call(call, number))
        self._calls[place] = inner
        try:
            value = await inner
        except NotDone as error:
            delay = retry.delay_s(number, self._platform.randomness.uniform())
            if delay is None:
                return await self.fail(call, number, started, error)
            next_at = self._platform.clock.now() + delay
            await self._recorder.record(ev.StepRetried(place, step.name, number, record_failure(error), next_at))
            return CLEARED
        except asyncio.CancelledError:
            if not inner.cancelled() or self._doubt.stopping():
                inner.cancel()
                raise
            return await self._settle(call, number, "agent code cancelled it while it was under way")
        except Exception as error:  # noqa: BLE001 # a tool may raise anything; it is recorded
            reason = f"{type(error).__name__} after the intent"
            return await self._settle(call, number, reason, error)
        finally:
            self._calls.pop(place, None)
        return await self.done(call, number, started, value)

    async def _settle(self, call: StepCall[Any], number: int, reason: str, error: Exception | None = None) -> Any:
        if call.place not in self._history.doubts:
            failure = None if error is None else record_failure(error)
            await self._recorder.record(ev.StepDoubted(call.place, number, reason, failure))
        return await self._doubt.settle(call, self)


def _charges(answer: Any) -> tuple[int, float]:
    usage = answer.usage
    return usage.input_tokens + usage.output_tokens, answer.cost or 0.0


class Origin(msgspec.Struct, frozen=True):
    """The step that an error came from."""

    place: str
    name: str
    attempt: int


def mark_origin(error: BaseException, place: str, name: str, number: int) -> None:
    """Remember at which step an error came up: a failed run says so."""
    error.__dict__["_outlast_origin"] = Origin(place, name, number)


def origin_of(error: BaseException | None) -> Origin | None:
    """Where an error, or what it was raised from, came up."""
    for _ in range(20):
        if error is None:
            return None
        origin = error.__dict__.get("_outlast_origin")
        if origin is not None:
            return origin
        error = error.__cause__ or error.__context__
    return None
