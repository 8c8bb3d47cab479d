"""The journal's disk, and the simulated writing process around the production group commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.journal.blob import BlobRef
from outlast.journal.commit import GroupCommit, Write
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Applied, Head, Notice, Outcome, StoredRecord, Unknown, check_append
from outlast.kernel.error import StoreUnavailable
from outlast.kernel.point import Points
from outlast.simulation.loop import Node
from outlast.simulation.world import World

_KINDS = re.compile(r'"type":"([a-z]+\.[a-z_]+)"')  # for the trace: what the bytes say, without decoding them


class DiskFaults(msgspec.Struct):
    """What the disk does. Times in seconds, the others are chances for each commit or read."""

    commit_min_s: float = 0.0002
    commit_max_s: float = 0.002
    slow_chance: float = 0.0
    slow_s: float = 0.5
    sync_fails: float = 0.0
    """The sync fails; whether the data is there is chance. The writing process exits."""
    full: float = 0.0
    """No room: nothing is written, the writing process goes on."""
    read_fails: float = 0.0


class FullDisk(Exception):
    """No room."""


class FailedSync(Exception):
    """Nobody knows what is on the disk."""


class _Commit:
    """One transaction on its way to the disk. Without a sync that works, chance says whether it gets `there`."""

    def __init__(self, node: Node, writes: Sequence[Write], there: bool) -> None:
        self.node = node
        self.writes = writes
        self.there = there
        self.fits = True


class Disk:
    """What is durable. A commit is all or nothing, as SQLite's is; if its writer dies meanwhile, chance says which."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = DiskFaults()
        self.store = MemoryStore(Lineage(0, "local", "simulated"))
        self.blobs = MemoryBlobs()
        self.acknowledged: list[tuple[str, int, bytes]] = []
        """(stream, number of the last event, hash) of every append that a writer said was applied."""
        self._under_way: list[_Commit] = []
        self._lags = False
        self._late: list[HintPatch] = []
        self.durable_at: dict[tuple[str, int], float] = {}
        """When each record, by stream and number of its first event, became durable."""

    async def commit(self, node: Node, writes: Sequence[Write]) -> None:
        """Make writes durable. Raises FullDisk, FailedSync."""
        world, faults, random = self.world, self.faults, self.world.random
        delay = faults.commit_min_s + random.random() * (faults.commit_max_s - faults.commit_min_s)
        if random.random() < faults.slow_chance:
            world.bit["slow commit"] += 1
            delay += random.random() * faults.slow_s
        if random.random() < faults.full:
            world.bit["full disk"] += 1
            await world.pause(node, delay, delay)
            raise FullDisk
        fails = random.random() < faults.sync_fails
        commit = _Commit(node, writes, not fails or random.random() < 0.5)
        self._under_way.append(commit)
        done = world.loop.create_future()

        def land() -> None:
            self._land(commit)
            world.in_node(node, 0.0, _wake, done)

        world.in_world(delay, land)
        await done
        await node.acting()
        if fails or not commit.fits:
            world.bit["failed sync"] += 1
            raise FailedSync

    def open(self) -> None:
        """A writing process opens the journal: what became of the commits of dead ones is decided now."""
        for commit in list(self._under_way):
            self._land(commit)

    def _land(self, commit: _Commit) -> None:
        if commit not in self._under_way:
            return
        self._under_way.remove(commit)
        if not (commit.there if commit.node.alive else self.world.random.random() < 0.5):
            return
        heads: dict[str, Head] = {}
        for write in commit.writes:  # the production rule again, by the store itself: each continues its stream
            append = write.append
            if heads.get(append.stream, self.head(append.stream)) != append.expected:
                self.world.note(f"disk refuses {append.stream} {append.expected.seq + 1}: its stream has moved on")
                commit.fits = False
                return
            heads[append.stream] = write.head
        for write in commit.writes:
            self._apply(write)

    def _apply(self, write: Write) -> None:
        append = write.append
        self._put(append, write.head)
        self.durable_at[append.stream, append.expected.seq + 1] = self.world.loop.time()
        kinds = " ".join(_KINDS.findall(append.body.decode()))
        self.world.note(f"durable {append.stream} {append.expected.seq + 1} {kinds} ({append.append_id})")

    def _put(self, append: Append, head: Head) -> None:
        """Store a record; the index learns of it at once, or later and in order while it lags."""
        if append.hint is None or not self._lags:
            self.store.put(append, head)
            return
        self.world.bit["index lag"] += 1
        self.store.put(msgspec.structs.replace(append, hint=None), head)
        self._late.append(append.hint)

    def lag(self) -> None:
        """What is written from now on shows in the index only when `catch_up` is called."""
        self._lags = True

    def catch_up(self) -> None:
        """The index is as it should be again."""
        self._lags = False
        late, self._late = self._late, []
        for hint in late:
            self.store.patch(hint)

    def head(self, stream: str) -> Head:
        """The durable end of a stream."""
        return self.store.end(stream)

    def contents(self) -> dict[str, Sequence[StoredRecord]]:
        """Every stream's records: what the checker reads."""
        return self.store.contents()

    def entries(self) -> dict[str, tuple[str, int]]:
        """The index: each run's state, and the number of its last letter."""
        return {entry.run: (entry.state, entry.mail) for entry in self.store.entries()}

    def snapshots(self) -> dict[str, tuple[int, bytes, bytes]]:
        """Each stream's last snapshot: number, hash, body."""
        found = self.store.snapshots()
        return {stream: (snapshot.seq, snapshot.hash, snapshot.body) for stream, snapshot in found.items()}

    def blob_contents(self) -> dict[str, bytes]:
        """Every blob by its name."""
        return {ref.sha256: content for ref, content in self.blobs.contents().items()}


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


