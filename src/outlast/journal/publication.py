"""An event as others are told of it, and the port by which they are told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from outlast.journal.stream import StreamKey
from outlast.kernel.error import OutlastError

publish_count_max = 10
"""Bound of the publications in one `publish`."""


class PublisherUnavailable(OutlastError):
    """Nothing can be published now. What was under way may have arrived."""

    code: ClassVar[str] = "publisher_unavailable"
    retryable: ClassVar[bool] = True


class Publication(msgspec.Struct, frozen=True):
    """One event. `stream` and `seq` name it for ever: who has seen the pair has seen the event.

    `seq` counts the events of a stream from 1 without a gap; `append_id` is that of the record which holds it.
    """

    stream: str
    kind: str
    id: str
    lineage: str
    seq: int
    append_id: str
    type: str
    v: int
    at: float
    """Seconds since 1970 at its writer."""
    data: dict[str, Any]
    """Names, numbers and states; what users said or were told only where the operator asked for it."""
    omitted_bytes: int = 0
    """More than zero: `data` was too large and was left out; the journal has it."""
    format: int = 1


Told = Literal["sent", "again", "refused"]
"""sent: the publisher has it · again: it has not, now · refused: it never will."""


class Publisher(Protocol):
    """Every adapter passes `tests/contracts/publisher.py`."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[Told]:
        """What became of each of at most `publish_count_max`, in order. Raises PublisherUnavailable."""
        ...


cursor_version = 1
"""Of the snapshots that say how far streams are published."""


def cursor_stream(stream: str) -> str:
    """The stream of the outbox's own whose snapshot says how far `stream` is published."""
    digest = hashlib.sha256(stream.encode()).hexdigest()[:32]
    return str(StreamKey("outbox", digest, StreamKey.parse(stream).lineage))
