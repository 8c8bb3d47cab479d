"""A cell in this process: memory stores, workers that come and go, and a doorbell that rings whoever is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.agent.view import RunView
from outlast.cell.worker import Worker
from outlast.journal.loss import Lost
from outlast.journal.stream import Append, Notice, Outcome, Unknown
from outlast.kernel.point import NoPoints, Place, Points
from outlast.model.endpoint import Endpoint

OPEN = ("ready", "running", "trial", "parked")


class Wire:
    """One worker's way to the store. Cut it, and what the worker writes neither arrives nor is answered."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.cut = False
        self.fault: Callable[[Append], Awaitable[Outcome | None]] | None = None
        """Asked before each append: its Outcome stands, None lets the append through."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, append: Append) -> Outcome:
        if self.cut:
            await asyncio.get_running_loop().create_future()
        if self.fault is not None:
            outcome = await self.fault(append)
            if outcome is not None:
                return outcome
        return await self._store.append(append)


class At:
    """Points that call a function when a place is reached."""

    def __init__(self, place: Place, action: Callable[[str], None]) -> None:
        self._place = place
        self._action = action

    def reach(self, place: Place, subject: str = "") -> None:
        if place == self._place:
            self._action(subject)


class Killed(BaseException):
    """A worker died here: what it was doing ends, and nothing of it reaches the store."""


def _unmoved_by_deaths(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Nobody asks after the tasks of a worker that died.

    Before Python 3.11.8, printing the traceback of one while source is parsed makes that fail (python/cpython#106905).
    """
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


class Dies:
    """Points at which a worker dies: the first time that `place` is reached for `subject` ("": for any)."""

    def __init__(self, kill: Callable[[], None], place: Place, subject: str = "", skip: int = 0) -> None:
        self._kill = kill
        self._place = place
        self._subject = subject
        self._skip = skip
        self.died = asyncio.Event()

    def reach(self, place: Place, subject: str = "") -> None:
        if self.died.is_set():
            raise Killed
        if place == self._place and subject.startswith(self._subject):
            self._skip -= 1
            if self._skip < 0:
                self._kill()
                self.died.set()
                raise Killed


def unknown_once(times: int = 1, applied: bool = False, store: Any = None) -> Callable[[Append], Awaitable[Any]]:
    """A fault: the first `times` appends have an unknown outcome; with `applied`, they are written all the same."""
    left = times

    async def fault(append: Append) -> Outcome | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        if applied:
            await store.append(append)
        return Unknown("lost")

    return fault


class Dead:
    """Executors: says of every worker what it is told to."""

    def __init__(self) -> None:
        self.answer = True
        self.asked: list[str] = []

    async def confirm_dead(self, worker: str) -> bool:
        self.asked.append(worker)
        return self.answer


