"""Group commit on SQLite: rounds of `journal/commit.py`, one transaction each. Synchronous; its owner decides when.

`SqliteStore` runs it on its event loop, the writing process (`writer.py`) in its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import apsw

from outlast.adapters.sqlite.checksum import checksum, whole
from outlast.adapters.sqlite.connection import Connection
from outlast.adapters.sqlite.database import busy_timeout_ms
from outlast.adapters.sqlite.entry import EntryWriter
from outlast.adapters.sqlite.fault import translated
from outlast.journal.chain import genesis
from outlast.journal.commit import GroupCommit, Write
from outlast.journal.lineage import Lineage
from outlast.journal.notice import is_step
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Head, Notice, Outcome, check_append, check_stream
from outlast.kernel.error import PayloadTooLarge, StoreError, StoreUnavailable, UsageError
from outlast.kernel.point import NoPoints, Points

Ticket = TypeVar("Ticket")

checkpoint_pages = 2000
"""The log is copied into the database whenever it has grown by so many pages (of 4 KiB)."""
checkpoint_wait_pages = 16_000
"""From so many pages on, readers are waited for, so that the log can begin anew (64 MiB)."""
streams_max = 100_000
"""Bound of the stream numbers that are remembered."""
snapshot_bytes_max = 8 * 1024 * 1024
"""Bound of one snapshot's body, 8 MiB."""
anchors_max = 20_000
"""Bound of the heads that wait to be anchored; beyond it they are anchored at once."""

_INSERT = "INSERT INTO record (stream, seq, count, body, hash) VALUES (?, ?, ?, ?, ?)"
_PASSING = (apsw.FullError, apsw.BusyError, apsw.LockedError, apsw.NoMemError)
"""Faults after which the same connection may go on: nothing was written, or nothing that counts."""


