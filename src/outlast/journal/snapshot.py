"""Folded state of a stream, so that reading it does not grow with its age. Always rebuildable from the stream."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Snapshot(msgspec.Struct, frozen=True):
    """State folded from all events up to `seq`; `hash` is the chain hash there, `v` the version of `body`'s form.

    A reader ignores a snapshot whose `hash` is not the stream's at `seq`, or whose `v` it does not know.
    """

    stream: str
    seq: int
    hash: bytes
    v: int
    body: bytes


class SnapshotStore(Protocol):
    """Keeps the latest snapshots of each stream. Every adapter passes `tests/contracts/snapshot_store.py`."""

    async def save(self, snapshot: Snapshot) -> None:
        """Keep it (and at least the one before it). An older `seq` than the latest is ignored."""
        ...

    async def load(self, stream: str) -> Snapshot | None:
        """The latest one that can be read."""
        ...
