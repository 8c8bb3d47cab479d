"""The simulated machine: nodes, chance, time, a network between nodes, and a trace of what happened."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Literal

import msgspec

from outlast.kernel.point import Place
from outlast.simulation.loop import Node, SimLoop

_pipe_again_s = 0.05
epoch_s = 1_800_000_000.0
"""The wall clock's reading at virtual time 0."""


class NetworkFaults(msgspec.Struct):
    """What the network does to a message between nodes. Times in seconds, the others are chances."""

    delay_min_s: float = 0.0001
    delay_max_s: float = 0.001
    slow_chance: float = 0.0
    slow_s: float = 1.0
    loss: float = 0.0
    duplicate: float = 0.0


class AtPoint(msgspec.Struct):
    """Crash or freeze a node when it reaches a named point: the `nth` time, in a node of that kind."""

    place: Place
    act: Literal["crash", "freeze"]
    after: int = 0
    freeze_s: float = 3.0
    kind: str = "worker"
    subject: str = ""
    crash_after_s: float | None = None
    """So many seconds after it is thawed, a frozen node crashes."""


class World:
    """Everything outside the nodes. Calls from nodes wait in `acting`, so that the dead and the frozen stay still."""

    def __init__(self, seed: int, loop: SimLoop, random: Random) -> None:
        self.seed = seed
        self.loop = loop
        self.random = random
        self.nodes: dict[str, Node] = {}
        self.network = NetworkFaults()
        self.cut: set[tuple[str, str]] = set()
        """Pairs of node kinds or names between which nothing passes, in that direction."""
        self.skew: dict[str, float] = {}
        """Seconds that a node's wall clock is off."""
        self._skews: dict[str, list[tuple[float, float]]] = {}
        self.at_points: list[AtPoint] = []
        self.reached: Counter[str] = Counter()
        self.bit: Counter[str] = Counter()
        """Faults that had something to bite on, by kind."""
        self.crashes = 0
        self.trace: deque[str] = deque(maxlen=20_000)
        self.digest_parts: list[str] = []
        self.on_death: dict[str, Callable[[], None]] = {}

    # -- time and trace

    def now(self) -> float:
        """The true wall clock."""
        return epoch_s + self.loop.time()

    def set_skew(self, node: str, seconds: float) -> None:
        """From now on a node's wall clock is off by so much."""
        self.skew[node] = seconds
        self._skews.setdefault(node, [(0.0, 0.0)]).append((self.loop.time(), seconds))

    def true_time(self, node: str, wall: float) -> float:
        """The virtual time at which a node's clock showed `wall`; the first, if it did so twice."""
        spans = self._skews.get(node, [(0.0, 0.0)])
        ends = [since for since, _ in spans[1:]] + [float("inf")]
        shown = [wall - epoch_s - off for (since, off), end in zip(spans, ends, strict=True)
                 if since - 1e-3 <= wall - epoch_s - off <= end + 1e-3]  # fmt: skip
        return min(shown, default=wall - epoch_s)

    def note(self, text: str) -> None:
        """One line of the trace; the traces of two executions of a seed are equal."""
        line = f"{self.loop.time():12.6f} {text}"
        self.trace.append(line)
        self.digest_parts.append(line)
        if len(self.digest_parts) > 4096:
            self._fold_digest()

    def _fold_digest(self) -> None:
        import hashlib

        folded = hashlib.sha256("\n".join(self.digest_parts).encode()).hexdigest()
        self.digest_parts = [folded]

    def digest(self) -> str:
        """A hash of everything that was noted."""
        self._fold_digest()
        return self.digest_parts[0]

    # -- nodes

    def boot(self, name: str, kind: str, code: Coroutine[Any, Any, None], died: Callable[[], None]) -> Node:
        """Start a node that runs `code`; `died` is called, in the world, when it has ended for whatever reason."""
        node = Node(name, kind)
        self.nodes[name] = node
        self.loop.adopt(node)
        self.on_death[name] = died
        self.note(f"boot {name}")
        task = self.loop.create_task(self._life(node, code), context=node.context.copy())
        node.kept.append(task)
        return node

    async def _life(self, node: Node, code: Coroutine[Any, Any, None]) -> None:
        try:
            await code
        except Exception as error:  # noqa: BLE001 # a process that raises exits
            self.note(f"{node.name} exits: {type(error).__name__}: {error}")
        self.crash(node, "exit")

    def crash(self, node: Node, why: str) -> None:
        """The node is gone at once: nothing of it runs any more, no cleanup either."""
        if not node.alive:
            return
        node.alive = False
        if why != "exit":
            self.crashes += 1
        if why == "fault":
            self.bit[f"crash {node.kind}"] += 1
        self.note(f"crash {node.name}: {why}")
        died = self.on_death.pop(node.name)
        self.in_world(0.0005 + self.random.random() * 0.005, died)

    def freeze(self, node: Node, seconds: float) -> None:
        """The node gets no processor for some time."""
        if not node.alive or node.frozen:
            return
        node.frozen = True
        self.bit[f"freeze {node.kind}"] += 1
        node.thawed.clear()
        self.note(f"freeze {node.name} {seconds:.3f}s")
        self.in_world(seconds, self.thaw, node)

    def thaw(self, node: Node) -> None:
        """A frozen node goes on where it was."""
        if node.frozen:
            node.frozen = False
            node.thawed.set()
            self.note(f"thaw {node.name}")

    def living(self, kind: str) -> list[Node]:
        """Nodes of a kind that are alive."""
        return [node for node in self.nodes.values() if node.kind == kind and node.alive]

    def in_world(self, delay_s: float, action: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call something later, outside every node."""
        return self.loop.call_later(delay_s, action, *args, context=_WORLD.copy())

    def in_node(self, node: Node, delay_s: float, action: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call something later inside a node, if it is alive then."""
        return self.loop.call_later(delay_s, action, *args, context=node.context.copy())

    def start(self, node: Node | None, code: Awaitable[Any]) -> asyncio.Task[Any]:
        """Run a coroutine in a node, or in the world."""

        async def run() -> Any:
            return await code

        context = _WORLD.copy() if node is None else node.context.copy()
        return self.loop.create_task(run(), context=context)

    # -- network

    def send(self, source: str, target: Node, deliver: Callable[[], object], *, reliable: bool = False) -> None:
        """Deliver by calling `deliver` in the target: late, twice, never, or out of order, as the network likes."""
        faults = self.network
        if self._is_cut(source, target):
            self.bit["message cut off"] += 1
            if reliable:  # a pipe loses nothing: it comes later
                again = functools.partial(self.send, source, target, deliver, reliable=True)
                self.in_world(_pipe_again_s, again)
            return
        if not reliable and self.random.random() < faults.loss:
            self.bit["message lost"] += 1
            self.note(f"lost {source} -> {target.name}")
            return
        copies = 2 if not reliable and self.random.random() < faults.duplicate else 1
        if copies > 1:
            self.bit["message doubled"] += 1
        for _ in range(copies):
            delay = faults.delay_min_s + self.random.random() * (faults.delay_max_s - faults.delay_min_s)
            if not reliable and self.random.random() < faults.slow_chance:
                delay += self.random.random() * faults.slow_s
                self.bit["message late"] += 1
            self.in_node(target, delay, deliver)

    def _is_cut(self, source: str, target: Node) -> bool:
        if not self.cut:
            return False
        ends = {source, self.nodes[source].kind if source in self.nodes else source}
        return any((one, other) in self.cut for one in ends for other in (target.name, target.kind))

    async def pause(self, node: Node, low_s: float, high_s: float) -> None:
        """Let some time pass in a node, then wait until it may act."""
        await asyncio.sleep(low_s + self.random.random() * (high_s - low_s))
        await node.acting()


def _clean_context() -> Any:
    import contextvars

    return contextvars.Context()


_WORLD = _clean_context()


class SimPoints:
    """A node's crash points: counts them, and does to the node what the faults ask for."""

    def __init__(self, world: World, node: Node) -> None:
        self._world = world
        self._node = node

    def reach(self, place: Place, subject: str = "") -> None:
        world, node = self._world, self._node
        world.reached[place] += 1
        for fault in list(world.at_points):
            if fault.place != place or node.kind != fault.kind or (fault.subject and fault.subject != subject):
                continue
            fault.after -= 1
            if fault.after >= 0 or not node.alive:
                continue
            world.at_points.remove(fault)
            world.bit[f"{fault.act} at {place}"] += 1
            world.note(f"{node.name} reaches {place} {subject}")
            if fault.act == "crash":
                world.crash(node, f"at {place}")
            else:
                world.freeze(node, fault.freeze_s)
                if fault.crash_after_s is not None:
                    world.in_world(fault.freeze_s + fault.crash_after_s, world.crash, node, "fault")


class SimClock:
    """A node's clock: wall time off by its skew, monotonic time right."""

    def __init__(self, world: World, node: Node) -> None:
        self._world = world
        self._node = node

    def now(self) -> float:
        return self._world.now() + self._world.skew.get(self._node.name, 0.0)

    def monotonic(self) -> float:
        return self._world.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class SimRandomness:
    """Chance from the seed."""

    def __init__(self, world: World) -> None:
        self._world = world

    def token(self, size: int) -> bytes:
        return self._world.random.randbytes(size)

    def uniform(self) -> float:
        return self._world.random.random()
