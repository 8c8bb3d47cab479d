"""One run in one worker: from its claim until it ends, parks, is held, or is lost to another worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

from outlast.agent import event as ev
from outlast.agent.app import Agent, App
from outlast.agent.asking import ask_model
from outlast.agent.attempt import Threads
from outlast.agent.branch import gather, start_line
from outlast.agent.closing import Closing
from outlast.agent.departure import Departure, Stop
from outlast.agent.doubt import Doubt
from outlast.agent.ending import failed, state_of
from outlast.agent.farewell import tell_others
from outlast.agent.gate import refusal
from outlast.agent.handover import forward, make_successor, successor_of
from outlast.agent.history import History
from outlast.agent.loss import run_lost, tell, why_lost
from outlast.agent.mail import Mailbox, inbox_key
from outlast.agent.mute import muted_while
from outlast.agent.parking import Parking
from outlast.agent.perform import Performer
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder, never
from outlast.agent.run import ContinueAsNew, Run
from outlast.agent.scope import Scope
from outlast.agent.session import Entered, Session
from outlast.agent.stack import tell_where
from outlast.agent.step import Frame, Step, StepCall
from outlast.agent.turn import await_turn
from outlast.agent.wait import Waits
from outlast.journal.blob import load_payload, store_payload
from outlast.journal.stream import Head
from outlast.kernel.codec import encode
from outlast.kernel.error import (
    Conflict,
    OutlastError,
    StoreCorrupt,
    StoreError,
    StoreSealed,
    TypeMismatch,
    invariant,
)
from outlast.model.answer import Answer
from outlast.model.endpoint import Message


class Execution:
    """The engine behind one Run. `run` is its whole life; `mail` and `release` come from the worker."""

    def __init__(
        self,
        app: App[Any],
        agent: Agent[..., Any],
        platform: Platform,
        run: str,
        stream: str,
        worker: str,
        history: History,
        head: Head,
        claim: str,
        deps: Any,
        threads: Threads,
        stopped_agents: Mapping[str, str],
    ) -> None:
        self.run_id = run
        self._app = app
        self._agent = agent
        self._platform = platform
        self._history = history
        self._deps = deps
        self._stopped_agents = stopped_agents
        self._recorder = Recorder(platform, run, stream, worker, history, head, claim)
        self._departure = Departure(
            self._recorder, platform, lambda: self._closing.end is not None, lambda: self.acting
        )
        self._recorder.on_lost = self._departure.lost
        self._recorder.on_broken = self._on_broken
        self._mailbox = Mailbox(history)
        self._waits = Waits(self._recorder, platform, self._mailbox, self)
        self._doubt = Doubt(self._recorder, platform, threads, self._waits, self._departure.is_unwinding)
        self._performer = Performer(
            self._recorder, platform, self, threads, deps, app.errors, self._doubt,
            {"sleep": self._waits.sleep, "signal": self._waits.signal, "child": self._waits.child},
            self._waits.begin, self._waits.abandoned,
        )  # fmt: skip
        self._closing = Closing(
            self._recorder,
            platform,
            self._mailbox,
            self._departure.stopping.set,
            lambda: not self._departure.is_unwinding(),
        )
        self._parking = Parking(
            self._recorder, self._waits, platform, lambda: not self.acting and not self._departure.is_going(),
            lambda: self._departure.go("parked"),
        )  # fmt: skip
        self._recorder.on_idle = self._parking.look
        self._ready = False
        self._main: asyncio.Task[Any] | None = None
        self._fetching = asyncio.Lock()
        self._entered: Entered | None = None
        self._session: Session | None = None

    # -- what agent code asks (RunEngine) ----------------------------------------------------------------------------

    @property
    def deadline_at(self) -> float:
        return self._created.deadline_at

    @property
    def replaying(self) -> bool:
        return self._recorder.replay.running

    async def perform(self, call: StepCall[Any]) -> Any:
        return await self._performer.perform(call)

    def ask_model(
        self, name: str, prompt: str | Sequence[Message], kind: Any, system: str | None, max_tokens: int | None,
        temperature: float | None,
    ) -> Callable[..., Awaitable[Answer[Any]]]:  # fmt: skip
        return ask_model(self._platform.endpoints, name, prompt, kind, system, max_tokens, temperature)

    def version(self, frame: Frame, name: str, version: int) -> int:
        prefix, ordinal = frame.scope.future_places()
        marked = self._history.versions.get(f"{prefix}{ordinal}:{name}")
        if marked is not None:
            return marked
        if self._history.last_ordinal.get(prefix, 0) >= ordinal:
            return 0
        self._history.versions[f"{prefix}{ordinal}:{name}"] = version
        self._recorder.along(ev.VersionMarked(f"{prefix}{ordinal}", name, version))
        return version

    async def gather(
        self, frame: Frame, branches: Sequence[Callable[[], Awaitable[Any]]], limit: int | None
    ) -> list[Any]:
        return await gather(frame, branches, limit, self._recorder, self._platform)

    # -- the gate ----------------------------------------------------------------------------------------------------

    async def pass_through(self, step: Step) -> None:
        """Return if something new may begin; else hold the run, or never return."""
        refused = await refusal(self._agent, self._platform, self._recorder, self._stopped_agents)
        if self.is_stopping():  # asked last: from here to the step's first event nothing is awaited
            await never()
        if refused is not None:
            await self.halt(refused.code, refused.reason)

    async def pass_doubt(self, step: Step) -> None:
        """Return if a step in doubt may be settled: always, also while the run is being cancelled."""

    async def halt(self, code: str, reason: str) -> NoReturn:
        """Hold the whole run for a person. Does not return."""
        if not self.is_stopping():
            self._departure.begin_hold(code, reason)
        return await never()

    def is_stopping(self) -> bool:
        """Whether nothing new may begin in this worker any more."""
        return self._departure.is_stopping()

    async def _on_broken(self, error: Exception) -> NoReturn:
        return await self.halt("store_corrupt", f"what its history names cannot be read: {error}")

    # -- life --------------------------------------------------------------------------------------------------------

    @property
    def _created(self) -> ev.RunCreated:
        created = self._history.created
        assert created is not None
        return created

    async def run(self) -> Stop:
        """Run until it ends or is let go. Never raises for what the run does."""
        live = asyncio.ensure_future(self._live())
        over = asyncio.ensure_future(self._departure.over.wait())
        try:
            await asyncio.wait([live, over], return_when=asyncio.FIRST_COMPLETED)
            if live.done():
                live.result()
        except (Conflict, StoreError) as error:
            self._departure.lost(error)
        finally:
            self._parking.stop()
            self._closing.stop()
            over.cancel()
            await self._unwind(live, self._parking.task, self._departure.holding)
            if self._departure.why == "released":
                await self._departure.say_released()
            self._recorder.writer.close(Conflict(f"run {self.run_id} was let go"))
        invariant(self._departure.why is not None, f"run {self.run_id} was left without a reason")
        return cast(Stop, self._departure.why)

    async def _live(self) -> None:
        self._recorder.busy = 1
        await tell(self._platform, self.run_id)
        await self.mail()
        if self._departure.holding is not None:
            await asyncio.wait([self._departure.holding])
            return
        if not await self._may_run():
            return
        self._ready = True
        self._closing.watch(self._created.deadline_at)
        if self._created.session and not await self._enter_session():
            return
        raw = await self._recorder.reach(load_payload(self._created.input, self._platform.blobs))
        try:
            arguments = self._agent.signature.arguments(raw)
        except TypeMismatch as error:
            await self._departure.hold("input_mismatch", f"{error}: restore the parameters that this run began with")
            if self._closing.end is not None:
                await self._close()
            return
        run = Run(self, self._deps, self._session)
        scope = Scope("", self._history.created_at)
        code = muted_while(self._agent.function(run, **arguments), self)
        self._main = start_line(self, scope, code)
        stopping = asyncio.ensure_future(self._departure.stopping.wait())
        try:
            while True:
                await asyncio.wait([self._main, stopping], return_when=asyncio.FIRST_COMPLETED)
                if self._departure.why is not None:
                    return
                if self._closing.end is not None:
                    await self._close()
                    return
                if self._main.done():
                    await self._finish(self._main)
        finally:
            stopping.cancel()

    async def _may_run(self) -> bool:
        """Whether the history lets it run now; else what it waits for has been said to the index."""
        history = self._history
        if self._mailbox.redrive is not None and (history.quarantined or history.held):
            await self._recorder.record(ev.RunRedriven(self._mailbox.redrive))
            self._mailbox.redrive = None
        if history.continuing is not None:
            await self._hand_over(history.continuing)
            return False
        if history.cancelling is not None or self._mailbox.cancel is not None:
            await self._closing.cancel()
        elif history.quarantined is not None:
            await self._departure.stay("quarantined", history.quarantined.reason)
            return False
        elif "" in history.held:
            await self._departure.stay("held", history.held[""].reason)
            return False
        if self._closing.end is not None and not history.intents:
            await self._close()
            return False
        return True

    async def _enter_session(self) -> bool:
        created = self._created
        self._entered = await await_turn(
            self._platform, self._waits, created.session, self.run_id, self._agent.options, self._departure.stopping
        )
        if self._entered is not None and self._entered.state is not None:
            self._session = Session(created.session, self._entered.state)
            self._platform.points.reach("session.turn", created.session)
            return True
        if self._departure.why is None and self._closing.end is not None:
            await self._close()
        return False

    # -- ending ------------------------------------------------------------------------------------------------------

    async def _finish(self, main: asyncio.Task[Any]) -> None:
        """Agent code has returned or raised."""
        settling = self._performer.once.settling
        while settling and self._departure.why is None and self._closing.end is None:
            stopping = asyncio.ensure_future(self._departure.stopping.wait())
            self._recorder.busy -= 1  # whoever was cancelled while in doubt keeps the run open
            self._recorder.look()
            seconds = self._platform.settings.park_after_s
            await asyncio.wait([*settling, stopping], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self._recorder.busy += 1
            stopping.cancel()
        if self._departure.why is not None:
            return
        if self._closing.end is not None:
            await self._close()
            return
        error = None if main.cancelled() else main.exception()
        if main.cancelled():
            error = RuntimeError("agent code cancelled itself")
        left = self._recorder.replay.remaining()
        if left:
            name = self._history.names.get(left[0], "?")
            await self._hold_at_end(left[0], name)
            return
        if self._history.intents:
            await self._departure.hold_in_doubt("its code has ended")
            return
        if isinstance(error, ContinueAsNew):
            await self._continue(error)
        elif error is not None:
            tell_where(f"run {self.run_id} of agent {self._agent.name} failed", error)
            if not isinstance(error, Exception):
                error = RuntimeError(f"agent code raised {type(error).__name__}: {error}")
            await self._end(failed(error))
        else:
            await self._complete(main.result())

    async def _hold_at_end(self, place: str, name: str) -> None:
        reason = (
            f"the code ended without calling step {place}, which is {name!r} in the history: restore the code that "
            "this run began with, or guard the change with run.version(...)"
        )
        await self._departure.hold("replay_mismatch", reason)

    async def _complete(self, value: Any) -> None:
        try:
            raw = encode(value, f"result of agent {self._agent.name}", self._platform.settings.payload_bytes_max)
            self._agent.signature.check_result(raw)
            change = None
            if self._session is not None:
                change = await store_payload(encode(self._session.change()), self._platform.blobs)
            payload = await store_payload(raw, self._platform.blobs)
        except OutlastError as error:
            if isinstance(error, StoreError):
                raise
            await self._end(failed(error))
            return
        await self._end(ev.RunCompleted(payload, change))

    async def _continue(self, next_input: ContinueAsNew) -> None:
        created = self._created
        try:
            raw = self._agent.signature.bind(next_input.arguments, next_input.keywords)
        except OutlastError as error:
            await self._end(failed(error))
            return
        successor = successor_of(self.run_id)
        lifetime = created.deadline_at - self._history.created_at
        payload = await self._recorder.reach(store_payload(raw, self._platform.blobs))
        if self._closing.end is not None:
            await self._close()
            return
        self._departure.ending = True
        continuing = ev.RunContinuing(successor, payload, self._history.last_at + lifetime)
        await self._recorder.record(continuing)
        await self._hand_over(continuing)

    async def _hand_over(self, continuing: ev.RunContinuing) -> None:
        """Make the successor and give it the mail. Decided in the history, so that a crash or a cancellation in between
        leaves no run that nobody knows of; who posts later finds the successor (`Control`).
        """
        self._departure.ending = True
        await self._recorder.reach(make_successor(self._platform, self.run_id, self._history))
        async with self._fetching:
            await self._mailbox.fetch(self._platform, self.run_id)
        await forward(self._platform, self._mailbox, continuing.run)
        await self._end(ev.RunContinued(continuing.run))

    async def _end(self, event: ev.RunEnd) -> None:
        state, reason = state_of(event)
        self._departure.ending = True
        await self._waits.stop_children(abandoned_only=self._closing.end is None)
        self._recorder.ending = (state, reason)
        self._platform.points.reach("run.end.before", self.run_id)
        await self._recorder.record(event)
        self._platform.points.reach("run.end.after", self.run_id)
        await tell_others(self._platform, self.run_id, self._created, event, self._entered, self._session)
        self._departure.go("ended")

    async def _close(self) -> None:
        """Cancelled or out of time: settle what may be happening, stop the code, write the end."""
        end = self._closing.end
        assert end is not None
        if self._main is not None:
            await self._closing.settle(self._main, self._performer, lambda: self._departure.why is not None)
        if self._departure.why is not None:
            return
        if self._history.intents:
            await self._departure.hold_in_doubt(self._closing.why)
            return
        self._departure.ending = True
        await self._unwind()
        await self._end(end)

    async def _unwind(self, *others: asyncio.Task[Any] | None) -> None:
        """Cancel agent code and what it started; wait for a bounded time."""
        mine = (self._main, *self._performer.once.settling, *others)
        tasks = [task for task in mine if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._platform.settings.unwind_s)

    # -- what comes from outside -------------------------------------------------------------------------------------

    async def mail(self) -> None:
        """Look into the inbox: something has come, or the run has just been claimed."""
        async with self._fetching:
            try:
                fresh = await self._mailbox.fetch(self._platform, self.run_id)
            except (StoreCorrupt, StoreSealed) as error:
                # never acted on, and not looked at again before something new comes
                head = await self._platform.store.head(inbox_key(self._platform, self.run_id))
                self._recorder.seen = max(self._recorder.seen, head.seq)
                if not self.is_stopping():
                    self._departure.begin_hold(error.code, f"its inbox cannot be read: {error}")
                return
            self._recorder.seen = max(self._recorder.seen, self._mailbox.read_to)
        self._waits.wake(fresh)
        if self._mailbox.lost and self._mailbox.cancel is None and not self.is_stopping():
            told = [run_lost(mail, number) for number, mail in self._mailbox.lost]
            self._mailbox.lost.clear()
            self._departure.begin_hold("events_lost", why_lost(told), *told)
        elif (
            self._mailbox.cancel is not None
            and self._ready
            and self._closing.end is None
            and not self._departure.ending
        ):
            await self._closing.cancel()
        elif self._mailbox.redrive is not None and self._history.held and self._ready and not self.is_stopping():
            self._departure.begin_anew(self.release)

    @property
    def seen(self) -> int:
        """The number of the last letter in its inbox that was looked at."""
        return self._recorder.seen

    def release(self) -> None:
        """The worker is stopping: let go at once of what only waits, and of what can be repeated."""
        self._departure.leaving = True
        if self._recorder.ending is None:  # else it is being let go already, and says why
            self._parking.leave(lambda: self._departure.go("released"))

    def leave(self) -> None:
        """The worker is draining: begin nothing new, and let go as soon as no effect is under way."""
        self._departure.leaving = True
        if not self.acting:
            self.release()

    @property
    def acting(self) -> bool:
        """Whether a `once` step is between its intent and its record."""
        return bool(self._performer.once.acting)
