"""A node's store: it reads the disk, and appends by messages to whoever writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from outlast.journal.index import RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Applied, Head, Notice, Outcome, StoredRecord, Unknown, check_append
from outlast.kernel.error import StoreUnavailable
from outlast.simulation.disk import Disk, WriterNode
from outlast.simulation.loop import Node
from outlast.simulation.world import World


class SimStore:
    """A node's EventStore, RunIndex and SnapshotStore: reads the disk, appends through whoever is the writer."""

    answer_within_s = 1.0

    def __init__(self, world: World, node: Node, disk: Disk, writer: Callable[[], WriterNode | None]) -> None:
        self._world = world
        self._node = node
        self._disk = disk
        self._writer = writer
        self._listeners: list[Callable[[Sequence[Notice]], None]] = []
        self._known: set[int] = set()

    @property
    def lineage(self) -> Lineage:
        return self._disk.store.lineage

    async def append(self, append: Append) -> Outcome:
        check_append(append)
        await self._node.acting()
        writer = self._writer()
        if writer is None or writer.node is None or not writer.node.alive:
            await self._world.pause(self._node, 0.01, 0.05)
            return Unknown("no writer serves")
        answer: asyncio.Future[Outcome] = self._world.loop.create_future()
        node = self._node

        def arrive() -> None:
            writer.offer(append, reply)

        def reply(outcome: Outcome) -> None:
            assert writer.node is not None
            self._world.send(writer.node.name, node, lambda: receive(outcome))

        def receive(outcome: Outcome) -> None:
            if not answer.done():
                if isinstance(outcome, Applied):
                    self._disk.acknowledged.append((append.stream, outcome.head.seq, outcome.head.hash))
                answer.set_result(outcome)

        self._world.send(node.name, writer.node, arrive)
        try:
            async with asyncio.timeout(self.answer_within_s):
                outcome = await answer
        except TimeoutError:
            outcome = Unknown("no answer")
        await node.acting()
        return outcome

    async def _reading(self) -> None:
        await self._world.pause(self._node, 0.00005, 0.0005)
        if self._world.random.random() < self._disk.faults.read_fails:
            self._world.bit["failed read"] += 1
            raise StoreUnavailable("a read failed (simulated)")

    async def head(self, stream: str) -> Head:
        await self._reading()
        return self._disk.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        await self._reading()
        return await self._disk.store.read(stream, after, limit)

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        await self._reading()
        return await self._disk.store.streams(kind, after, limit)

    def listen(self, listener: Callable[[Sequence[Notice]], None], *, steps: bool = True) -> Callable[[], None]:
        """Notices by message from the present writer; a node that listens finds the next writer by itself."""
        self._listeners.append(listener)
        self.subscribe()
        return lambda: self._listeners.remove(listener)

    def subscribe(self) -> None:
        """Listen to the present writer, if that is not done."""
        writer = self._writer()
        if writer is None or id(writer) in self._known or not self._listeners:
            return
        self._known.add(id(writer))
        node = self._node

        def hear(notices: Sequence[Notice]) -> None:
            assert writer.node is not None
            self._world.send(writer.node.name, node, lambda: self._hear(notices))

        writer.listeners.append(hear)

    def _hear(self, notices: Sequence[Notice]) -> None:
        for listener in list(self._listeners):
            listener(notices)

    # -- the index and the snapshots: hints

    async def entry(self, run: str) -> RunEntry | None:
        await self._reading()
        return await self._disk.store.entry(run)

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        await self._reading()
        return await self._disk.store.due(now, limit, pool)

    async def next_wake(self, now: float) -> float | None:
        await self._reading()
        return await self._disk.store.next_wake(now)

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        await self._reading()
        return await self._disk.store.owned(owner, limit)

    async def list(self, **options: Any) -> Sequence[RunEntry]:
        await self._reading()
        return await self._disk.store.list(**options)

    async def counts(self) -> dict[str, int]:
        await self._reading()
        return await self._disk.store.counts()

    async def save(self, snapshot: Snapshot) -> None:
        await self._reading()
        await self._disk.store.save(snapshot)

    async def load(self, stream: str) -> Snapshot | None:
        await self._reading()
        return await self._disk.store.load(stream)
