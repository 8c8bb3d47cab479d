"""Blobs as rows, named by the hash of their content."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.statement import BARRIER
from outlast.journal.blob import BlobRef, check_content
from outlast.journal.reach import Swept
from outlast.kernel.error import NotFound, PayloadTooLarge, StoreUnavailable, UsageError
from outlast.kernel.point import NoPoints, Points

if TYPE_CHECKING:
    from outlast.adapters.postgres.session import Session

blob_bytes_max = 64 * 1024 * 1024
"""Bound of one blob, 64 MiB."""
refresh_after_s = 24 * 3600.0
"""A blob that is put again becomes young if it is older than a day."""
rate_min = 1024 * 1024
"""How many bytes a second a blob may take to travel before its connection is given up, 1 MiB."""
_NAME = re.compile(r"[0-9a-f]{64}\Z")
_INSERT = (
    "INSERT INTO blob AS b (sha256, size, content) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO UPDATE "
    "SET size = excluded.size, content = excluded.content, put_at = now()"
)
_LOOK = "SELECT sha256(content) = sha256, put_at > now() - interval '1 day' FROM blob WHERE sha256 = %s"
_YOUNG = "UPDATE blob SET put_at = now() WHERE sha256 = %s RETURNING true"  # none: it was removed meanwhile
_OLD = """
    SELECT sha256 FROM blob WHERE sha256 > %s AND put_at < now() - %s * interval '1 second' ORDER BY sha256 LIMIT %s
"""
_DELETE = """
    DELETE FROM blob WHERE sha256 = ANY (%s::bytea[]) AND put_at < now() - %s * interval '1 second' RETURNING true
"""  # a put meanwhile made it young: the row is looked at again
_page = 200


class PostgresBlobs:
    """A BlobStore. One that is there whole already is not sent again; one that is damaged is mended."""

    def __init__(self, pool: Pool, points: Points | None = None) -> None:
        self._pool = pool
        self._points = points or NoPoints()

    async def put(self, content: bytes) -> BlobRef:
        ref = BlobRef.of(content)
        if ref.size > blob_bytes_max:
            raise PayloadTooLarge(f"blob is {ref.size} bytes, the bound blob_bytes_max is {blob_bytes_max}")
        self._points.reach("blob.before", ref.sha256)
        await self._pool.ask(lambda session: _put(session, ref, content))
        self._points.reach("blob.after", ref.sha256)
        return ref

    async def sweep(self, named: Collection[str], older_than_s: float) -> Swept:
        """As in SweptBlobs. Raises UsageError for an age that is not safe."""
        if older_than_s < 2 * refresh_after_s:
            raise UsageError(f"blobs cannot be swept after {older_than_s} s: expected at least {2 * refresh_after_s} s")
        removed, after = 0, b""
        while page := await self._pool.rows(_OLD, (after, float(older_than_s), _page)):
            after = bytes(page[-1][0])
            gone = [bytes(digest) for (digest,) in page if bytes(digest).hex() not in named]
            if gone:
                removed += len(await self._pool.rows(_DELETE, (gone, float(older_than_s))))
        ((left,),) = await self._pool.rows("SELECT count(*) FROM blob")
        return Swept(int(left) + removed, removed)

    async def get(self, ref: BlobRef) -> bytes:
        name = f"blob {ref.sha256[:16]}"
        if not _NAME.match(ref.sha256):
            raise NotFound(f"{name!r} is not the name of a blob: expected 64 hexadecimal digits")
        rows = await self._pool.rows(
            "SELECT content FROM blob WHERE sha256 = %s", (bytes.fromhex(ref.sha256),), _more_s(ref)
        )
        if not rows:
            raise NotFound(f"{name} of {ref.size} bytes is not in the database")
        return check_content(ref, bytes(rows[0][0]))


def _more_s(ref: BlobRef) -> float:
    return ref.size / rate_min


async def _put(session: Session, ref: BlobRef, content: bytes) -> None:
    digest = bytes.fromhex(ref.sha256)
    session.warnings.clear()
    rows = await session.rows(_LOOK, (digest,))
    if rows and rows[0][0] and (rows[0][1] or await session.rows(_YOUNG, (digest,))):
        await session.rows(BARRIER)  # it may be there without being replicated yet
    else:
        await session.rows(_INSERT, (digest, ref.size, content), _more_s(ref))
    if session.warnings:
        raise StoreUnavailable(f"postgres {session.place} stored a blob with a warning: {session.warnings[0]}")
