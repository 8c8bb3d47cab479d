"""What tells a snapshot that is as it was saved from one that is not, or that belongs elsewhere."""

from __future__ import annotations

import hashlib
from typing import Any

from outlast.journal.snapshot import Snapshot


def checksum(snapshot: Snapshot) -> bytes:
    """sha256 of all that a snapshot says, its place included."""
    place = f"{snapshot.stream} {snapshot.seq} {snapshot.v} {snapshot.hash.hex()} "
    return hashlib.sha256(place.encode() + snapshot.body).digest()


def whole(stream: Any, seq: Any, digest: Any, version: Any, kept: Any, body: Any) -> Snapshot | None:
    """The snapshot of a row whose checksum is `kept`; None if a cell is not what was saved."""
    if not (isinstance(stream, str) and isinstance(seq, int) and isinstance(version, int)):
        return None
    if not (isinstance(digest, bytes) and isinstance(body, bytes)):
        return None
    snapshot = Snapshot(stream, seq, digest, version, body)
    return snapshot if checksum(snapshot) == kept else None
