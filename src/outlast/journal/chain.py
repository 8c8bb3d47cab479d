"""The hash chain of a stream: each record's hash covers its bytes and, through the one before, all of its history."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from outlast.journal.stream import Head, StoredRecord
from outlast.kernel.error import StoreCorrupt


def genesis(stream: str) -> Head:
    """The head of a stream without events; it names the stream, so that no history fits under another key."""
    return Head(0, hashlib.sha256(b"outlast:1:" + stream.encode()).digest())


def link(before: bytes, body: bytes) -> bytes:
    """The hash after a record with `body` that follows hash `before`."""
    return hashlib.sha256(before + body).digest()


def verify(stream: str, records: Iterable[StoredRecord], start: Head | None = None) -> Head:
    """The head that `records` lead to from `start` (default: genesis); raises StoreCorrupt at the first flaw."""
    head = start or genesis(stream)
    for record in records:
        if record.seq != head.seq + 1:
            raise StoreCorrupt(f"stream {stream}: event {head.seq + 1} expected, {record.seq} found: some are missing")
        expected = link(head.hash, record.stored)
        if record.hash != expected:
            raise StoreCorrupt(
                f"stream {stream}: events {record.seq} to {record.seq + record.count - 1} are not what was written: "
                f"hash {record.hash.hex()[:16]} found, {expected.hex()[:16]} expected"
            )
        head = Head(head.seq + record.count, record.hash)
    return head
