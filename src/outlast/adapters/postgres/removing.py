"""Removing runs: all of some runs in one transaction, while nobody appends.

An append looks at the record before its own and then writes; a removal between the two would leave a record behind that
follows nothing. So the table of records is held against writers for the few milliseconds that a removal takes. Whoever
waits for it longer than `lock_timeout` gives up first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import psycopg

from outlast.adapters.postgres.fault import translating
from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.session import Row, Session
from outlast.journal.removal import Ended
from outlast.journal.stream import Head

lock_ms = 500
"""How long it waits for appends that are under way; then it gives up, and is tried again later."""

_HOLD = "LOCK TABLE record IN SHARE ROW EXCLUSIVE MODE"
_ENDS = """
    SELECT w.number, e.seq, e.hash FROM unnest(%s::int8[], %s::text[]) AS w(number, stream) CROSS JOIN LATERAL (
        SELECT r.seq + r.count - 1 AS seq, r.hash FROM record r WHERE r.stream = w.stream ORDER BY r.seq DESC LIMIT 1
    ) e
"""
_DELETES: tuple[tuple[LiteralString, str], ...] = (
    ("DELETE FROM record WHERE stream = ANY (%s::text[])", "streams"),
    ("DELETE FROM snapshot WHERE stream = ANY (%s::text[])", "snapshots"),
    ("DELETE FROM run WHERE run = ANY (%s::text[])", "runs"),
)


async def remove(pool: Pool, runs: Sequence[Ended]) -> None:
    """As `Shrinking.remove`. Raises StoreUnavailable, ConfigurationError without the right to."""

    async def question(session: Session) -> None:
        async def work(connection: psycopg.AsyncConnection[Row]) -> None:
            await connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{lock_ms}ms",))
            await connection.execute(_HOLD)
            going = await _unmoved(connection, runs)
            named = {
                "streams": [stream for run in going for stream, _ in run.heads],
                "runs": [run.run for run in going],
            }
            named["snapshots"] = named["streams"] + [stream for run in going for stream in run.snapshots]
            for statement, what in _DELETES:
                await connection.execute(statement, (named[what],))

        with translating(session.place):
            await session.transact(work)

    await pool.ask(question)


async def _unmoved(connection: psycopg.AsyncConnection[Row], runs: Sequence[Ended]) -> list[Ended]:
    """Those whose streams end where it is said, or are gone."""
    places: list[tuple[int, str, Head]] = [
        (number, stream, head) for number, run in enumerate(runs) for stream, head in run.heads
    ]
    values = (list(range(len(places))), [stream for _, stream, _ in places])
    moved: set[int] = set()
    for place, seq, digest in await (await connection.execute(_ENDS, values)).fetchall():
        number, _, head = places[int(place)]
        if (seq, bytes(digest)) != (head.seq, head.hash):
            moved.add(number)
    return [run for number, run in enumerate(runs) if number not in moved]
