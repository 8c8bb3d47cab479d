"""Snapshots as rows, each with a checksum that the server can compute too."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from outlast.adapters.postgres.pool import Pool
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import PayloadTooLarge, UsageError

snapshot_bytes_max = 8 * 1024 * 1024
"""Bound of one snapshot's body, 8 MiB."""

_DIGEST = "sha256(convert_to(stream || ' ' || seq || ' ' || v || ' ' || encode(hash, 'hex') || ' ', 'UTF8') || body)"
_UNLESS_WHOLE = f"DELETE FROM snapshot WHERE stream = %s AND seq > %s AND digest <> {_DIGEST}"  # noqa: S608 (fixed text)
_INSERT = """
    INSERT INTO snapshot AS s (stream, seq, hash, v, digest, body) SELECT %s, %s, %s, %s, %s, %s
    WHERE NOT EXISTS (SELECT FROM snapshot WHERE stream = %s AND seq > %s) ON CONFLICT (stream, seq) DO UPDATE
    SET hash = excluded.hash, v = excluded.v, digest = excluded.digest, body = excluded.body
"""
_KEEP_TWO = """
    DELETE FROM snapshot WHERE stream = %s AND seq < (
        SELECT min(seq) FROM (SELECT seq FROM snapshot WHERE stream = %s ORDER BY seq DESC LIMIT 2) latest
    )
"""


def checksum(snapshot: Snapshot) -> bytes:
    """sha256 of all that a snapshot says, its place included."""
    place = f"{snapshot.stream} {snapshot.seq} {snapshot.v} {snapshot.hash.hex()} "
    return hashlib.sha256(place.encode() + snapshot.body).digest()


async def save(pool: Pool, snapshot: Snapshot) -> None:
    """Keep it, unless there is a later one that is whole, and at most one before it."""
    if len(snapshot.body) > snapshot_bytes_max:
        raise PayloadTooLarge(
            f"snapshot of {snapshot.stream} is {len(snapshot.body)} bytes, the bound snapshot_bytes_max is "
            f"{snapshot_bytes_max}: keep less state"
        )
    if not 0 <= snapshot.seq < 2**53 or not 0 <= snapshot.v < 2**31:
        raise UsageError(f"snapshot of {snapshot.stream} is malformed: its numbers are out of range")
    place = (snapshot.stream, snapshot.seq)
    row = (*place, snapshot.hash, snapshot.v, checksum(snapshot), snapshot.body)
    statements = [(_UNLESS_WHOLE, place), (_INSERT, (*row, *place)), (_KEEP_TWO, (snapshot.stream, snapshot.stream))]
    await pool.ask(lambda session: session.together(statements))


async def load(pool: Pool, stream: str) -> Snapshot | None:
    """The latest one that is whole."""
    rows = await pool.rows(
        f"SELECT stream, seq, hash, v, body FROM snapshot WHERE stream = %s AND digest = {_DIGEST} "  # noqa: S608 (fixed text)
        "ORDER BY seq DESC LIMIT 1",
        (stream,),
    )
    return Snapshot(*rows[0]) if rows else None


async def damaged(pool: Pool) -> Sequence[tuple[str, str]]:
    """Stream and number of those that are not as they were saved."""
    rows = await pool.rows(
        f"SELECT stream, seq FROM snapshot WHERE digest <> {_DIGEST} ORDER BY stream, seq"  # noqa: S608 (fixed text)
    )
    return [(str(stream), str(seq)) for stream, seq in rows]
