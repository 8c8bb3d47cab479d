"""The records and blobs of a backup, read from its depot and checked on the way."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from outlast.journal.blob import BlobRef, check_content
from outlast.journal.stream import StoredRecord
from outlast.kernel.error import NotFound, StoreCorrupt, StoreUnavailable
from outlast.recover.catalog import Chain
from outlast.recover.depot import Depot
from outlast.recover.manifest import Manifest, blob_name, segment_name
from outlast.recover.segment import Extent, Piece, read_segment

segments_bytes_max = 256 * 1024 * 1024
"""Unpacked segments that are kept in memory, 256 MiB: whoever reads stream by stream comes back to the small ones of
increments again and again.
"""


class Contents:
    """Reads a chain. Not for several threads."""

    def __init__(self, depot: Depot, chain: Chain, segments_bytes_max: int = segments_bytes_max) -> None:
        self._depot = depot
        self.chain = chain
        self._bytes_max = segments_bytes_max
        self._bytes = 0
        self._open: OrderedDict[str, dict[tuple[str, int], Piece]] = OrderedDict()
        self._stored = {one.name: one for backup in chain.backups for one in backup.segments}

    async def records(self, backup: Manifest, extent: Extent) -> Sequence[StoredRecord]:
        """The records of a part of a stream. Raises StoreCorrupt that names the segment, StoreUnavailable."""
        name = segment_name(backup.series, backup.number, extent.part)
        pieces = self._open.get(name)
        if pieces is None:
            pieces = await self._read(name)
            self._open[name] = pieces
            self._bytes += _size(pieces)
            while self._bytes > self._bytes_max and len(self._open) > 1:
                _, old = self._open.popitem(last=False)
                self._bytes -= _size(old)
        else:
            self._open.move_to_end(name)
        piece = pieces.get((extent.stream, extent.first))
        if piece is None or piece.extent != extent:
            raise StoreCorrupt(f"segment {name} lacks events {extent.first} to {extent.last} of stream {extent.stream}")
        return piece.records

    async def _read(self, name: str) -> dict[tuple[str, int], Piece]:
        content = await self._get(name)
        stored = self._stored.get(name)
        if stored is None:
            raise StoreCorrupt(f"segment {name} is not one of its backup's")
        stored.check(content)
        _, pieces = await asyncio.to_thread(read_segment, name, content)
        return {(piece.extent.stream, piece.extent.first): piece for piece in pieces}

    async def _get(self, name: str) -> bytes:
        try:
            return await self._depot.get(name)
        except NotFound as error:
            raise StoreCorrupt(f"{error}: the backup is not whole") from None


class DepotBlobs:
    """The reading half of a BlobStore."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot

    async def put(self, content: bytes) -> BlobRef:
        """Raises StoreUnavailable: backups are not written here."""
        raise StoreUnavailable(f"{self._depot.where} is open for reading only")

    async def get(self, ref: BlobRef) -> bytes:
        return check_content(ref, await self._depot.get(blob_name(ref)))


def _size(pieces: dict[tuple[str, int], Piece]) -> int:
    return sum(piece.extent.bytes for piece in pieces.values())
