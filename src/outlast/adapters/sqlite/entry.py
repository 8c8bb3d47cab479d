"""The run index as a table: written in the transaction of the append that changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from outlast.adapters.sqlite.connection import Connection, Cursor
from outlast.journal.index import ENDED, HintPatch, RunEntry, State
from outlast.kernel.error import NotFound

_FIELDS = RunEntry.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_COUNTERS = ("mail", "seen")


class EntryWriter:
    """Turns patches into upserts that touch only what they set, and so only the indexes of that."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._statements: dict[tuple[str, ...], str] = {}

    def write(self, patch: HintPatch) -> None:
        """Apply a patch within the transaction under way."""
        names: list[str] = []
        values: list[Any] = []
        for name in _FIELDS:
            value = getattr(patch, name)
            if value is not UNSET:
                names.append(name)
                values.append(value)
        shape = tuple(names)
        statement = self._statements.get(shape)
        if statement is None:
            statement = self._statements[shape] = _upsert(shape)
        self._cursor.execute(statement, values)


def _upsert(names: tuple[str, ...]) -> str:
    changes = ", ".join(
        f"{name} = max({name}, excluded.{name})" if name in _COUNTERS else f"{name} = excluded.{name}"
        for name in names
        if name != "run"
    )
    then = f"UPDATE SET {changes}" if changes else "NOTHING"
    places = ", ".join("?" * len(names))
    return f"INSERT INTO run ({', '.join(names)}) VALUES ({places}) ON CONFLICT (run) DO {then}"  # noqa: S608 (names of fields)


def _entries(connection: Connection, where: str, values: Sequence[Any]) -> list[RunEntry]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM run {where}", values)  # noqa: S608 (fixed text)
    return [RunEntry(*row) for row in rows.fetchall()]


def entry(connection: Connection, run: str) -> RunEntry | None:
    """As `RunIndex.entry`."""
    found = _entries(connection, "WHERE run = ?", (run,))
    return found[0] if found else None


def due(connection: Connection, now: float, limit: int, pool: str | None) -> list[RunEntry]:
    """As `RunIndex.due`. One question for each reason, so that each has its index."""
    of_pool, values = ("", ()) if pool is None else ("AND pool = ?", (pool,))
    found: dict[str, RunEntry] = {}
    for reason, about in (
        ("state = 'ready'", ()),
        ("state = 'trial'", ()),
        ("state = 'parked' AND wake_at > 0 AND wake_at <= ?", (now,)),
        ("mail > seen AND state = 'parked'", ()),
        ("mail > seen AND state = 'held'", ()),
        ("mail > seen AND state = 'quarantined'", ()),
    ):
        where = f"WHERE {reason} {of_pool} ORDER BY updated_at, run LIMIT ?"
        for one in _entries(connection, where, (*about, *values, limit)):
            found[one.run] = one
    return sorted(found.values(), key=lambda one: (one.updated_at, one.run))[:limit]


def next_wake(connection: Connection, now: float) -> float | None:
    """As `RunIndex.next_wake`."""
    rows = connection.execute(
        "SELECT wake_at FROM run WHERE state = 'parked' AND wake_at > 0 AND wake_at > ? ORDER BY wake_at LIMIT 1",
        (now,),
    ).fetchall()
    return float(rows[0][0]) if rows else None


def owned(connection: Connection, owner: str | None, limit: int) -> list[RunEntry]:
    """As `RunIndex.owned`."""
    if owner is None:
        return _entries(connection, "WHERE state = 'running' ORDER BY run LIMIT ?", (limit,))
    return _entries(connection, "WHERE state = 'running' AND owner = ? ORDER BY run LIMIT ?", (owner, limit))


def listed(
    connection: Connection,
    state: State | str | None,
    agent: str | None,
    session: str | None,
    before: str | None,
    limit: int,
) -> list[RunEntry]:
    """As `RunIndex.list`."""
    terms: list[str] = []
    values: list[Any] = []
    for name, value in (("state", state), ("agent", agent), ("session", session)):
        if value is not None:
            terms.append(f"{name} = ?")
            values.append(value)
    if session is not None:
        terms.append("session <> ''" if session else "session = ''")
    if before is not None:
        rows = connection.execute("SELECT created_at FROM run WHERE run = ?", (before,)).fetchall()
        if not rows:
            raise NotFound(f"run {before!r} is not known: a page continues after a run of the page before it")
        terms.append("(created_at, run) < (?, ?)")
        values += [rows[0][0], before]
    where = "WHERE " + " AND ".join(terms) if terms else ""
    return _entries(connection, f"{where} ORDER BY created_at DESC, run DESC LIMIT ?", (*values, limit))


def counts(connection: Connection) -> dict[str, int]:
    """As `RunIndex.counts`."""
    rows = connection.execute("SELECT state, count(*) FROM run GROUP BY state")
    return {str(state): int(number) for state, number in rows.fetchall()}


def ended(connection: Connection, before: float, after: tuple[float, str], limit: int) -> list[RunEntry]:
    """As `Shrinking.ended`."""
    where = (
        "WHERE created_at <= ? AND (created_at, run) > (?, ?) AND updated_at <= ? AND session = '' "
        f"AND state IN ({', '.join('?' * len(ENDED))}) ORDER BY created_at, run LIMIT ?"
    )
    return _entries(connection, where, (before, *after, before, *sorted(ENDED), limit))
