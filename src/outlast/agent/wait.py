"""Steps that only wait: for time, for a signal, for another run, for a person's decision."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from outlast.agent import event as ev
from outlast.agent.arguments import digest
from outlast.agent.create import NewRun, create_run, derived_run_id
from outlast.agent.ending import Ending, last_event, last_of, read_ending
from outlast.agent.handover import post_on
from outlast.agent.history import Settled
from outlast.agent.mail import Mailbox, post
from outlast.agent.platform import Platform
from outlast.agent.recorder import Line, Recorder, never
from outlast.agent.step import Step, StepCall
from outlast.kernel.error import Conflict, OutlastError, StoreUnavailable


class Passage(Protocol):
    """Asked before anything new begins."""

    async def pass_through(self, step: Step) -> None: ...


class Waits:
    """What one run waits for."""

    def __init__(self, recorder: Recorder, platform: Platform, mailbox: Mailbox, gate: Passage) -> None:
        self._recorder = recorder
        self._history = recorder.history
        self._platform = platform
        self._mailbox = mailbox
        self._gate = gate
        self._signals: dict[str, list[asyncio.Future[None]]] = {}
        self._persons: dict[str, asyncio.Future[None]] = {}
        self._runs: dict[str, asyncio.Event] = {}
        self._taken: dict[str, tuple[int, ev.MailSignal]] = {}
        """Signals that steps of this worker have taken, by place."""

    @property
    def woken(self) -> bool:
        """Whether something has come for one of those that wait, and it has not gone on yet."""
        futures = [future for waiting in self._signals.values() for future in waiting]
        return any(future.done() for future in (*futures, *self._persons.values())) or any(
            event.is_set() for event in self._runs.values()
        )

    async def begin(self, call: StepCall[Any]) -> None:
        """Return once this step may begin; it counts as begun then."""
        self._recorder.begun.discard(call.place)  # another attempt is not another step
        await self._gate.pass_through(call.step)
        self._recorder.begun.add(call.place)

    def wake(self, mail: list[ev.Mail]) -> None:
        """Mail has come: those that wait for it look again."""
        for letter in mail:
            match letter:
                case ev.MailSignal():
                    _first(self._signals.get(letter.name, []))
                case ev.MailResolve():
                    _first([self._persons[letter.place]] if letter.place in self._persons else [])
                case ev.MailWake():
                    for event in self._runs.values():  # it may be the successor of the one that is waited for
                        event.set()
                case _:
                    pass

    # -- time --------------------------------------------------------------------------------------------------------

    async def sleep(self, call: StepCall[Any]) -> Settled:
        place, clock = call.place, self._platform.clock
        fire_at = self._history.timers.get(place)
        is_new = fire_at is None
        if fire_at is None:
            await self.begin(call)
            fire_at = clock.now() + call.arguments[0]
        self._recorder.begin_wait(call, fire_at)
        try:
            if is_new:
                await self._recorder.record(ev.TimerSet(place, fire_at))
                self._platform.points.reach("timer.set", place)
            while (left := fire_at - clock.now()) > 0:
                await clock.sleep(left)
        finally:
            self._recorder.end_wait(call)
        event = ev.TimerFired(place)
        at = await self._recorder.record(event)
        self._platform.points.reach("timer.fired", place)
        return Settled(event, at)

    # -- signals -----------------------------------------------------------------------------------------------------

    async def signal(self, call: StepCall[Any]) -> Settled:
        place, clock = call.place, self._platform.clock
        name: str = call.arguments[0]
        timeout_s: float | None = call.keywords.get("timeout_s")
        awaited = self._history.awaited.get(place)
        if awaited is not None:
            deadline_at = awaited.deadline_at
        else:
            await self.begin(call)
            deadline_at = 0.0 if timeout_s is None else clock.now() + timeout_s
        self._recorder.begin_wait(call, deadline_at)
        try:
            if awaited is None and not self._mailbox.signals.get(name):
                await self._recorder.record(ev.SignalAwaited(place, name, deadline_at))
            came = await self._until_signal(name, deadline_at)
        finally:
            self._recorder.end_wait(call)
        if not came:
            timed_out = ev.SignalTimedOut(place, name)
            return Settled(timed_out, await self._recorder.record(timed_out))
        number, mail = self._taken[place] = self._mailbox.signals[name].popleft()
        event = ev.SignalConsumed(place, name, mail.id, number, mail.value)
        at = await self._recorder.record(event)
        self._platform.points.reach("signal.consumed", name)
        return Settled(event, at)

    async def _until_signal(self, name: str, deadline_at: float) -> bool:
        clock = self._platform.clock
        while not self._mailbox.signals.get(name):
            if deadline_at and clock.now() >= deadline_at:
                return False
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting = self._signals.setdefault(name, [])
            waiting.append(future)
            try:
                await self._either(future, deadline_at)
            except asyncio.CancelledError:
                if future.done() and self._mailbox.signals.get(name):
                    _first(waiting)  # what woke this one is for the next
                raise
            finally:
                waiting.remove(future)
        return True

    async def abandoned(self, call: StepCall[Any]) -> None:
        """Agent code gave it up: the signal that it took is there again, the child run that it waits for is stopped."""
        taken = self._taken.pop(call.place, None)
        if taken is not None:
            name = taken[1].name
            self._mailbox.signals.setdefault(name, deque()).appendleft(taken)
            _first(self._signals.get(name, []))
        if call.place in self._history.children:
            await self.stop_children(abandoned_only=True)

    async def _either(self, future: asyncio.Future[None], at: float) -> None:
        """Until `future` is done or, unless 0, the time is `at`."""
        if not at:
            await future
            return
        timer = asyncio.ensure_future(self._platform.clock.sleep(max(0.0, at - self._platform.clock.now())))
        try:
            await asyncio.wait([future, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    # -- people ------------------------------------------------------------------------------------------------------

    async def resolution(self, call: StepCall[Any], attempt: int) -> tuple[int, ev.MailResolve]:
        """A person's decision about an attempt that is in doubt; one about an earlier attempt does not count."""
        place = call.place
        self._recorder.begin_wait(call, 0.0)
        try:
            while True:
                number, mail = self._mailbox.resolutions.pop(place, (0, None))
                if mail is not None and mail.attempt in (0, attempt):
                    return number, mail
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._persons[place] = future
                if place not in self._mailbox.resolutions:
                    await future
        finally:
            self._persons.pop(place, None)
            self._recorder.end_wait(call)

    # -- other runs --------------------------------------------------------------------------------------------------

    async def child(self, call: StepCall[Any]) -> Settled:
        """Start the child run unless it is there; wait for its end. The call holds: agent, arguments, keywords."""
        agent, arguments, keywords = call.arguments
        place = call.place
        raw: bytes = agent.signature.bind(arguments, keywords)
        created = self._history.created
        assert created is not None
        known = self._history.children.get(place)
        if known is None:
            await self.begin(call)
            known = ev.ChildStarted(
                place, call.step.name, derived_run_id("child", self._recorder.run, place), digest(call)
            )
            await self._recorder.record(known)
        child = known.run
        started = self._platform.clock.now()
        deadline_at = created.deadline_at
        if agent.options.deadline_s is not None:  # from the parent's creation: the same in every attempt
            deadline_at = min(deadline_at, self._history.created_at + agent.options.deadline_s)
        new = NewRun(agent.name, agent.pool, raw, deadline_at, parent=self._recorder.run, parent_place=place)
        try:
            await self._recorder.reach(create_run(self._platform, child, new))
        except Conflict:
            pass  # it runs with other arguments than the code now has: a drift, and what runs stands
        ending = await self.until_ended(call, child)
        name, args = call.step.name, known.args
        if ending.error is None:
            event = ev.StepDone(place, name, args, started, ending.value, "child")
        else:
            event = ev.StepFailedEvent(place, name, args, started, ending.error, "child")
        return Settled(event, await self._recorder.record(event))

    async def stop_children(self, abandoned_only: bool = False) -> None:
        """Cancel child runs whose end nobody waits for. One whose inbox cannot take it ends by its deadline.

        While the store stays away nobody can say that they were told: then the run is let go, and this never returns.
        """
        parent = self._recorder.run
        for place, child in list(self._history.children.items()):
            if abandoned_only and place not in self._history.abandoned:
                continue
            try:
                await stop_child(self._platform, parent, child.run)
            except StoreUnavailable as error:
                self._recorder.on_lost(error)
                await never()
            except OutlastError:
                continue

    async def until_ended(self, line: Line, run: str) -> Ending:
        """The ending of another run: looks when mail says so, and by itself every `wait_poll_s`."""
        event = self._runs[run] = asyncio.Event()
        try:
            return await self._until_ended(line, run, event)
        finally:
            self._runs.pop(run, None)

    async def _until_ended(self, line: Line, run: str, event: asyncio.Event) -> Ending:
        while True:
            event.clear()
            ending = await self._recorder.reach(read_ending(self._platform, run))
            if ending is not None:
                return ending
            wake_at = self._platform.clock.now() + self._platform.settings.wait_poll_s
            self._recorder.begin_wait(line, wake_at)
            try:
                waiter = asyncio.ensure_future(event.wait())
                timer = asyncio.ensure_future(self._platform.clock.sleep(self._platform.settings.wait_poll_s))
                try:
                    await asyncio.wait([waiter, timer], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiter.cancel()
                    timer.cancel()
            finally:
                self._recorder.end_wait(line)


async def stop_child(platform: Platform, parent: str, child: str) -> None:
    """Tell a child run, or whoever continues it, that its parent was stopped. Any number of times is once."""
    mail = ev.MailCancel(f"parent:{parent}", f"its parent {parent} was stopped")
    run = await last_of(platform, child)
    unborn = await last_event(platform, run) is None
    await post_on(platform, run, mail, unborn=unborn)
    if unborn and await last_event(platform, run) is not None:  # by a worker that lost the parent
        await post(platform, run, ev.MailWake(f"parent:{parent}:again", parent))


def _first(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
            return
