"""Which blobs can still be reached, and the port by which those that cannot are removed."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol

import msgspec

from outlast.journal.seal import is_sealed
from outlast.journal.stream import Readable
from outlast.kernel.error import StoreSealed

blob_age_s_min = 7 * 24 * 3600.0
"""Blobs that were put less than a week ago are left alone: an append that names one may still be coming."""
_names = re.compile(rb"[0-9a-f]{64}")
_page = 200
_records = 50


class Swept(msgspec.Struct, frozen=True):
    """What a collection found: how many blobs there are, how many it removed because nothing names them."""

    blobs: int
    removed: int


class SweptBlobs(Protocol):
    """A BlobStore whose blobs can be removed. Every adapter passes `tests/contracts/swept_blobs.py`."""

    async def sweep(self, named: Collection[str], older_than_s: float) -> Swept:
        """Remove what is not in `named` and was put last more than `older_than_s` ago. `named` must be from before this
        call. A put at the same moment wins, or writes it anew. Raises StoreUnavailable.
        """
        ...


async def named_in(store: Readable, kinds: Collection[str] = ("run", "inbox", "session", "agent")) -> set[str]:
    """Every blob that a stream may name: all that looks like a hash, so rather too much than too little.

    Raises StoreError; StoreSealed if `store` gives records that it cannot open, since what those name is not known.
    """
    found: set[str] = set()
    for kind in kinds:
        after = ""
        while page := await store.streams(kind, after, _page):
            for stream in page:
                found |= await named_by(store, stream)
            after = page[-1]
    return found


async def named_by(store: Readable, stream: str) -> set[str]:
    """Every blob that one stream may name. Raises as `named_in`."""
    found: set[str] = set()
    seq = 0
    while records := await store.read(stream, seq, _records):
        for record in records:
            if is_sealed(record):
                raise StoreSealed(
                    f"stream {stream}: record {record.seq} is sealed, so which blobs it names is not known: "
                    "read it with the keys (stores.journal.encrypt)"
                )
            found.update(name.decode() for name in _names.findall(record.body))
        seq = records[-1].seq + records[-1].count - 1
    return found
