"""A seeded event loop in virtual time. Each node (a simulated process) has a queue; chance picks whose turn it is.

Within a node callbacks run in the order in which they were scheduled, as asyncio promises; between nodes in any order.
A crashed node's callbacks are never run, nor are its coroutines closed: no cleanup happens, as with SIGKILL. A frozen
node's wait until it is thawed. Source: FoundationDB's simulator (Will Wilson, "Testing Distributed Systems w/
Deterministic Simulation", Strange Loop 2014).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, cast

callbacks_max = 50_000_000
"""Callbacks of one simulation; beyond it something spins."""
_tick_s = 20e-6  # what a callback takes, in virtual time: a loop that spins comes to its deadline


class Stuck(Exception):
    """Nothing is left that could ever happen."""


class Node:
    """A simulated process: `alive` until it crashes, `frozen` while it gets no processor."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.alive = True
        self.frozen = False
        self.context = copy_context()
        self.context.run(current_node.set, self)
        self.queue: deque[asyncio.Handle] = deque()
        self.kept: list[object] = []
        """What must not be collected while the simulation runs: dropping a coroutine runs its `finally`."""
        self.thawed: asyncio.Event = asyncio.Event()
        self.thawed.set()

    def __repr__(self) -> str:
        return f"<node {self.name}{'' if self.alive else ' dead'}{' frozen' if self.frozen else ''}>"

    async def acting(self) -> None:
        """Every port waits here before it acts: a dead node never does, a frozen one once it is thawed."""
        while not self.alive or self.frozen:
            if not self.alive:
                await asyncio.get_running_loop().create_future()
            await self.thawed.wait()


current_node: ContextVar[Node | None] = ContextVar("outlast_node", default=None)
"""Whose code runs; None for the world: network, disks, timers of faults, clients."""


class _Counted:
    """Hashes by a counter: sets of tasks and futures are walked in the same order in every process."""

    _count: int

    def __hash__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return self is other


class SimTask(_Counted, asyncio.Task[Any]):
    """A task with a counter for a hash."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, loop: SimLoop, **options: Any) -> None:
        self._count = loop.count()
        super().__init__(coro, loop=loop, **options)


class SimFuture(_Counted, asyncio.Future[Any]):
    """A future with a counter for a hash."""

    def __init__(self, *, loop: SimLoop) -> None:
        self._count = loop.count()
        super().__init__(loop=loop)


def _new_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
    assert isinstance(loop, SimLoop)
    task = SimTask(coro, loop=loop, **options)
    node = current_node.get() if options.get("context") is None else options["context"].get(current_node)
    if node is not None:
        node.kept.append(task)
        if len(node.kept) > 4096:
            node.kept = [one for one in node.kept if not (isinstance(one, asyncio.Task) and one.done())]
    return task


class SimLoop(asyncio.BaseEventLoop):
    """The loop. `random` decides; `time` is virtual, in seconds from 0."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._virtual = 0.0
        self._counter = 0
        self._world: deque[asyncio.Handle] = deque()
        self._busy: list[deque[asyncio.Handle]] = []
        self._nodes: list[Node] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.callbacks = 0
        self.errors: list[str] = []
        self.set_task_factory(_new_task)
        self.set_exception_handler(_keep_error)

    def count(self) -> int:
        """The next number of the loop's counter."""
        self._counter += 1
        return self._counter

    def adopt(self, node: Node) -> None:
        """Let a node take part."""
        self._nodes.append(node)

    def time(self) -> float:
        return self._virtual

    def create_future(self) -> asyncio.Future[Any]:
        return SimFuture(loop=self)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._queue_of(handle).append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._virtual + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self.count(), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays where it is and is dropped when its time comes."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """There are no threads: it runs inline, as a callback of its own."""
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 # it belongs to whoever awaits the future
                future.set_exception(error)

        self.call_soon(run)
        return future

    def _queue_of(self, handle: asyncio.Handle) -> deque[asyncio.Handle]:
        context: Context = handle._context  # noqa: SLF001 # asyncio keeps it there
        node = cast("Node | None", context.get(current_node))
        return self._world if node is None else node.queue

    def _run_once(self) -> None:
        handle = self._next() or self._advance()
        self.callbacks += 1
        if self.callbacks > callbacks_max:
            raise Stuck(f"{callbacks_max} callbacks, at {self._virtual:.3f} s: something spins")
        self._virtual += _tick_s
        handle._run()  # noqa: SLF001 # as asyncio's own loop does

    def _next(self) -> asyncio.Handle | None:
        ready = [node.queue for node in self._nodes if node.queue and node.alive and not node.frozen]
        if self._world:
            ready.append(self._world)
        while ready:
            queue = ready[0] if len(ready) == 1 else ready[int(self._random.random() * len(ready))]
            while queue:
                handle = queue.popleft()
                if not handle.cancelled():
                    return handle
            ready.remove(queue)
        return None

    def _advance(self) -> asyncio.Handle:
        """Time goes on to the next timer of a node that can run: nothing else is ready, so chance has no say."""
        while self._timers:
            when, _, handle = heapq.heappop(self._timers)
            if handle.cancelled():
                continue
            self._virtual = max(self._virtual, when)
            context: Context = handle._context  # noqa: SLF001 # asyncio keeps it there
            node = cast("Node | None", context.get(current_node))
            if node is None or (node.alive and not node.frozen):
                return handle
            node.queue.append(handle)
        raise Stuck(f"at {self._virtual:.3f} s nothing is left that could happen")

    def bury(self) -> None:
        """Nodes that are dead take part no more; what they held is kept."""
        self._nodes = [node for node in self._nodes if node.alive]

    # What asyncio's own loop would do with the machine

    def _process_events(self, event_list: object) -> None:
        raise AssertionError("no selector here")

    def _write_to_self(self) -> None:
        return None


def _keep_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, SimLoop)
    error = context.get("exception")
    loop.errors.append(f"{context.get('message')}: {type(error).__name__}: {error}")
