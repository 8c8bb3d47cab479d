"""The run index as a table; it is written with the appends (`statement.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.statement import FIELDS
from outlast.journal.index import ENDED, RunEntry
from outlast.kernel.error import NotFound

_SELECT = f"SELECT {', '.join(FIELDS)} FROM run"  # noqa: S608 (names of fields)
_DUE = (
    "state = 'ready'",
    "state = 'trial'",
    "state = 'parked' AND wake_at > 0 AND wake_at <= %(now)s",
    "mail > seen AND state = 'parked'",
    "mail > seen AND state = 'held'",
    "mail > seen AND state = 'quarantined'",
)


async def _entries(pool: Pool, rest: str, values: Any) -> list[RunEntry]:
    return [RunEntry(*row) for row in await pool.rows(f"{_SELECT} {rest}", values)]


async def entry(pool: Pool, run: str) -> RunEntry | None:
    """As `RunIndex.entry`."""
    found = await _entries(pool, "WHERE run = %s", (run,))
    return found[0] if found else None


async def due(pool: Pool, now: float, limit: int, pool_name: str | None) -> list[RunEntry]:
    """As `RunIndex.due`. One question for each reason, so that each has its index; one round trip."""
    of_pool = "" if pool_name is None else "AND pool = %(pool)s"
    parts = [f"({_SELECT} WHERE {reason} {of_pool} ORDER BY updated_at, run LIMIT %(limit)s)" for reason in _DUE]
    rest = f"{' UNION '.join(parts)} ORDER BY updated_at, run LIMIT %(limit)s"
    values = {"now": float(now), "limit": limit, "pool": pool_name}
    if pool_name is None:
        del values["pool"]
    return [RunEntry(*row) for row in await pool.rows(rest, values)]


async def next_wake(pool: Pool, now: float) -> float | None:
    """As `RunIndex.next_wake`."""
    rows = await pool.rows(
        "SELECT wake_at FROM run WHERE state = 'parked' AND wake_at > 0 AND wake_at > %s ORDER BY wake_at LIMIT 1",
        (float(now),),
    )
    return float(rows[0][0]) if rows else None


async def owned(pool: Pool, owner: str | None, limit: int) -> list[RunEntry]:
    """As `RunIndex.owned`."""
    if owner is None:
        return await _entries(pool, "WHERE state = 'running' ORDER BY run LIMIT %s", (limit,))
    return await _entries(pool, "WHERE state = 'running' AND owner = %s ORDER BY run LIMIT %s", (owner, limit))


async def listed(
    pool: Pool, state: str | None, agent: str | None, session: str | None, before: str | None, limit: int
) -> list[RunEntry]:
    """As `RunIndex.list`."""
    terms: list[str] = []
    values: list[Any] = []
    for name, value in (("state", state), ("agent", agent), ("session", session)):
        if value is not None:
            terms.append(f"{name} = %s")
            values.append(value)
    if session is not None:
        terms.append("session <> ''" if session else "session = ''")
    if before is not None:
        rows = await pool.rows("SELECT created_at FROM run WHERE run = %s", (before,))
        if not rows:
            raise NotFound(f"run {before!r} is not known: a page continues after a run of the page before it")
        terms.append("(created_at, run) < (%s, %s)")
        values += [rows[0][0], before]
    where = "WHERE " + " AND ".join(terms) if terms else ""
    return await _entries(pool, f"{where} ORDER BY created_at DESC, run DESC LIMIT %s", (*values, limit))


async def ended(pool: Pool, before: float, after: tuple[float, str], limit: int) -> list[RunEntry]:
    """As `Shrinking.ended`."""
    created_at, run = after
    return await _entries(
        pool,
        "WHERE created_at <= %s AND (created_at, run) > (%s, %s) AND updated_at <= %s AND session = '' "
        "AND state = ANY (%s::text[]) ORDER BY created_at, run LIMIT %s",
        (float(before), float(created_at), run, float(before), sorted(ENDED), limit),
    )


async def counts(pool: Pool) -> dict[str, int]:
    """As `RunIndex.counts`."""
    rows: Sequence[Any] = await pool.rows("SELECT state, count(*) FROM run GROUP BY state")
    return {str(state): int(number) for state, number in rows}
