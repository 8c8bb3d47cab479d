"""Blobs as rows, named by the hash of their content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.statement import BARRIER
from outlast.journal.blob import BlobRef, check_content
from outlast.kernel.error import NotFound, PayloadTooLarge, StoreUnavailable
from outlast.kernel.point import NoPoints, Points

if TYPE_CHECKING:
    from outlast.adapters.postgres.session import Session

blob_bytes_max = 64 * 1024 * 1024
"""Bound of one blob, 64 MiB."""
rate_min = 1024 * 1024
"""How many bytes a second a blob may take to travel before its connection is given up, 1 MiB."""
_NAME = re.compile(r"[0-9a-f]{64}\Z")
_INSERT = (
    "INSERT INTO blob AS b (sha256, size, content) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO UPDATE "
    "SET size = excluded.size, content = excluded.content WHERE sha256(b.content) <> excluded.sha256"
)


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
    rows = await session.rows("SELECT sha256(content) = sha256 FROM blob WHERE sha256 = %s", (digest,))
    if rows and rows[0][0]:
        await session.rows(BARRIER)  # it may be there without being replicated yet
    else:
        await session.rows(_INSERT, (digest, ref.size, content), _more_s(ref))
    if session.warnings:
        raise StoreUnavailable(f"postgres {session.place} stored a blob with a warning: {session.warnings[0]}")
