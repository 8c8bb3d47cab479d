"""Reading the journal's database: sees every acknowledged append, holds no lock longer than one question takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outlast.adapters.sqlite import entry as entries
from outlast.adapters.sqlite.checksum import whole
from outlast.adapters.sqlite.connection import Connection
from outlast.adapters.sqlite.database import open_readable
from outlast.adapters.sqlite.fault import translating
from outlast.journal.chain import genesis
from outlast.journal.index import RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Head, StoredRecord
from outlast.kernel.error import StoreCorrupt

_AFTER_ALL_OF_A_KIND = "0"  # the character after "/"
_SNAPSHOTS = "SELECT stream, seq, hash, v, digest, body FROM snapshot"


class SqliteReader:
    """The reading half of EventStore and SnapshotStore, and a RunIndex. For one thread.

    Questions are answered in the calling task, without a thread: a page of records takes microseconds from the page
    cache, a hand-over to a thread would cost more. Raises StoreUnavailable and StoreCorrupt.
    """

    def __init__(self, connection: Connection, path: Path, lineage: Lineage) -> None:
        self._connection = connection
        self._path = path
        self._lineage = lineage

    @classmethod
    def open(cls, path: Path) -> SqliteReader:
        """Open the database `path` read-only, while another process may write it."""
        connection, lineage = open_readable(path)
        return cls(connection, path, lineage)

    def close(self) -> None:
        """Close the database; any number of times."""
        self._connection.close()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def lineage(self) -> Lineage:
        return self._lineage

    def _rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with translating(self._path):
            return self._connection.execute(statement, values).fetchall()

    def inspect(self) -> Sequence[str]:
        """SQLite's own check of the file, and records without a stream: a line for each fault. Reads all of it."""
        faults = [str(row[0]) for row in self._rows("PRAGMA integrity_check(100)", ())]
        lost = self._rows("SELECT count(*) FROM record WHERE stream NOT IN (SELECT id FROM stream)", ())[0][0]
        return [line for line in faults if line != "ok"] + ([f"{lost} records belong to no stream"] if lost else [])

    async def head(self, stream: str) -> Head:
        rows = self._rows(
            "SELECT r.seq + r.count - 1, r.hash FROM record r WHERE r.stream = (SELECT id FROM stream WHERE key = ?) "
            "ORDER BY r.seq DESC LIMIT 1",
            (stream,),
        )
        if not rows:
            return genesis(stream)
        seq, digest = rows[0]
        if not isinstance(seq, int) or not isinstance(digest, bytes):
            raise StoreCorrupt(f"stream {stream}: its last record is malformed: run `outlast audit verify`")
        return Head(seq, digest)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        rows = self._rows(
            "SELECT seq, count, body, hash FROM record WHERE stream = (SELECT id FROM stream WHERE key = ?) AND seq > ?"
            " ORDER BY seq LIMIT ?",
            (stream, after, limit),
        )
        try:
            return [StoredRecord(seq, count, body.encode(), digest) for seq, count, body, digest in rows]
        except (AttributeError, UnicodeEncodeError):
            raise StoreCorrupt(
                f"stream {stream}: a record after event {after} holds no text: run `outlast audit verify`"
            ) from None

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        rows = self._rows(
            "SELECT key FROM stream WHERE key > ? AND key < ? ORDER BY key LIMIT ?",
            (max(after, kind + "/"), kind + _AFTER_ALL_OF_A_KIND, limit),
        )
        return [str(key) for (key,) in rows]

    async def load(self, stream: str) -> Snapshot | None:
        rows = self._rows(f"{_SNAPSHOTS} WHERE stream = ? ORDER BY seq DESC", (stream,))
        return next((snapshot for row in rows if (snapshot := whole(*row)) is not None), None)

    async def damaged_snapshots(self) -> Sequence[tuple[str, str]]:
        """Stream and number of every snapshot that is not as it was saved. Reads all of them, one at a time."""
        places = self._rows("SELECT rowid, stream, seq FROM snapshot ORDER BY stream, seq", ())
        return [
            (str(stream), str(seq))
            for rowid, stream, seq in places
            if not any(map(_is_whole, self._rows(f"{_SNAPSHOTS} WHERE rowid = ?", (rowid,))))
        ]

    async def entry(self, run: str) -> RunEntry | None:
        with translating(self._path):
            return entries.entry(self._connection, run)

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        with translating(self._path):
            return entries.due(self._connection, now, limit, pool)

    async def next_wake(self, now: float) -> float | None:
        with translating(self._path):
            return entries.next_wake(self._connection, now)

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        with translating(self._path):
            return entries.owned(self._connection, owner, limit)

    async def list(
        self,
        *,
        state: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        before: str | None = None,
        limit: int = 50,
        fresh: bool = False,
    ) -> Sequence[RunEntry]:
        with translating(self._path):
            return entries.listed(self._connection, state, agent, session, before, limit)

    async def ended(self, before: float, after: tuple[float, str] = (0.0, ""), limit: int = 100) -> Sequence[RunEntry]:
        """As in Shrinking."""
        with translating(self._path):
            return entries.ended(self._connection, before, after, limit)

    async def counts(self) -> dict[str, int]:
        with translating(self._path):
            return entries.counts(self._connection)


def _is_whole(row: tuple[Any, ...]) -> bool:
    return whole(*row) is not None
