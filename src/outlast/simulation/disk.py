"""The journal's disk, and the simulated writing process around the production group commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

import msgspec

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.journal.blob import BlobRef
from outlast.journal.commit import GroupCommit, Write
from outlast.journal.index import ENDED, HintPatch
from outlast.journal.lineage import Lineage
from outlast.journal.stream import Append, Head, Notice, Outcome, StoredRecord
from outlast.kernel.error import StoreCorrupt
from outlast.kernel.point import Points
from outlast.simulation.anchor import SimAnchors, anchor_every_s
from outlast.simulation.loop import Node
from outlast.simulation.world import World

_AT = re.compile(r'"at":([0-9.]+)')
_INTENT = re.compile(r'"type":"step\.intended"[^{}]*?"attempt":(\d+),"key":"([^"]+)"')
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
    blob_torn: float = 0.0
    """A put fails, and part of the blob is there under its name."""


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
        self.blob_at: dict[str, float] = {}
        """When each blob, by its name, first was durable as a whole."""
        self._damaged: dict[BlobRef, bytes] = {}
        self.anchors = SimAnchors()
        self.acknowledged: list[tuple[str, int, bytes]] = []
        """(stream, number of the last event, hash) of every append that a writer said was applied."""
        self._under_way: list[_Commit] = []
        self._lags = False
        self.forgets = False
        """What is written now is never known to the index, nor told to listeners."""
        self._late: list[HintPatch] = []
        self.durable_at: dict[tuple[str, int], float] = {}
        """When each record, by stream and number of its first event, became durable."""
        self.intended_at: dict[tuple[str, int], float] = {}
        """When the intent of each attempt, by the step's key and its number, was made, by its writer's clock."""

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
        body = append.body.decode()
        kinds = " ".join(_KINDS.findall(body))
        for attempt, key in _INTENT.findall(body):
            made = _AT.search(body)
            assert made is not None
            self.intended_at[key, int(attempt)] = float(made[1])
        self.world.note(f"durable {append.stream} {append.expected.seq + 1} {kinds} ({append.append_id})")

    def _put(self, append: Append, head: Head) -> None:
        """Store a record; the index learns of it at once, or later and in order while it lags."""
        if append.hint is not None and self.forgets:
            self.world.bit["hint dropped"] += 1
            self.world.note(f"dropped hint of {append.hint.run}")
            append = msgspec.structs.replace(append, hint=None)
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

    async def put_blob(self, content: bytes) -> None:
        """A blob is durable, whole."""
        ref = await self.blobs.put(content)
        self._damaged.pop(ref, None)
        self.blob_at.setdefault(ref.sha256, self.world.loop.time())

    def tear_blob(self, content: bytes) -> None:
        """Part of a blob is under its name, unless a whole one is."""
        ref = BlobRef.of(content)
        if ref not in self.blobs.contents():
            self.blobs.damage(ref, content[: len(content) // 2])

    def rot_blob(self, chance: float) -> None:
        """A bit of one blob that is there whole changes, or its end is lost: until it is put again, or `restore`."""
        whole = [(ref, content) for ref, content in self.blobs.contents().items() if BlobRef.of(content) == ref]
        if not whole:
            return
        ref, content = whole[int(chance * len(whole))]
        at = len(content) // 2
        rotten = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        self._damaged[ref] = content
        self.blobs.damage(ref, rotten if chance * 7919 % 1.0 < 0.7 else content[:at])
        self.world.bit["rotten blob"] += 1
        self.world.note(f"rotten blob {ref.sha256[:16]}")

    def restore(self) -> None:
        """Somebody brings back, from a backup, what has rotted."""
        for ref, content in self._damaged.items():
            self.blobs.damage(ref, content)
        self._damaged.clear()

    def head(self, stream: str) -> Head:
        """The durable end of a stream."""
        return self.store.end(stream)

    def unknown_runs(self) -> list[str]:
        """Runs of which the index knows nothing, or not of all their mail."""
        known = self.entries()
        found: list[str] = []
        for stream in self.store.contents():
            kind, _, rest = stream.partition("/")
            run = rest.partition("@")[0]
            if kind == "run" and run not in known:
                found.append(run)
            elif kind == "inbox" and run in known:
                state, mail = known[run]
                if state not in ENDED and mail < self.head(stream).seq:
                    found.append(run)
        return found

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
        self._dirty: dict[str, Head] = {}

    async def anchor(self) -> None:
        """Note heads outside the journal, now and then. Whatever becomes of that, the journal goes on."""
        while True:
            await asyncio.sleep(anchor_every_s)
            assert self.node is not None
            await self.node.acting()
            try:
                await self._disk.anchors.note(self._dirty.items())
            except StoreCorrupt as error:
                self._disk.world.note(f"heads are not anchored: {error}")
            else:
                self._dirty.clear()

    def offer(self, append: Append, reply: Reply) -> None:
        """A request that has arrived."""
        self._commit.offer(reply, append)
        self._asked.set()

    async def serve(self, node: Node, points: Points) -> None:
        """Until it dies."""
        self.node = node
        self._disk.open()
        self._disk.anchors.renew()
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
                self._dirty.update({write.append.stream: write.head for write in writes})
                points.reach("commit.after")
                await node.acting()
                self._tell(writes)
                self._answer(outcomes)

    def _answer(self, outcomes: Sequence[tuple[Reply, Outcome]]) -> None:
        for reply, outcome in outcomes:
            reply(outcome)

    def _tell(self, writes: Sequence[Write]) -> None:
        forgets = self._disk.forgets
        notices = [
            Notice(write.append.stream, write.head.seq, None if forgets else write.append.hint) for write in writes
        ]
        for listener in list(self.listeners):
            listener(notices)
