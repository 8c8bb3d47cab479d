"""One agent in one process: memory stores, virtual time, and workers that die when they are told to."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future as ThreadFuture
from typing import Any, Literal, cast

import msgspec

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent.app import App
from outlast.agent.attempt import Threads
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.cell.worker import Worker
from outlast.journal.index import ENDED, RunEntry
from outlast.journal.notice import Listener
from outlast.journal.stream import Append, Notice, Outcome
from outlast.kernel.randomness import derived
from outlast.model.endpoint import Completion, Endpoint, ModelRequest
from outlast.simulation.loop import Node, SimLoop

epoch_s = 1_800_000_000.0
"""What clocks show when a test begins: 15 January 2027."""
callbacks_max = 20_000_000
"""Turns of the event loop after which an agent counts as one that never ends."""
_look_s = 0.25
_settings = Settings(wait_poll_s=86_400.0, sweep_every_s=86_400.0)  # nothing is lost: looking again is hardly needed


class Fate(msgspec.Struct, frozen=True):
    """The worker dies just before, or just after, its append of this number is durable."""

    side: Literal["before", "after"]
    position: int


class _Clock:
    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return epoch_s + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        done = self._loop.create_future()
        self._loop.call_later(max(0.0, seconds), _wake, done)
        await done


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Chance:
    def __init__(self) -> None:
        self._random = derived("outlast.testing")

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self) -> float:
        return self._random.random()


class _Inline(Threads):
    """Synchronous tools run at once: a thread would go on after its worker's death."""

    def submit(self, function: Callable[[], Any]) -> ThreadFuture[Any]:
        future: ThreadFuture[Any] = ThreadFuture()
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 # a tool may raise anything; whoever awaits it gets it
            future.set_exception(error)
        return future


class Remembering:
    """An endpoint that gives the same answer to the same step, however often a crash makes it ask."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._answers: dict[str, Completion] = {}

    @property
    def name(self) -> str:
        return self._endpoint.name

    async def complete(self, request: ModelRequest) -> Completion:
        if request.key not in self._answers:
            self._answers[request.key] = await self._endpoint.complete(request)
        return self._answers[request.key]

    async def close(self) -> None:
        await self._endpoint.close()


class _EveryModel(Mapping[str, Endpoint]):
    """One endpoint behind every model name."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __getitem__(self, name: str) -> Endpoint:
        return self._endpoint

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _Wire:
    """A worker's way to the store."""

    def __init__(self, stage: Stage, node: Node) -> None:
        self._stage = stage
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage.store, name)

    async def append(self, append: Append) -> Outcome:
        return await self._stage.append(self._node, append)

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        node, loop = self._node, self._stage.loop

        def hear(notices: Sequence[Notice]) -> None:
            if node.alive:
                loop.call_soon(listener, notices, context=node.context.copy())

        return self._stage.store.listen(hear, steps=steps)


