"""The shell around the roster: starts, watches and restarts the children of a cell, and tells the doorbell of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

import msgspec

from outlast.agent.executor import Executors
from outlast.cell import event as news
from outlast.cell.child import Beat, Child, ChildHost, ChildPlan, FromChild, Ring
from outlast.cell.command import Command, Kill, Say, Start
from outlast.cell.dispatch import Dispatcher
from outlast.cell.doorbell import Doorbell
from outlast.cell.duty import Duty
from outlast.cell.lookout import Lookout
from outlast.cell.member import ChildView
from outlast.cell.presence import Presence
from outlast.cell.roster import Roster
from outlast.journal.index import RunIndex
from outlast.journal.notice import Listener
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreError, StoreUnavailable

events_max = 10_000
"""Events of the cell that wait for a slow listener; beyond it the oldest are dropped."""


class Times(msgspec.Struct, frozen=True):
    """How often it looks, in seconds."""

    tick_s: float = 0.1
    memory_every_s: float = 0.25
    stop_within_s: float = 10.0
    """How long killed children may take to be gone before it stops waiting for them."""


class Heard(Protocol):
    """Where growth is heard of."""

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]: ...


class Journal(Protocol):
    """What the supervisor reads once the writer serves, if there is one."""

    @property
    def index(self) -> RunIndex: ...

    @property
    def store(self) -> Heard: ...

    async def close(self) -> None: ...


class Supervisor:
    """Runs one cell until it has stopped.

    `plan` says what to start for a slot, `connect` opens the journal once the writer serves, `listener` is told what
    happens. Where other hosts share the store, `presence` is where they say that they are there, and `name` is this
    supervisor's among them, unique for ever. With `keeper` one of the hosts runs one (`cell/duty.py`). All children are
    gone when `run` returns, unless the host would not let them die within `stop_within_s`.
    """

    def __init__(
        self,
        roster: Roster,
        host: ChildHost,
        clock: Clock,
        plan: Callable[[Start], ChildPlan],
        connect: Callable[[], Awaitable[Journal]],
        executors: Executors,
        listener: Callable[[news.CellEvent], None],
        times: Times | None = None,
        presence: Presence | None = None,
        name: str = "",
        *,
        keeper: bool = False,
    ) -> None:
        self._roster = roster
        self._host = host
        self._clock = clock
        self._plan = plan
        self._connect = connect
        self._executors = executors
        self._listener = listener
        self._times = times or Times()
        self._children: dict[str, Child] = {}
        self._doorbell: Doorbell | None = None
        self._lookout: Lookout | None = None
        if presence is not None:
            self._lookout = Lookout(
                presence, name, clock, roster.bounds, self._speaking, self._disowned, self._complain,
                lambda: roster.size, lambda: roster.draining,
            )  # fmt: skip
        neighbours = self._lookout.neighbours if self._lookout is not None else None
        self._duty = Duty("keeper", neighbours) if keeper else None
        self._journal_serves = asyncio.Event()
        if not roster.with_writer:
            self._journal_serves.set()
        self._ended = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._stop_by: float | None = None
        self.failure: news.CellFailed | None = None
        """Why the cell stopped by itself."""

    async def run(self) -> None:
        """Run the cell until it has stopped: by `drain`, by `stop`, or because it cannot work (`failure`)."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                tasks = [
                    group.create_task(self._tick(), name="supervisor-tick"),
                    group.create_task(self._weigh(), name="supervisor-memory"),
                    group.create_task(self._dispatch(), name="supervisor-dispatch"),
                ]
                if self._lookout is not None:
                    tasks.append(group.create_task(self._lookout.run(), name="supervisor-lookout"))
                await self._ended.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._ended.set()
            for child in self._children.values():
                child.kill()
            if self._lookout is not None:
                await self._lookout.leave()

    def drain(self) -> None:
        """End gently; a second call, or `stop`, ends at once."""
        self._do(self._roster.drain(self._clock.monotonic()))

    def stop(self) -> None:
        """End at once."""
        self._do(self._roster.stop(self._clock.monotonic()))

    def reload(self) -> None:
        """Start workers and server anew, with today's code."""
        self._do(self._roster.reload(self._clock.monotonic()))

    def ready(self) -> bool:
        """Whether every kind of child and every pool serves."""
        return self._roster.ready()

    def view(self) -> list[ChildView]:
        """Every child there is."""
        return self._roster.view()

    # Ringer, for the doorbell

    def ring(self, worker: str, run: str, *, solo: bool) -> None:
        """Tell a worker of a run."""
        child = self._children.get(worker)
        if child is not None:
            child.send(Ring(run, solo))

    def try_alone(self, run: str, pool: str) -> None:
        """Start a worker for one run."""
        self._do(self._roster.trial(run, pool, self._clock.monotonic()))

    def retire(self, worker: str) -> None:
        """Drain a worker."""
        self._do(self._roster.retire(worker, self._clock.monotonic()))

    # Inside

    def _heard(self, child: str, word: FromChild) -> None:
        if isinstance(word, Beat) and self._doorbell is not None:
            self._doorbell.loaded(child, word.runs)
        self._do(self._roster.heard(child, word, self._clock.monotonic()))

    def _died(self, child: str, status: int) -> None:
        self._children.pop(child, None)
        self._do(self._roster.died(child, status, self._clock.monotonic()))

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Start():
                    self._start(command)
                case Kill(child):
                    if child in self._children:
                        self._children[child].kill()
                case Say(child, word):
                    if child in self._children:
                        self._children[child].send(word)
                case _:
                    self._happened(command)

    def _start(self, start: Start) -> None:
        now = self._clock.monotonic()
        try:
            child = self._host.start(self._plan(start), self._heard, self._died)
        except StoreUnavailable as error:
            self._do(self._roster.refused(start.slot, str(error), now))
            return
        self._children[child.id] = child
        self._do(self._roster.started(start.slot, child.id, child.pid, now))

    def _happened(self, event: news.CellEvent) -> None:
        self._tell_doorbell(event)
        match event:
            case news.ChildReady(kind="writer"):
                self._journal_serves.set()
            case news.ChildDead(kind="worker") if self._group is not None and not self._ended.is_set():
                self._group.create_task(self._confirm(event.id))
            case news.CellFailed():
                self.failure = event
            case news.CellStopped():
                self._ended.set()
            case _:
                pass
        self._listener(event)

    def _tell_doorbell(self, event: news.CellEvent) -> None:
        bell = self._doorbell
        if bell is None:
            return
        match event:
            case news.ChildReady(id=worker, kind="worker"):
                bell.serves(self._roster.pools)
                bell.joined(worker, event.pool, event.solo_for)
            case news.ChildSilent(id=worker, kind="worker"):
                bell.silent(worker)
            case news.ChildBack(id=worker, kind="worker"):
                bell.back(worker)
            case news.ChildLeaving(id=worker, kind="worker"):
                bell.leaving(worker)
            case news.ChildDead(id=worker, kind="worker"):
                bell.left(worker)
            case _:
                pass

    def _speaking(self) -> list[str]:
        """Workers that are not silent."""
        return [view.id for view in self._roster.view() if view.kind == "worker" and view.state in ("up", "leaving")]

    def _disowned(self, workers: Sequence[str]) -> None:
        if self._doorbell is not None:
            self._doorbell.disowned(workers)

    async def _confirm(self, worker: str) -> None:
        """Leave word that it is surely dead, for a step in doubt that asks long after (another boot included)."""
        await self._executors.confirm_dead(worker)

    async def _tick(self) -> None:
        while True:
            now = self._clock.monotonic()
            self._do(self._roster.tick(now))
            if self._duty is not None and self._journal_serves.is_set():
                self._do(self._roster.keep(now, here=self._duty.here(now)))
            if self._roster.stopping:
                self._stop_by = self._stop_by or now + self._times.stop_within_s
                if now >= self._stop_by:
                    self._ended.set()
            await self._clock.sleep(self._times.tick_s)

    async def _weigh(self) -> None:
        while True:
            for name, child in list(self._children.items()):
                self._do(self._roster.weighed(name, child.memory(), self._clock.monotonic()))
            await self._clock.sleep(self._times.memory_every_s)

    async def _dispatch(self) -> None:
        await self._journal_serves.wait()
        async with AsyncExitStack() as stack:
            journal = await self._open()
            stack.push_async_callback(journal.close)
            dispatcher = Dispatcher(neighbours=self._lookout.neighbours if self._lookout is not None else None)
            bell = Doorbell(journal.index, self._clock, self, self._complain, dispatcher)
            stack.callback(journal.store.listen(bell.notices, steps=False))
            self._doorbell = bell
            bell.serves(self._roster.pools)
            for child in self._roster.view():
                if child.kind == "worker" and child.state == "up":
                    bell.joined(child.id, child.pool, child.solo_for)
            await bell.run()

    async def _open(self) -> Journal:
        while True:
            try:
                return await self._connect()
            except StoreError as error:
                self._complain(f"the journal cannot be opened: {error}")
                await self._clock.sleep(self._times.memory_every_s)

    def _complain(self, text: str) -> None:
        self._listener(news.ChildSaid("supervisor", "error", text))
