"""The journal in this process: for tests, notebooks and embedding. One process, one store writes a directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from outlast.adapters.sqlite.anchor import SqliteAnchors, anchor_every_s, beside
from outlast.adapters.sqlite.connection import Connection
from outlast.adapters.sqlite.database import Durability, open_writable
from outlast.adapters.sqlite.engine import Engine, anchors_max, checkpoint_pages
from outlast.adapters.sqlite.filesystem import WriteLock, check_local, mounts
from outlast.adapters.sqlite.lone import Lone
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener, Listeners
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Notice, Outcome, Reply, Unknown
from outlast.kernel.error import StoreCorrupt, StoreError, StoreUnavailable
from outlast.kernel.point import NoPoints, Points
from outlast.kernel.randomness import Randomness


def open_engine(
    path: Path,
    first: Lineage,
    durability: Durability,
    points: Points,
    checkpoint_pages: int = checkpoint_pages,
) -> tuple[Engine[Any], WriteLock, Connection, Lineage]:
    """What a store that writes needs: the lock first, then the database. Raises as `SqliteStore.open`."""
    if not path.parent.is_dir():
        raise StoreUnavailable(f"journal directory {path.parent} is not there: make it first")
    check_local(path.parent, mounts())
    lock = WriteLock(path)
    try:
        connection, lineage = open_writable(path, durability, first)
        return Engine(connection, path, lineage, points, checkpoint_pages), lock, connection, lineage
    except BaseException:
        lock.release()
        raise


class SqliteStore(SqliteReader):
    """EventStore, RunIndex and SnapshotStore on a SQLite file, in the process that uses it.

    Commits run on the event loop, one at the end of each turn in which appends were made: what gathers while one runs
    shares the next. A commit blocks the loop while it runs. For one thread.
    """

    def __init__(
        self,
        engine: Engine[Any],
        lock: WriteLock,
        connection: Connection,
        lineage: Lineage,
        path: Path,
        anchors: SqliteAnchors,
    ) -> None:
        super().__init__(connection, path, lineage)
        self._engine: Engine[Reply] = engine
        self._lock = lock
        self._anchors = anchors
        self._listeners = Listeners()
        self._scheduled = False
        self._lone = Lone()
        self._anchoring: asyncio.TimerHandle | None = None
        self._closed = False

    @classmethod
    def open(  # type: ignore[override] # a reader needs less
        cls,
        path: Path,
        randomness: Randomness,
        *,
        region: str = "local",
        first: Lineage | None = None,
        durability: Durability = "power",
        points: Points | None = None,
    ) -> SqliteStore:
        """Open the database `path` for writing, made if it is not there; heads are anchored in a file beside it.

        A new database begins with lineage `first`, or with one of its own in `region`. `durability` is ``power`` (a
        sync at each commit) or ``process``. Raises Conflict if it is open for writing already, StoreUnavailable
        (read-only, full, locked, on a network file system), StoreCorrupt, ConfigurationError (SQLite too old, another
        format).
        """
        engine, lock, connection, lineage = open_engine(
            path, first or Lineage.first(region, randomness), durability, points or NoPoints()
        )
        try:
            anchors = SqliteAnchors.renewed(beside(path))
        except BaseException:
            engine.close()
            lock.release()
            raise
        return cls(engine, lock, connection, lineage, path, anchors)

    async def append(self, append: Append) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.submit(append, future)
        return await future

    def submit(self, append: Append, reply: Reply) -> None:
        """As in QuickStore."""
        refusal = self._refusal()
        loop = asyncio.get_running_loop()
        if refusal is None:
            self._engine.offer(reply, append)
            if self._lone.again(append.stream) and not self._scheduled:
                self._commit(loop)
            else:
                self._schedule(loop)
        elif isinstance(refusal, StoreCorrupt):
            raise refusal
        else:
            loop.call_soon(_answer, reply, Unknown(str(refusal)))

    async def save(self, snapshot: Snapshot) -> None:
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        loop = asyncio.get_running_loop()
        future: asyncio.Future[StoreUnavailable | None] = loop.create_future()
        self._engine.offer_snapshot(future, snapshot)
        self._schedule(loop)
        fault = await future
        if fault is not None:
            raise fault

    async def remove(self, runs: Sequence[Ended]) -> None:
        """As in Shrinking."""
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        self._anchors.forget_now(stream for run in runs for stream, _ in run.heads)
        self._engine.remove(runs)

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        return self._listeners.add(listener, steps=steps)

    def _refusal(self) -> StoreError | None:
        if self._closed:
            return StoreUnavailable(f"journal {self._path} is closed: open it again")
        return self._engine.fatal

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._commit, loop)

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        if self._closed:
            return
        self._engine.commit(_answer, self._tell if self._listeners else None, steps=self._listeners.steps)
        self._engine.checkpoint()
        if self._engine.fatal is not None:
            self._engine.abandon(_answer)
        elif self._engine.waiting:
            self._schedule(loop)
        if len(self._engine.dirty) > anchors_max:
            self._anchor()
        elif self._anchoring is None:
            self._anchoring = loop.call_later(anchor_every_s, self._anchor)

    def _tell(self, notices: Sequence[Notice]) -> None:
        self._listeners.tell(notices)

    def _anchor(self) -> None:
        if self._anchoring is not None:
            self._anchoring.cancel()
            self._anchoring = None
        dirty = self._engine.dirty
        try:
            self._anchors.note_now(dirty.items())
        except StoreError:
            if len(dirty) <= anchors_max:
                return  # kept, and tried again with the next appends
        dirty.clear()

    def close(self) -> None:
        """Commit what waits, anchor the heads, close the database and let others write; any number of times."""
        if self._closed:
            return
        while self._engine.waiting and self._engine.fatal is None:
            self._engine.commit(_answer, None)
        self._engine.abandon(_answer)
        self._closed = True
        self._anchor()
        self._anchors.close()
        self._engine.close()
        self._lock.release()


def _answer(reply: Reply, result: Any) -> None:
    if not reply.done():
        reply.set_result(result)
