"""What of an event may be told outside: types, numbers, names and states. Payloads, messages and reasons stay."""

from __future__ import annotations

from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.journal.publication import Publication
from outlast.journal.record import Reader
from outlast.journal.stream import StoredRecord, StreamKey

KINDS = ("run", "session", "agent")
"""Streams that are published: runs and what they decided, sessions, and the kill switches. Mail is for runs alone."""

ENDINGS: frozenset[str] = frozenset(end.__struct_config__.tag for end in ev.RunEnd.__args__)
"""The types of events after which a run has no other."""

_READERS: dict[str, Reader[Any]] = {"run": ev.RUN, "session": ev.SESSION, "agent": ev.AGENT}
_TOLD = frozenset({
    "agent", "pool", "deadline_at", "parent", "parent_place", "continued_from", "worker", "claim", "fruitless", "solo",
    "claims", "wake_at", "code", "place", "mail", "seen", "run", "name", "attempt", "settle_s", "next_at", "by",
    "kind", "tokens", "usd", "started_at", "fire_at", "version", "idle_s",
})  # fmt: skip


def disclosed(stream: str, record: StoredRecord, *, content: bool = False) -> list[Publication]:
    """A record's events, in order; with `content`, all that stands in them. Raises StoreCorrupt, UsageError."""
    key = StreamKey.parse(stream)
    envelope = _READERS[key.kind].read(stream, record)
    return [
        Publication(
            stream, key.kind, key.id, str(key.lineage), envelope.seq + number, envelope.append_id,
            event.__struct_config__.tag, event.v, envelope.at, _data(event, content=content),
        )
        for number, event in enumerate(envelope.events)
    ]  # fmt: skip


def _data(event: Any, *, content: bool) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    if content:
        return {name: value for name, value in fields.items() if name not in ("type", "v")}
    told = {name: value for name, value in fields.items() if name in _TOLD}
    if isinstance(failure := getattr(event, "error", None), ev.Failure):
        told["error_type"] = failure.type
    return told
