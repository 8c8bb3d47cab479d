"""Payloads that are too large for an append, stored by the hash of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, cast

import msgspec

from outlast.kernel.error import StoreCorrupt

inline_bytes_max = 64 * 1024
"""Payloads up to 64 KiB stand in the event; larger ones go to the blob store."""


class BlobRef(msgspec.Struct, frozen=True):
    """Names a blob: sha256 of its content in hexadecimal, its size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> BlobRef:
        return cls(hashlib.sha256(content).hexdigest(), len(content))


class BlobStore(Protocol):
    """Stores blobs. Every adapter passes `tests/contracts/blob_store.py`."""

    async def put(self, content: bytes) -> BlobRef:
        """Store durably; returns only then. Storing what is there already is cheap. Raises StoreUnavailable."""
        ...

    async def get(self, ref: BlobRef) -> bytes:
        """The content, checked against its name. Raises NotFound, StoreCorrupt, StoreUnavailable."""
        ...


class Payload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value inside an event: its JSON, or the blob that holds it."""

    json: msgspec.Raw = msgspec.Raw()
    blob: BlobRef | None = None


async def store_payload(raw: bytes, blobs: BlobStore) -> Payload:
    """`raw` JSON as a Payload; a large one is durable in the blob store before this returns."""
    if len(raw) <= inline_bytes_max:
        return Payload(msgspec.Raw(raw))
    return Payload(blob=await blobs.put(raw))


async def load_payload(payload: Payload, blobs: BlobStore) -> bytes | msgspec.Raw:
    """The JSON of a payload."""
    if payload.blob is None:
        return payload.json
    return await blobs.get(payload.blob)


def references(events: Iterable[Mapping[str, Any]]) -> Iterator[BlobRef]:
    """The blobs behind the Payloads that are fields of these events, as parsed from JSON."""
    for event in events:
        for value in event.values():
            for one in cast("list[Any]", value) if isinstance(value, list) else (value,):
                ref = _reference(one)
                if ref is not None:
                    yield ref


def _reference(value: Any) -> BlobRef | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    if "blob" not in fields or fields.keys() - {"json", "blob"}:
        return None
    try:
        return msgspec.convert(fields["blob"], BlobRef)
    except msgspec.ValidationError:
        return None


def check_content(ref: BlobRef, content: bytes) -> bytes:
    """`content` if it is what `ref` names; raises StoreCorrupt."""
    if BlobRef.of(content) != ref:
        raise StoreCorrupt(f"blob {ref.sha256[:16]} is not what was written: its content has another hash or size")
    return content