class Engine(Generic[Ticket]):
    """Takes requests, commits them in rounds and answers. `fatal` says why it cannot go on, once it cannot."""

    def __init__(
        self,
        connection: Connection,
        path: Path,
        lineage: Lineage,
        points: Points,
        checkpoint_pages: int = checkpoint_pages,
    ) -> None:
        self._connection = connection
        self._path = path
        self._lineage = lineage
        self._points = None if isinstance(points, NoPoints) else points
        self._cursor = connection.cursor()
        self._group: GroupCommit[Ticket] = GroupCommit(heads_max=streams_max)
        self._entries = EntryWriter(self._cursor)
        self._ids: dict[str, int] = {}
        self._snapshots: list[tuple[Ticket, Snapshot]] = []
        self._pages = 0
        self._checkpoint_pages = checkpoint_pages
        self._checkpoint_at = checkpoint_pages
        connection.set_wal_hook(self._count_pages)
        self.fatal: StoreError | None = None
        self.passing: StoreError | None = None
        """Why the last round that had something to write failed, where another may succeed."""
        self.dirty: dict[str, Head] = {}
        """Durable ends of streams that are not anchored yet. Whoever anchors them empties it."""

    def offer(self, ticket: Ticket, append: Append) -> None:
        """A request for the next round. Raises UsageError for what no store accepts."""
        check_append(append)
        if self._group.head(append.stream) is None:
            check_stream(append.stream, self._lineage)
        self._group.offer(ticket, append)

    def offer_snapshot(self, ticket: Ticket, snapshot: Snapshot) -> None:
        """A snapshot for the next round. Raises UsageError, PayloadTooLarge."""
        check_stream(snapshot.stream, self._lineage)
        if len(snapshot.body) > snapshot_bytes_max:
            raise PayloadTooLarge(
                f"snapshot of {snapshot.stream} is {len(snapshot.body)} bytes, the bound snapshot_bytes_max is "
                f"{snapshot_bytes_max}: keep less state"
            )
        if not 0 <= snapshot.seq < 2**53 or not 0 <= snapshot.v < 2**31:
            raise UsageError(f"snapshot of {snapshot.stream} is malformed: its numbers are out of range")
        self._snapshots.append((ticket, snapshot))

    @property
    def waiting(self) -> int:
        """How many requests wait for a round."""
        return self._group.waiting + len(self._snapshots)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of the bodies that wait."""
        return self._group.waiting_bytes + sum(len(snapshot.body) for _, snapshot in self._snapshots)

    def head(self, stream: str) -> Head:
        """The durable end of a stream. Raises what apsw raises."""
        return self._group.head(stream) or self._look_up(stream)

    def commit(
        self,
        answer: Callable[[Ticket, Outcome | StoreUnavailable | None], None],
        notify: Callable[[Sequence[Notice]], None] | None,
        *,
        steps: bool = True,
    ) -> None:
        """One round: `answer` is called for each request (None: a snapshot is saved), then `notify` with what grew.

        Without `steps` that is not told what `is_step` says.
        """
        snapshots, self._snapshots = self._snapshots, []
        writes: Sequence[Write] = ()
        try:
            ends = {stream: self._look_up(stream) for stream in self._group.take()}
            writes = self._group.decide(ends)
            if writes or snapshots:
                self._transact(writes, [snapshot for _, snapshot in snapshots])
        except (apsw.Error, UnicodeDecodeError) as error:
            fault = self._recover(error)
            outcomes = self._group.failed(str(fault))
            saved = StoreUnavailable(str(fault))
        else:
            outcomes = self._group.committed()
            saved = None
            if writes or snapshots:
                self.passing = None
            if self._points is not None:
                for write in writes:
                    self._points.reach("commit.after", write.append.stream)
            for write in writes:
                self.dirty[write.append.stream] = write.head
        for ticket, outcome in outcomes:
            answer(ticket, outcome)
        for ticket, _ in snapshots:
            answer(ticket, saved)
        if saved is None and notify is not None:
            told = [write for write in writes if steps or not is_step(write.append)]
            if told:
                notify([Notice(write.append.stream, write.head.seq, write.append.hint) for write in told])

    def remove(self, runs: Sequence[Ended]) -> None:
        """Remove runs, each wholly or not at all; one that does not end where it is said stays. Between two rounds.

        Raises StoreUnavailable; then nothing was removed, or `fatal` says why nothing can be any more.
        """
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            for run in runs:
                if all(self.head(stream) in (head, genesis(stream)) for stream, head in run.heads):
                    self._remove(run)
            self._cursor.execute("COMMIT")
        except (apsw.Error, UnicodeDecodeError) as error:
            raise StoreUnavailable(str(self._recover(error))) from None
        finally:
            streams = [stream for run in runs for stream, _ in run.heads]
            self._group.forget(streams)
            for stream in streams:
                self._ids.pop(stream, None)
                self.dirty.pop(stream, None)

    def _remove(self, run: Ended) -> None:
        for stream, _ in run.heads:
            self._cursor.execute("DELETE FROM record WHERE stream = (SELECT id FROM stream WHERE key = ?)", (stream,))
            self._cursor.execute("DELETE FROM stream WHERE key = ?", (stream,))
        for stream in [*(stream for stream, _ in run.heads), *run.snapshots]:
            self._cursor.execute("DELETE FROM snapshot WHERE stream = ?", (stream,))
        self._cursor.execute("DELETE FROM run WHERE run = ?", (run.run,))

    def abandon(self, answer: Callable[[Ticket, Outcome | StoreUnavailable | None], None]) -> None:
        """Answer what waits without trying, because the engine cannot go on: Unknown."""
        reason = str(self.fatal)
        snapshots, self._snapshots = self._snapshots, []
        while self._group.waiting:
            self._group.take()
            for ticket, outcome in self._group.failed(reason):
                answer(ticket, outcome)
        for ticket, _ in snapshots:
            answer(ticket, StoreUnavailable(reason))

    def _transact(self, writes: Sequence[Write], snapshots: Sequence[Snapshot]) -> None:
        cursor, ids, entries = self._cursor, self._ids, self._entries
        if len(writes) == 1 and not snapshots and self._points is None:
            append, head = writes[0].append, writes[0].head
            stream = ids.get(append.stream)
            if stream is not None and append.hint is None:  # a lone run's step: one statement is a transaction
                row = (stream, append.expected.seq + 1, append.count, append.body.decode(), head.hash)
                cursor.execute(_INSERT, row)
                return
        cursor.execute("BEGIN IMMEDIATE")
        rows: list[tuple[int, int, int, str, bytes]] = []
        for append, head in [(write.append, write.head) for write in writes]:
            stream = ids.get(append.stream)
            if stream is None:
                cursor.execute("INSERT INTO stream (key) VALUES (?)", (append.stream,))
                stream = ids[append.stream] = self._connection.last_insert_rowid()
            rows.append((stream, append.expected.seq + 1, append.count, append.body.decode(), head.hash))
            if append.hint is not None:
                entries.write(append.hint)
        cursor.executemany(_INSERT, rows)
        for snapshot in snapshots:
            self._save(snapshot)
        if self._points is not None:
            for write in writes:
                self._points.reach("commit.before", write.append.stream)
        cursor.execute("COMMIT")

    def _save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot unless there is a later one that can be read, and at most one before it."""
        place = (snapshot.stream, snapshot.seq)
        later = "FROM snapshot WHERE stream = ? AND seq > ?"
        rows = self._cursor.execute(f"SELECT stream, seq, hash, v, digest, body {later}", place).fetchall()
        if any(whole(*row) is not None for row in rows):
            return
        if rows:
            self._cursor.execute(f"DELETE {later}", place)
        self._cursor.execute(
            "INSERT OR REPLACE INTO snapshot (stream, seq, hash, v, digest, body) VALUES (?, ?, ?, ?, ?, ?)",
            (*place, snapshot.hash, snapshot.v, checksum(snapshot), snapshot.body),
        )
        self._cursor.execute(
            "DELETE FROM snapshot WHERE stream = ?1 AND seq < "
            "(SELECT min(seq) FROM (SELECT seq FROM snapshot WHERE stream = ?1 ORDER BY seq DESC LIMIT 2))",
            (snapshot.stream,),
        )

    def _look_up(self, stream: str) -> Head:
        rows = self._cursor.execute(
            "SELECT s.id, r.seq + r.count - 1, r.hash FROM stream s LEFT JOIN record r ON r.stream = s.id "
            "AND r.seq = (SELECT max(seq) FROM record WHERE stream = s.id) WHERE s.key = ?",
            (stream,),
        ).fetchall()
        if not rows:
            return genesis(stream)
        number, seq, digest = rows[0]
        if len(self._ids) >= streams_max:
            self._ids.clear()
        self._ids[stream] = number
        return genesis(stream) if seq is None else Head(seq, digest)

    def _recover(self, error: Exception) -> StoreError:
        """After a failed round: what it means, with the connection as it was before."""
        self._ids.clear()
        if isinstance(error, apsw.Error):
            fault = translated(error, self._path)
        else:
            fault = StoreUnavailable(f"journal {self._path} holds text that is not UTF-8: run `outlast audit verify`")
        passing = isinstance(error, _PASSING)
        try:
            if self._connection.in_transaction:
                self._cursor.execute("ROLLBACK")
        except apsw.Error:
            passing = False
        if passing:
            self.passing = fault
        else:
            self.fatal = fault
        return fault

    def _count_pages(self, connection: object, name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def checkpoint(self, *, now: bool = False) -> None:
        """Copy the log into the database if it has grown enough (or `now`). Call it when nobody waits for an answer."""
        if self.fatal is not None or not (now or self._pages >= self._checkpoint_at):
            return
        wait = self._pages >= checkpoint_wait_pages
        mode = apsw.SQLITE_CHECKPOINT_RESTART if wait else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            if wait:
                self._connection.set_busy_timeout(100)
            total, done = self._connection.wal_checkpoint(mode=mode)
        except _PASSING:
            total, done = self._pages, 0  # a reader is in the way, or the disk is full: later
        except apsw.Error as error:
            self.fatal = translated(error, self._path)
            return
        finally:
            if wait:
                self._connection.set_busy_timeout(busy_timeout_ms)
        # when all is copied the next commit begins the log anew
        self._checkpoint_at = self._checkpoint_pages if done >= total else total + self._checkpoint_pages

    def close(self) -> None:
        """Close the database. Requests that wait are not answered."""
        self._cursor.close()
        self._connection.set_wal_hook(None)
        self._connection.close()
