"""Anchored heads in a SQLite file of their own, beside the journal: a journal that was cut short no longer fits it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import apsw

from outlast.adapters.sqlite.connection import Connection, connect, connect_to_read
from outlast.adapters.sqlite.fault import translating
from outlast.journal.stream import Head
from outlast.kernel.error import StoreCorrupt, StoreUnavailable

anchor_every_s = 1.0
"""How often dirty heads are anchored."""

_UPSERT = """
    INSERT INTO anchor (stream, seq, hash) VALUES (?, ?, ?)
    ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, hash = excluded.hash WHERE excluded.seq > seq
"""


def beside(journal: Path) -> Path:
    """Where the anchors of the journal `journal` are kept."""
    return journal.with_name("anchors.sqlite")


def damaged(anchors: Path) -> Path:
    """Where a damaged file of anchors was put aside."""
    return Path(f"{anchors}.damaged")


class SqliteAnchors:
    """An AnchorStore. It is synced by the system, not at each note: an anchor that is lost is one that is late."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> SqliteAnchors:
        """Open or make the file `path`. Raises StoreUnavailable, StoreCorrupt."""
        with translating(path):
            connection = connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            try:
                connection.set_busy_timeout(2000)
                connection.pragma("journal_mode", "wal")
                connection.pragma("synchronous", "normal")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS anchor "
                    "(stream TEXT NOT NULL PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID"
                )
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    @classmethod
    def open_readable(cls, path: Path) -> SqliteAnchors:
        """Open the file `path` to read it only. Raises StoreUnavailable, also if it is not there, and StoreCorrupt."""
        if not path.exists():
            raise StoreUnavailable(f"anchors {path} are not there: the journal was never written, or they were removed")
        with translating(path):
            connection = connect_to_read(path)
            connection.set_busy_timeout(2000)
        return cls(connection, path)

    @classmethod
    def renewed(cls, path: Path) -> SqliteAnchors:
        """As `open`; a damaged file is put aside as evidence, and anchoring begins anew: the journal must go on."""
        try:
            return cls.open(path)
        except StoreCorrupt:
            path.replace(damaged(path))
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            return cls.open(path)

    def note_now(self, heads: Iterable[tuple[str, Head]]) -> None:
        """As `note`, at once."""
        rows = [(stream, head.seq, head.hash) for stream, head in heads]
        if not rows:
            return
        with translating(self._path), self._connection:
            self._connection.executemany(_UPSERT, rows)

    def forget_now(self, streams: Iterable[str]) -> None:
        """These streams are removed on purpose: they are not to be missed."""
        with translating(self._path), self._connection:
            self._connection.executemany("DELETE FROM anchor WHERE stream = ?", [(stream,) for stream in streams])

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        self.note_now(heads)

    async def all(self) -> dict[str, Head]:
        with translating(self._path):
            rows = self._connection.execute("SELECT stream, seq, hash FROM anchor").fetchall()
        return {stream: Head(seq, digest) for stream, seq, digest in rows}

    def count(self) -> int:
        """How many streams it knows. Raises StoreCorrupt."""
        with translating(self._path):
            return self._connection.execute("SELECT count(*) FROM anchor").fetchall()[0][0]

    def close(self) -> None:
        """Close the file; any number of times."""
        self._connection.close()
