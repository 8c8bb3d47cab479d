"""Streams, run index and snapshots in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from outlast.adapters.memory.index import MemoryIndex
from outlast.journal.chain import genesis, link
from outlast.journal.index import ENDED, RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener, Listeners
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import (
    Append,
    Applied,
    Conflicted,
    Head,
    Notice,
    Outcome,
    StoredRecord,
    check_append,
    check_stream,
)


class MemoryStore(MemoryIndex):
    """EventStore, RunIndex and SnapshotStore in one object. Not for several threads."""

    def __init__(self, lineage: Lineage | None = None) -> None:
        super().__init__()
        self._lineage = lineage or Lineage(0, "local", "memory")
        self._streams: dict[str, list[StoredRecord]] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._listeners = Listeners()

    @property
    def lineage(self) -> Lineage:
        return self._lineage

    async def append(self, append: Append) -> Outcome:
        check_append(append)
        records = self._streams.get(append.stream)
        if records is None:
            check_stream(append.stream, self._lineage)
        head = self.end(append.stream)
        if head != append.expected:
            return Conflicted(head)
        head = Head(append.head, link(head.hash, append.body))
        self.put(append, head)
        self._listeners.tell([Notice(append.stream, head.seq, append.hint)])
        return Applied(head)

    def put(self, append: Append, head: Head) -> None:
        """Store an append that fits, and what it says about its run; `head` is the stream's end after it."""
        record = StoredRecord(append.expected.seq + 1, append.count, append.body, head.hash)
        self._streams.setdefault(append.stream, []).append(record)
        if append.hint is not None:
            self.patch(append.hint)

    def contents(self) -> dict[str, Sequence[StoredRecord]]:
        """Every stream's records."""
        return dict(self._streams)

    def snapshots(self) -> dict[str, Snapshot]:
        """Every stream's last snapshot."""
        return dict(self._snapshots)

    def end(self, stream: str) -> Head:
        """The end of a stream, at once."""
        records = self._streams.get(stream)
        if not records:
            return genesis(stream)
        last = records[-1]
        return Head(last.seq + last.count - 1, last.hash)

    async def head(self, stream: str) -> Head:
        return self.end(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        records = self._streams.get(stream, [])
        start = bisect_right(records, after, key=lambda record: record.seq)
        return records[start : start + limit]

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        prefix = kind + "/"
        return sorted(key for key in self._streams if key.startswith(prefix) and key > after)[:limit]

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        return self._listeners.add(listener, steps=steps)

    async def ended(self, before: float, after: tuple[float, str] = (0.0, ""), limit: int = 100) -> Sequence[RunEntry]:
        """As in Shrinking."""
        found = [
            entry
            for entry in self.entries()
            if entry.state in ENDED and not entry.session and entry.updated_at <= before
            and (entry.created_at, entry.run) > after
        ]  # fmt: skip
        return sorted(found, key=lambda entry: (entry.created_at, entry.run))[:limit]

    async def remove(self, runs: Sequence[Ended]) -> None:
        """As in Shrinking."""
        for run in runs:
            if all(self.end(stream) in (head, genesis(stream)) for stream, head in run.heads):
                for stream, _ in run.heads:
                    self._streams.pop(stream, None)
                    self._snapshots.pop(stream, None)
                for stream in run.snapshots:
                    self._snapshots.pop(stream, None)
                self.forget(run.run)

    async def save(self, snapshot: Snapshot) -> None:
        latest = self._snapshots.get(snapshot.stream)
        if latest is None or snapshot.seq >= latest.seq:
            self._snapshots[snapshot.stream] = snapshot

    async def load(self, stream: str) -> Snapshot | None:
        return self._snapshots.get(stream)