class Desk:
    """Use: ``async with desk(app) as d: run = await d.start("agent", ...); view = await d.until_settled(run)``."""

    def __init__(self, app: App[Any], endpoints: dict[str, Endpoint], **settings: Any) -> None:
        self.app = app
        self.store = MemoryStore()
        self.executors = Dead()
        self.blobs = MemoryBlobs()
        self.clock = SystemClock()
        quick = {"park_after_s": 0.05, "wait_poll_s": 0.5, "append_patience_s": 2.0, "unwind_s": 0.3}
        self.settings = Settings(**{**quick, **settings})
        self.endpoints = endpoints
        self.control = Control(self.platform(self.store), app)
        self.workers: list[Worker] = []
        self.wires: dict[str, Wire] = {}
        self.reports: list[str] = []
        self._stack = contextlib.AsyncExitStack()
        self._count = 0

    def platform(self, store: Any, points: Points | None = None) -> Platform:
        return Platform(
            self.clock, OsRandomness(), store, self.store, self.store, self.blobs, self.executors, self.endpoints,
            points or NoPoints(), self.settings,
        )  # fmt: skip

    async def hire(self, points: Points | None = None) -> str:
        """One more worker; returns its identity."""
        self._count += 1
        name = f"worker-{self._count}"
        self.wires[name] = Wire(self.store)
        worker = Worker(self.app, self.platform(self.wires[name], points), name, report=self.reports.append)
        await self._stack.enter_async_context(worker)
        self.workers.append(worker)
        return name

    async def hire_mortal(self, place: Place, subject: str = "", skip: int = 0) -> Dies:
        """One more worker, which dies at a place; the event `died` of what is returned says when."""
        name = f"worker-{self._count + 1}"
        dies = Dies(lambda: self.kill(name), place, subject, skip)
        assert await self.hire(dies) == name
        return dies

    async def replace(self, dies: Dies, deadline_s: float = 60.0) -> str:
        """Once it has died, one more worker that takes all over; returns its identity."""
        async with asyncio.timeout(deadline_s):
            await dies.died.wait()
        name = await self.hire()
        for wire in [name for name, wire in self.wires.items() if wire.cut]:
            await self.take_over(wire)
        return name

    async def crash_and_replace(self) -> str:
        """All workers die now; one more takes all over."""
        dead = [worker.identity for worker in self.workers]
        for one in dead:
            self.kill(one)
        name = await self.hire()
        for one in dead:
            await self.take_over(one)
        return name

    def kill(self, name: str) -> None:
        """From now on nothing of this worker reaches the store, and nothing is offered to it."""
        self.wires[name].cut = True
        self.workers = [worker for worker in self.workers if worker.identity != name]

    async def take_over(self, dead: str) -> None:
        """Offer the runs of a dead worker to the others."""
        for entry in await self.store.owned(dead):
            self.ring(entry.run)

    def ring(self, run: str, solo: bool = False) -> None:
        for worker in self.workers:
            if worker.offer(run, solo):
                return

    async def __aenter__(self) -> Desk:
        asyncio.get_running_loop().set_exception_handler(_unmoved_by_deaths)
        self._stack.callback(self.store.listen(self._heard))
        scan = asyncio.get_running_loop().create_task(self._scan())
        self._stack.callback(scan.cancel)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def _heard(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if notice.hint is not None:
                asyncio.get_running_loop().call_soon(self.ring_if_due, notice.hint.run)

    def ring_if_due(self, run: str) -> None:
        entry = self.store._entries.get(run)
        if entry is not None and entry.due(self.clock.now()):
            self.ring(run, entry.state == "trial")

    async def _scan(self) -> None:
        while True:
            for entry in await self.store.due(self.clock.now()):
                self.ring(entry.run, entry.state == "trial")
            await asyncio.sleep(0.05)

    async def start(self, agent: str, input: Any = None, **options: Any) -> str:
        return (await self.control.start(agent, input, **options)).run

    async def lose(self, stream: str, first: int, *, to: Worker | None = None, ours: bool = True) -> Lost:
        """A failover loses a stream from the record that begins with, or holds, event `first` on; `to` finds out."""
        records = self.store._streams[stream]
        kept = [record for record in records if record.seq + record.count <= first]
        lost = Lost(stream, kept[-1].seq + kept[-1].count if kept else 1, records[-1].seq + records[-1].count - 1)
        if kept:
            self.store._streams[stream] = kept
        else:
            del self.store._streams[stream]
        (to or self.workers[0])._platform.losses.note([lost], "system/2", ours=ours)
        return lost

    async def number(self, run: str, type: str, place: str = "") -> int:
        """The number of the first event of a type (at a place)."""
        events = await self.control.events(run)
        return next(e.seq for e in events if e.type == type and place in ("", e.data.get("place")))

    async def until(self, run: str, *states: str, deadline_s: float = 60.0) -> RunView:
        """The view, once the run is in one of `states` (default: any that is not open)."""
        async with asyncio.timeout(deadline_s):
            while True:
                entry = await self.store.entry(run)
                if entry is not None and (entry.state in states if states else entry.state not in OPEN):
                    return await self.control.view(run)
                await asyncio.sleep(0.005)

    async def types(self, run: str) -> list[str]:
        return [event.type for event in await self.control.events(run)]

    async def wait_for(self, condition: Callable[[], Any], what: str = "", deadline_s: float = 60.0) -> None:
        """Until `condition()`, plain or async, is true."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    found = condition()
                    if isinstance(found, Awaitable):
                        found = await found
                    if found:
                        return
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"not within {deadline_s} s: {what or condition}; {self.reports}") from None

    async def has(self, run: str, *types: str) -> None:
        """Until the run's history holds events of these types."""

        async def found() -> bool:
            return set(types) <= set(await self.types(run))

        await self.wait_for(found, f"{types}")


@contextlib.asynccontextmanager
async def desk(
    app: App[Any], workers: int = 1, endpoints: dict[str, Endpoint] | None = None, **settings: Any
) -> AsyncIterator[Desk]:
    async with Desk(app, endpoints or {}, **settings) as made:
        for _ in range(workers):
            await made.hire()
        yield made
