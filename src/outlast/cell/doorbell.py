"""The shell around the dispatcher: hears notices, scans, looks up runs, and rings."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from outlast.cell.dispatch import Bell, Command, Dispatcher, Look, Retire, Trial
from outlast.journal.index import RunIndex
from outlast.journal.stream import Notice
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreError


class Bounds(msgspec.Struct, frozen=True):
    """In seconds: `tick_s` bounds how late a known timer rings, `scan_every_s` how late a lost hint is made up for."""

    tick_s: float = 0.05
    scan_every_s: float = 1.0
    scan_limit: int = 1000
    owned_every: int = 2
    """Each so manieth scan also looks for runs whose owner is not alive."""
    asks_max: int = 20_000
    disowned_max: int = 50
    """Workers of other hosts that are looked up one by one when they go together; the scan finds what the rest own."""


class Ringer(Protocol):
    """Who carries out what the dispatcher decides."""

    def ring(self, worker: str, run: str, *, solo: bool) -> None:
        """Tell a worker of a run."""
        ...

    def try_alone(self, run: str, pool: str) -> None:
        """Start a worker for one run; when it is ready, call `Doorbell.joined` with `solo_for`."""
        ...

    def retire(self, worker: str) -> None:
        """Drain a worker whose trial is over."""
        ...


class Doorbell:
    """Keeps a dispatcher fed. No knowledge of processes: a simulation uses it as it is.

    `complain` gets one line when the index cannot be read; the next scan tries again.
    """

    def __init__(
        self,
        index: RunIndex,
        clock: Clock,
        ringer: Ringer,
        complain: Callable[[str], None],
        dispatcher: Dispatcher | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._index = index
        self._clock = clock
        self._ringer = ringer
        self._complain = complain
        self._dispatcher = dispatcher or Dispatcher()
        self._bounds = bounds or Bounds()
        self._asked = asyncio.Event()
        self._runs: dict[str, None] = {}  # runs to look up, in order
        self._owners: deque[str] = deque()  # workers whose runs are to be looked up: these go first
        self._scan_now = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._answer(), name="doorbell-answer")
            group.create_task(self._tick(), name="doorbell-tick")
            group.create_task(self._scan(), name="doorbell-scan")

    # What the workers do

    def serves(self, pools: Iterable[str]) -> None:
        """The pools that the app has today."""
        self._dispatcher.serves(pools)

    def joined(self, worker: str, pool: str, solo_for: str = "") -> None:
        """A worker is ready."""
        self._do(self._dispatcher.joined(worker, pool, self._clock.monotonic(), solo_for))
        if not solo_for:
            self._scan_now = True
            self._asked.set()

    def loaded(self, worker: str, runs: int) -> None:
        """A worker beats and holds so many runs."""
        self._dispatcher.loaded(worker, runs)

    def silent(self, worker: str) -> None:
        """A worker does not beat: its runs are rung elsewhere."""
        self._do(self._dispatcher.silent(worker))
        self._disown(worker)

    def back(self, worker: str) -> None:
        """A silent worker beats again."""
        self._do(self._dispatcher.back(worker, self._clock.monotonic()))

    def leaving(self, worker: str) -> None:
        """A worker drains."""
        self._do(self._dispatcher.leaving(worker))

    def left(self, worker: str) -> None:
        """A worker is dead: its runs are rung elsewhere at once."""
        self._do(self._dispatcher.left(worker))
        self._disown(worker)

    def disowned(self, workers: Iterable[str]) -> None:
        """Workers of other hosts are gone, as it seems: what they own or were to take is looked up."""
        gone = list(workers)
        for worker in gone[: self._bounds.disowned_max]:
            self._disown(worker)
        if gone:
            self._scan_now = True
            self._asked.set()

    # What the store tells

    def notices(self, notices: Sequence[Notice]) -> None:
        """A listener for `EventStore.listen`."""
        now, wall = self._clock.monotonic(), self._clock.now()
        for notice in notices:
            if notice.hint is not None:
                self._do(self._dispatcher.noticed(notice.hint, now, wall))

    # Inside

    def _disown(self, worker: str) -> None:
        if worker not in self._owners:
            self._owners.append(worker)
        self._asked.set()

    def _do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Bell(worker, run, solo):
                    self._ringer.ring(worker, run, solo=solo)
                case Look(run):
                    if len(self._runs) < self._bounds.asks_max:
                        self._runs[run] = None
                        self._asked.set()
                case Trial(run, pool):
                    self._ringer.try_alone(run, pool)
                case Retire(worker):
                    self._ringer.retire(worker)

    async def _answer(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._owners or self._runs or self._scan_now:
                try:
                    await self._answer_one()
                except StoreError as error:
                    self._complain(f"the index of runs cannot be read: {error}")

    async def _answer_one(self) -> None:
        clock = self._clock
        if self._owners:
            owned = await self._index.owned(self._owners.popleft())
            self._do(self._dispatcher.found(owned, clock.monotonic(), clock.now()))
        elif self._runs:
            run = next(iter(self._runs))
            del self._runs[run]
            entry = await self._index.entry(run)
            if entry is None:
                self._dispatcher.lost(run)
            else:
                self._do(self._dispatcher.found([entry], clock.monotonic(), clock.now()))
        else:
            self._scan_now = False
            await self._scan_once(owned=True)

    async def _tick(self) -> None:
        while True:
            wait = self._dispatcher.next_timer(self._clock.now())
            await self._clock.sleep(min(self._bounds.tick_s, wait if wait is not None else self._bounds.tick_s))
            self._do(self._dispatcher.tick(self._clock.monotonic(), self._clock.now()))

    async def _scan(self) -> None:
        count = 0
        while True:
            try:
                await self._scan_once(owned=count % self._bounds.owned_every == 0)
            except StoreError as error:
                self._complain(f"the index of runs cannot be scanned: {error}")
            count += 1
            await self._clock.sleep(self._bounds.scan_every_s)

    async def _scan_once(self, *, owned: bool) -> None:
        clock = self._clock
        due = await self._index.due(clock.now(), self._bounds.scan_limit)
        self._do(self._dispatcher.found(due, clock.monotonic(), clock.now()))
        if owned:
            running = await self._index.owned()
            orphans = [entry for entry in running if not self._dispatcher.alive(entry.owner)]
            self._do(self._dispatcher.found(orphans, clock.monotonic(), clock.now()))