Reply = Callable[[Outcome], None]


class WriterNode:
    """What runs in the writing process: the production group commit, fed by messages."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.node: Node | None = None
        self._commit: GroupCommit[Reply] = GroupCommit()
        self._asked = asyncio.Event()
        self.listeners: list[Callable[[Sequence[Notice]], None]] = []

    def offer(self, append: Append, reply: Reply) -> None:
        """A request that has arrived."""
        self._commit.offer(reply, append)
        self._asked.set()

    async def serve(self, node: Node, points: Points) -> None:
        """Until it dies."""
        self.node = node
        self._disk.open()
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._commit.waiting:
                wanted = self._commit.take()
                writes = self._commit.decide({stream: self._disk.head(stream) for stream in wanted})
                points.reach("commit.before")
                await node.acting()
                try:
                    if writes:
                        await self._disk.commit(node, writes)
                except FullDisk:
                    self._answer(self._commit.failed("the disk is full"))
                    continue
                except FailedSync:
                    self._answer(self._commit.failed("the sync failed"))
                    return
                outcomes = self._commit.committed()
                points.reach("commit.after")
                await node.acting()
                self._tell(writes)
                self._answer(outcomes)

    def _answer(self, outcomes: Sequence[tuple[Reply, Outcome]]) -> None:
        for reply, outcome in outcomes:
            reply(outcome)

    def _tell(self, writes: Sequence[Write]) -> None:
        notices = [Notice(write.append.stream, write.head.seq, write.append.hint) for write in writes]
        for listener in list(self.listeners):
            listener(notices)


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

    def listen(self, listener: Callable[[Sequence[Notice]], None]) -> Callable[[], None]:
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


class SimBlobs:
    """A node's BlobStore."""

    def __init__(self, world: World, node: Node, disk: Disk) -> None:
        self._world = world
        self._node = node
        self._disk = disk

    async def put(self, content: bytes) -> BlobRef:
        await self._world.pause(self._node, 0.0002, 0.002)
        self._may_fail()
        return await self._disk.blobs.put(content)

    async def get(self, ref: BlobRef) -> bytes:
        await self._world.pause(self._node, 0.0001, 0.001)
        self._may_fail()
        return await self._disk.blobs.get(ref)

    def _may_fail(self) -> None:
        if self._world.random.random() < self._disk.faults.read_fails:
            self._world.bit["failed blob"] += 1
            raise StoreUnavailable("the blob store did not answer (simulated)")
