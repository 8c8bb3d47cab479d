"""The simulated host: starts nodes where `adapters/host` starts processes, under the production supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from outlast.agent.app import App
from outlast.agent.platform import Platform, Settings
from outlast.cell.bound import Bounds, PoolSize
from outlast.cell.child import (
    Beat,
    ChildPlan,
    Drain,
    FromChild,
    Loading,
    Ready,
    Ring,
    ToChild,
    beat_every_s,
    loading_every_s,
)
from outlast.cell.command import Start
from outlast.cell.event import CellEvent
from outlast.cell.roster import Roster
from outlast.cell.supervisor import Supervisor
from outlast.cell.worker import Worker
from outlast.model.endpoint import Endpoint
from outlast.simulation.blob import SimBlobs
from outlast.simulation.disk import Disk, WriterNode
from outlast.simulation.loop import Node, current_node
from outlast.simulation.store import SimStore
from outlast.simulation.world import SimClock, SimPoints, SimRandomness, World

killed_status = -9


class SimChild:
    """A node as its supervisor sees it."""

    def __init__(self, world: World, id: str, pid: int) -> None:
        self._world = world
        self.id = id
        self.pid = pid
        self.node: Node | None = None
        self.words: asyncio.Queue[ToChild] = asyncio.Queue()
        self.resident = 1

    def send(self, word: ToChild) -> bool:
        if self.node is None or not self.node.alive:
            return False
        self._world.send("supervisor", self.node, lambda: self.words.put_nowait(word), reliable=True)
        return True

    def kill(self) -> None:
        if self.node is not None:
            self._world.crash(self.node, "SIGKILL")

    def memory(self) -> int:
        return self.resident


class SimExecutors:
    """Knows every node of this host that ever was. `far`: all others are on hosts that never answer."""

    def __init__(self, world: World, node: Node, *, far: bool = False) -> None:
        self._world = world
        self._node = node
        self._far = far

    async def confirm_dead(self, worker: str) -> bool:
        await self._world.pause(self._node, 0.0005, 0.005)
        if self._far:
            self._world.bit["executor far away"] += 1
            return False
        other = self._world.nodes.get(worker)
        if other is not None:
            self._world.crash(other, f"so that {self._node.name} may decide a step")
        await self._world.pause(self._node, 0.0005, 0.005)
        return True


class SimCell:
    """One cell on one simulated host: production supervisor, roster, doorbell, workers and group commit.

    `start_supervisor` may be called again after the supervisor crashed, as `outlast up` would be.
    """

    def __init__(
        self,
        world: World,
        app: App[Any],
        disk: Disk,
        *,
        workers: int = 2,
        settings: Settings | None = None,
        bounds: Bounds | None = None,
        endpoints: Mapping[str, Endpoint] | None = None,
        far: bool = False,
    ) -> None:
        self.world = world
        self.app = app
        self.disk = disk
        self._far = far
        self.settings = settings or Settings()
        self.events: list[CellEvent] = []
        self.reports: list[str] = []
        self.writer: WriterNode | None = None
        self._workers = workers
        self._bounds = bounds or Bounds()
        self._endpoints = endpoints or {}
        self._numbers = 0
        self._stores: list[SimStore] = []
        self._supervisor_children: dict[str, SimChild] = {}
        self._supervisor: Supervisor | None = None

    def platform(self, node: Node) -> Platform:
        """What a node runs on."""
        store = SimStore(self.world, node, self.disk, lambda: self.writer)
        self._stores.append(store)
        return Platform(
            clock=SimClock(self.world, node),
            randomness=SimRandomness(self.world),
            store=store,
            index=store,
            snapshots=store,
            blobs=SimBlobs(self.world, node, self.disk),
            executors=SimExecutors(self.world, node, far=self._far),
            endpoints=self._endpoints,
            points=SimPoints(self.world, node),
            settings=self.settings,
        )

    def start_supervisor(self) -> Node:
        """Start the cell, or start it again."""
        self._numbers += 1
        name = f"supervisor-{self._numbers}"
        for node in list(self.world.nodes.values()):  # what an earlier one left is dead before anything new starts
            if node.kind in ("worker", "writer") and node.alive:
                self.world.crash(node, "left over by an earlier supervisor")
        return self.world.boot(name, "supervisor", self._supervise(), self._supervisor_died)

    async def _supervise(self) -> None:
        node = current_node.get()
        assert node is not None
        clock, randomness = SimClock(self.world, node), SimRandomness(self.world)
        roster = Roster(self._bounds, {"default": PoolSize(self._workers)}, randomness, clock.monotonic(), server=False)
        supervisor = Supervisor(
            roster, self, clock, self._plan, self._connect, SimExecutors(self.world, node), self.events.append
        )
        self._supervisor = supervisor
        await supervisor.run()

    def tell_supervisor(self, what: str) -> None:
        """Somebody stops the cell gently, or loads its code anew."""
        supervisor, nodes = self._supervisor, self.world.living("supervisor")
        if supervisor is not None and nodes:
            self.world.note(f"{what} {nodes[0].name}")
            self.world.bit[f"{what} supervisor"] += 1
            self.world.in_node(nodes[0], 0.0, supervisor.drain if what == "drain" else supervisor.reload)

    def swell(self, node: Node) -> None:
        """A worker takes more memory than it may."""
        child = self._supervisor_children.get(node.name)
        if child is not None:
            self.world.note(f"swell {node.name}")
            self.world.bit["swell worker"] += 1
            child.resident = 1 << 40

    def _supervisor_died(self) -> None:
        for child in self._supervisor_children.values():  # end of file on their control channels: they stop at once
            if child.node is not None:
                self.world.crash(child.node, "its supervisor is gone")
        self._supervisor_children.clear()

    def _plan(self, start: Start) -> ChildPlan:
        self._numbers += 1
        arguments = [start.pool, start.solo_for] if start.solo_for else [start.pool]
        return ChildPlan(f"{start.kind}-{self._numbers}", start.kind, arguments, {}, "", "")

    async def _connect(self) -> _Journal:
        node = current_node.get()
        assert node is not None
        return _Journal(self.platform(node).store)

    # ChildHost

    def start(
        self, plan: ChildPlan, heard: Callable[[str, FromChild], None], died: Callable[[str, int], None]
    ) -> SimChild:
        """Start a node."""
        supervisor = current_node.get()
        assert supervisor is not None
        self._numbers += 1
        child = SimChild(self.world, plan.id, self._numbers)
        code: Coroutine[Any, Any, None]

        def say(word: FromChild) -> None:
            assert child.node is not None
            if child.node.alive and not child.node.frozen:
                self.world.send(child.id, supervisor, lambda: heard(child.id, word), reliable=True)

        def gone() -> None:
            self._supervisor_children.pop(child.id, None)
            if supervisor.alive:
                self.world.in_node(supervisor, 0.0001, died, child.id, killed_status)

        if plan.kind == "writer":
            code = self._be_writer(child, say)
        else:
            code = self._be_worker(child, say)
        child.node = self.world.boot(plan.id, plan.kind, code, gone)
        self._supervisor_children[child.id] = child
        return child

    async def _be_writer(self, child: SimChild, say: Callable[[FromChild], None]) -> None:
        node = child.node
        assert node is not None
        loading = asyncio.get_running_loop().create_task(self._load(say))
        node.kept.append(loading)
        await self.world.pause(node, 0.05, 0.3)
        writer = WriterNode(self.disk)
        self.writer = writer
        beating = asyncio.get_running_loop().create_task(self._beat(say, lambda: 0))
        node.kept += [beating, asyncio.get_running_loop().create_task(writer.anchor())]
        serving = writer.serve(node, SimPoints(self.world, node))
        loading.cancel()
        say(Ready())
        self.world.in_world(0.01, self._resubscribe)
        await serving

    def _resubscribe(self) -> None:
        for store in self._stores:
            store.subscribe()

    async def _be_worker(self, child: SimChild, say: Callable[[FromChild], None]) -> None:
        node = child.node
        assert node is not None
        loading = asyncio.get_running_loop().create_task(self._load(say))
        node.kept.append(loading)
        await self.world.pause(node, 0.05, 0.5)
        worker = Worker(self.app, self.platform(node), child.id, report=self.reports.append)
        async with worker:
            loading.cancel()
            say(Ready(pools=("default",)))
            beating = asyncio.get_running_loop().create_task(self._beat(say, lambda: worker.runs))
            node.kept.append(beating)
            while True:
                word = await child.words.get()
                match word:
                    case Ring(run, solo):
                        worker.offer(run, solo)
                    case Drain(within_s):
                        await worker.drain(within_s)
                        beating.cancel()
                        return

    async def _load(self, say: Callable[[FromChild], None]) -> None:
        """What a thread beside the main loop does in a real child."""
        count = 0
        while True:
            await asyncio.sleep(loading_every_s)
            count += 1
            say(Loading(count))

    async def _beat(self, say: Callable[[FromChild], None], runs: Callable[[], int]) -> None:
        count = 0
        while True:
            count += 1
            say(Beat(count, runs()))
            await asyncio.sleep(beat_every_s)


class _Journal:
    """What the supervisor reads."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.index = store

    async def close(self) -> None:
        return None
