"""Amazon EventBridge as a publisher. It keeps no order and may deliver twice: consumers go by stream and number.

Seen on an emulator: untested on AWS. Source: EventBridge user guide, PutEvents: ten entries and 256 KiB a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.said import told
from outlast.journal.publication import Publication, PublisherUnavailable, Told, publish_count_max
from outlast.kernel.error import invariant

source_default = "outlast"
request_bytes_max = 256 * 1024
"""Bound of one request and of one entry, as EventBridge counts: 256 KiB."""
read_timeout_s = 10.0
_entry_bytes = 14  # what EventBridge counts for the time of an entry
_NEVER = frozenset({"MalformedDetail", "InvalidArgument", "ValidationException", "NotAuthorizedForDetailTypeException"})
_encoder = msgspec.json.Encoder()


class EventBridge:
    """A Publisher to one event bus: its name or its ARN. Close it when done."""

    def __init__(self, bus: str, place: Place, *, source: str = source_default) -> None:
        self._bus = bus
        self._source = source
        self._where = f"EventBridge ({bus})"
        self._client = Client("events", place, read_timeout_s)

    async def publish(self, publications: Sequence[Publication]) -> Sequence[Told]:
        invariant(len(publications) <= publish_count_max, f"{len(publications)} events were published at once")
        outcomes: list[Told] = []
        batch: list[dict[str, Any]] = []
        size = 0
        for publication in publications:
            entry = self._entry(publication)
            if batch and size + self._size(entry) > request_bytes_max:
                outcomes += await self._put(batch)
                batch, size = [], 0
            batch.append(entry)
            size += self._size(entry)
        if batch:
            outcomes += await self._put(batch)
        return outcomes

    async def close(self) -> None:
        """Close its connections."""
        await self._client.closed()

    async def _put(self, entries: list[dict[str, Any]]) -> list[Told]:
        with told(self._where, PublisherUnavailable):
            client = await self._client.get()
            answer: dict[str, Any] = await client.put_events(Entries=entries)
        codes = [str(each.get("ErrorCode") or "") for each in answer.get("Entries", ())]
        if len(codes) != len(entries):
            raise PublisherUnavailable(f"{self._where} answered for {len(codes)} of {len(entries)} entries")
        return ["sent" if not code else "refused" if code in _NEVER else "again" for code in codes]

    def _entry(self, publication: Publication) -> dict[str, Any]:
        entry = self._made(publication)
        if self._size(entry) <= request_bytes_max:
            return entry
        left_out = len(_encoder.encode(publication.data))
        return self._made(msgspec.structs.replace(publication, data={}, omitted_bytes=left_out))

    def _made(self, publication: Publication) -> dict[str, Any]:
        return {
            "EventBusName": self._bus,
            "Source": self._source,
            "DetailType": publication.type,
            "Time": datetime.fromtimestamp(publication.at, UTC),
            "Detail": _encoder.encode(publication).decode(),
        }

    def _size(self, entry: dict[str, Any]) -> int:
        return _entry_bytes + sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))
