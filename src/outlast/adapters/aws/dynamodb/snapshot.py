"""Snapshots: the latest of each stream and the one before, large ones in the blob store."""

from __future__ import annotations

import hashlib
from typing import Any, cast

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.size import Item
from outlast.adapters.aws.dynamodb.table import Table
from outlast.journal.blob import BlobRef, BlobStore
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import NotFound, StoreCorrupt

snapshot_inline_bytes_max = 64 * 1024
"""Snapshots up to 64 KiB stand in the table; larger ones in the blob store: there a KiB costs no write unit."""
kept = 2
"""How many snapshots of a stream are kept."""


class Snapshots:
    """The snapshots in one table."""

    def __init__(self, table: Table, blobs: BlobStore) -> None:
        self._table = table
        self._blobs = blobs

    async def save(self, snapshot: Snapshot) -> None:
        """As in SnapshotStore."""
        pk = layout.snapshots(snapshot.stream)
        item: dict[str, dict[str, Any]] = {
            **layout.key(pk, layout.place(snapshot.seq)),
            "hash": {"B": snapshot.hash},
            "v": {"N": str(snapshot.v)},
            "digest": {"B": hashlib.sha256(snapshot.body).digest()},
        }
        if len(snapshot.body) <= snapshot_inline_bytes_max:
            item["body"] = {"B": snapshot.body}
        else:
            ref = await self._blobs.put(snapshot.body)
            item |= {"blob": {"S": ref.sha256}, "size": {"N": str(ref.size)}}
        await self._table.put(item)
        found = await self._table.query(pk, limit=2 * kept, newest_first=True, names="pk, sk, expires_at")
        for old in found[kept:]:
            await self._table.delete({"pk": dict(old["pk"]), "sk": dict(old["sk"])}, old)

    async def load(self, stream: str) -> Snapshot | None:
        """As in SnapshotStore."""
        for item in await self._table.query(layout.snapshots(stream), limit=kept, newest_first=True):
            try:
                return await self._read(stream, item)
            except (StoreCorrupt, NotFound):
                continue  # the one before it may be whole; without any the state is folded again
        return None

    async def _read(self, stream: str, item: Item) -> Snapshot:
        found = cast("dict[str, dict[str, Any]]", item)
        try:
            seq, version = int(found["sk"]["S"]), int(found["v"]["N"])
            if "body" in found:
                body = bytes(found["body"]["B"])
            else:
                body = await self._blobs.get(BlobRef(found["blob"]["S"], int(found["size"]["N"])))
            if hashlib.sha256(body).digest() != bytes(found["digest"]["B"]):
                raise StoreCorrupt(f"snapshot of {stream} at {seq} is not what was written")
            return Snapshot(stream, seq, bytes(found["hash"]["B"]), version, body)
        except (KeyError, ValueError, TypeError) as error:
            raise StoreCorrupt(f"snapshot of {stream} cannot be read: {error}") from None
