"""Blobs in memory."""

from __future__ import annotations

from outlast.journal.blob import BlobRef, check_content
from outlast.kernel.error import NotFound


class MemoryBlobs:
    """A BlobStore."""

    def __init__(self) -> None:
        self._blobs: dict[BlobRef, bytes] = {}

    async def put(self, content: bytes) -> BlobRef:
        ref = BlobRef.of(content)
        self._blobs[ref] = content
        return ref

    async def get(self, ref: BlobRef) -> bytes:
        content = self._blobs.get(ref)
        if content is None:
            raise NotFound(f"blob {ref.sha256[:16]} of {ref.size} bytes is not in the store")
        return check_content(ref, content)

    def damage(self, ref: BlobRef, content: bytes) -> None:
        """From now on `content`, whatever it is, is what stands under `ref`."""
        self._blobs[ref] = content

    def contents(self) -> dict[BlobRef, bytes]:
        """Every blob."""
        return dict(self._blobs)
