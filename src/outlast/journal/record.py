"""The bytes of one append: JSON, readable with any SQL shell, versioned, and upcast when old."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from outlast.journal.index import HintPatch
from outlast.journal.stream import SEALED, Append, Head, StoredRecord
from outlast.kernel.error import StoreCorrupt, StoreSealed

E = TypeVar("E")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class Envelope(msgspec.Struct, Generic[E], frozen=True, omit_defaults=True):
    """What a record's body holds. `seq` is the number of its first event, `at` seconds since 1970 at the writer."""

    stream: str
    seq: int
    append_id: str
    at: float
    events: list[E]
    format: int = 1
    """Of the envelope itself; a record that says none is of format 1, one of format 2 is sealed (`journal/seal.py`)."""


_encoder = msgspec.json.Encoder()
format_current = 1


def encode_event(event: Any) -> msgspec.Raw:
    """An event as the JSON that `make_append` puts into a record as it is."""
    return msgspec.Raw(_encoder.encode(event))


def make_append(
    stream: str, expected: Head, append_id: str, at: float, events: Sequence[Any], hint: HintPatch | None = None
) -> Append:
    """Events (tagged msgspec structs with a field `v`, their schema version, or these encoded) as one Append."""
    envelope = Envelope(stream, expected.seq + 1, append_id, at, list(events), format_current)
    return Append(stream, expected, append_id, len(events), _encoder.encode(envelope), hint)


class Reader(Generic[E]):
    """Reads records whose events are of one union of tagged structs, older schema versions included.

    `upcasters` maps (event type, version) to a function that turns the event's dictionary into the next version's.
    """

    def __init__(self, union: Any, upcasters: dict[tuple[str, int], Upcaster], versions: dict[str, int]) -> None:
        self._fast = msgspec.json.Decoder(Envelope[union])
        self._raw = msgspec.json.Decoder(Envelope[dict[str, Any]])
        self._union = union
        self._upcasters = upcasters
        self._versions = versions

    def read(self, stream: str, record: StoredRecord) -> Envelope[E]:
        """The envelope; raises StoreCorrupt for bytes that are not one, StoreSealed for sealed ones."""
        try:
            envelope: Envelope[E] = self._fast.decode(record.body)
            if all(event.v == self._versions[event.__struct_config__.tag] for event in envelope.events):  # type: ignore[attr-defined] # every event struct has v
                return self._checked(stream, record, envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        return self._checked(stream, record, self._upcast(stream, record))

    def _upcast(self, stream: str, record: StoredRecord) -> Envelope[E]:
        if record.body.startswith(SEALED):
            raise StoreSealed(
                f"stream {stream}: record {record.seq} is sealed with key {_key_of(record.body)}, and no keys were "
                "given here: name them in `stores.journal.encrypt` of outlast.yaml"
            )
        try:
            raw = self._raw.decode(record.body)
            events = [msgspec.convert(self._current(event), self._union) for event in raw.events]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
            raise StoreCorrupt(f"stream {stream}: record {record.seq} cannot be read: {error}") from None
        return Envelope(raw.stream, raw.seq, raw.append_id, raw.at, events, raw.format)

    def _current(self, event: dict[str, Any]) -> dict[str, Any]:
        kind = event["type"]
        while event["v"] < self._versions[kind]:
            event = self._upcasters[kind, event["v"]](event)
        return event

    def _checked(self, stream: str, record: StoredRecord, envelope: Envelope[E]) -> Envelope[E]:
        if envelope.stream != stream or envelope.seq != record.seq or len(envelope.events) != record.count:
            raise StoreCorrupt(
                f"stream {stream}: record {record.seq} says that it is {envelope.stream} {envelope.seq} "
                f"with {len(envelope.events)} events"
            )
        return envelope


class _KeyId(msgspec.Struct):
    key: str


class _SealedWith(msgspec.Struct):
    sealed: _KeyId


def _key_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_SealedWith).sealed.key[:128]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "(unreadable)"


class _Id(msgspec.Struct):
    append_id: str


_ids = msgspec.json.Decoder(_Id)


def append_id_of(record: StoredRecord) -> str:
    """The `append_id` inside a record's body, without reading the rest."""
    try:
        return _ids.decode(record.body).append_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreCorrupt(f"record {record.seq} cannot be read: {error}") from None