class Stage:
    """`play` starts a run and sees it through; `positions` then names every append that workers made."""

    def __init__(self, loop: SimLoop, app: App[Any], model: Endpoint, fate: Fate | None = None) -> None:
        self.loop = loop
        self.store = MemoryStore()
        self.positions: list[str] = []
        self.crashed = False
        self._app = app
        self._clock = _Clock(loop)
        self._chance = _Chance()
        self._blobs = MemoryBlobs()
        self._endpoints = _EveryModel(Remembering(model))
        self._fate = fate
        self._dead: set[str] = set()
        self._nodes: list[Node] = []
        self._changed = asyncio.Event()
        self._worker: Worker | None = None
        self._leave = asyncio.Event()
        self.control = Control(self._platform(self.store), app)

    def _platform(self, store: Any) -> Platform:
        return Platform(
            self._clock, self._chance, store, self.store, self.store, self._blobs, self, self._endpoints,
            settings=_settings,
        )  # fmt: skip

    async def confirm_dead(self, worker: str) -> bool:
        """Executors: whoever crashed is dead."""
        return worker in self._dead

    async def append(self, node: Node, append: Append) -> Outcome:
        """A worker's append, or its death."""
        self.positions.append(describe(append))
        number = len(self.positions)
        if self._fate == Fate("before", number):
            await self._die(node)
        outcome = await self.store.append(append)
        if self._fate == Fate("after", number):
            await self._die(node)
        return outcome

    async def _die(self, node: Node) -> None:
        node.alive = False
        self.crashed = True
        self._dead.add(node.name)
        self._worker = None
        self.loop.bury()
        self.loop.call_soon(self._changed.set, context=_no_node())
        await self.loop.create_future()

    # -- the course of a run

    async def play(self, agent: str, input: Any, signals: Sequence[tuple[str, Any]]) -> str:
        """Start a run, send it signals, and return its identifier once it has ended or nothing more can happen."""
        run = (await self.control.start(agent, input, key="outlast.testing")).run
        for number, (name, payload) in enumerate(signals):
            await self.control.signal(run, name, payload, id=str(number))
        stop = self.store.listen(lambda _: self._changed.set())
        try:
            while not await self._is_over():
                if self._worker is None:
                    self._hire()
                await self._round()
        finally:
            stop()
            await self._dismiss()
        return run

    async def _is_over(self) -> bool:
        if self.loop.callbacks > callbacks_max:
            raise AssertionError(f"the agent did not end within {callbacks_max} turns of the event loop")
        entries = await self.store.list(limit=100_000)
        busy = self._worker is not None and self._worker.runs > 0
        return not busy and all(_rests(entry) for entry in entries)

    async def _round(self) -> None:
        """Ring for what is due; then wait until something changes, or it is time for the next run that waits."""
        self._changed.clear()
        now = self._clock.now()
        due = [*await self.store.due(now, 1_000)]
        for worker in self._dead:
            due += await self.store.owned(worker)
        for entry in due:
            self._ring(entry)
        wait_s = _look_s
        if not due and self._worker is not None and self._worker.runs == 0:
            await self._dismiss()  # all wait: whoever is woken later finds a worker that knows nothing
            wake_at = await self.store.next_wake(now)
            wait_s = _look_s if wake_at is None else wake_at - now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()

    def _ring(self, entry: RunEntry) -> None:
        worker = self._worker
        if worker is not None:
            context = self._nodes[-1].context.copy()
            self.loop.call_soon(worker.offer, entry.run, entry.state == "trial", context=context)

    # -- workers

    def _hire(self) -> None:
        node = Node(f"worker-{len(self._nodes) + 1}", "worker")
        self._nodes.append(node)
        self.loop.adopt(node)
        self._leave = asyncio.Event()
        threads = _Inline(1)
        self._worker = Worker(self._app, self._platform(_Wire(self, node)), node.name, threads=threads)
        node.kept.append(self.loop.create_task(_work(self._worker, self._leave), context=node.context.copy()))

    async def _dismiss(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            self._leave.set()
            await asyncio.wait([cast("asyncio.Task[None]", self._nodes[-1].kept[0])])

    def forget(self) -> bool:
        """Let what workers left be dropped without a word about it; returns whether one has crashed."""
        for node in self._nodes:
            for task in node.kept:
                if isinstance(task, asyncio.Task):
                    task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 # nobody will run it: that is the point
        self._nodes.clear()
        return self.crashed


async def _work(worker: Worker, leave: asyncio.Event) -> None:
    async with worker:
        await leave.wait()


def _no_node() -> contextvars.Context:
    return contextvars.Context()


def _rests(entry: RunEntry) -> bool:
    return entry.state in ENDED or (entry.state in ("held", "quarantined") and entry.mail <= entry.seen)


class _Body(msgspec.Struct):
    events: list[dict[str, Any]]


def describe(append: Append) -> str:
    """An append in words: ``step.done refund at 2``."""
    return ", ".join(_words(event) for event in msgspec.json.decode(append.body, type=_Body).events)


def _words(event: dict[str, Any]) -> str:
    name, place = event.get("name"), event.get("place")
    return f"{event['type']}{f' {name}' if name else ''}{f' at {place}' if place else ''}"


def with_deps(app: App[Any], deps: Any) -> App[Any]:
    """The same app, with other dependencies than its lifespan opens."""

    @contextlib.asynccontextmanager
    async def given() -> AsyncGenerator[Any]:
        yield deps

    other = copy.copy(app)
    other._lifespan = given  # type: ignore[reportPrivateUsage] # noqa: SLF001 # its own copy
    return other
