"""What retention removed is not there any more, and is not lost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from outlast.adapters.postgres.session import Session
from outlast.journal.loss import Lost
from outlast.journal.removal import KIND, removals_in
from outlast.journal.stream import StoredRecord
from outlast.kernel.error import StoreCorrupt

_page = 500
_READ = """
    SELECT stream, seq, count, body, hash FROM record WHERE stream LIKE %s AND (stream, seq) > (%s, %s)
    ORDER BY stream, seq LIMIT %s
"""


async def without_removed(session: Session, lost: Sequence[Lost]) -> list[Lost]:
    """Of what is missing on a server, what is not on record there as removed on purpose. Raises StoreUnavailable."""
    missing = {one.stream: one for one in lost}
    if not missing or not (await session.rows("SELECT to_regclass('record') IS NOT NULL"))[0][0]:
        return list(lost)
    stream, seq = f"{KIND}/", 0
    while missing and (rows := await session.rows(_READ, (f"{KIND}/%", stream, seq, _page))):
        for stream, seq, count, body, digest in rows:
            with suppress(StoreCorrupt):  # what cannot be read excuses nothing
                for removal in removals_in(stream, StoredRecord(seq, count, body.encode(), bytes(digest))):
                    one = missing.get(removal.stream)
                    if one is not None and one.last <= removal.seq:
                        del missing[removal.stream]
    return list(missing.values())
