"""What is sealed looks like this: records, blobs, snapshots and lines of the index, each bound to its place.

=========  ============================================================================  ==========================
what       as it is stored                                                               bound to
=========  ============================================================================  ==========================
record     its JSON with ``format`` 2 and ``sealed: {key, text}`` in place of `events`   stream, seq, append_id, at
blob       a line that names the key, then bytes; the BlobRef names these                nothing: its name is enough
snapshot   a line that names the key, then bytes                                         stream, seq, hash, v
reason     ``sealed:KEY:TEXT`` in the run index                                          run
=========  ============================================================================  ==========================

The chain hash covers what is stored, so whoever has no key can still verify it. What is not sealed stays readable.
"""

from __future__ import annotations

import binascii
import re
from typing import Protocol

import msgspec
from msgspec import UNSET

from outlast.journal.cipher import Key, is_key_id
from outlast.journal.index import HintPatch, hint_bytes, hint_bytes_max
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import SEALED, Append, StoredRecord
from outlast.kernel.error import StoreCorrupt, UsageError


class Sealer(Protocol):
    """Holds the keys. Adapters: a key file or variable (`adapters/keyring`), AWS KMS (`adapters/aws/kms.py`)."""

    @property
    def current(self) -> Key:
        """The key that seals from now on. Raises StoreSealed if this process may only read."""
        ...

    def known(self, id: str) -> Key | None:
        """A key that is at hand."""
        ...

    async def fetch(self, id: str) -> Key:
        """A key that is not at hand. Raises StoreSealed if there is no such key, StoreUnavailable if it may come."""
        ...


async def key_for(sealer: Sealer, id: str) -> Key:
    """The key with this identifier. Raises StoreSealed, StoreUnavailable."""
    return sealer.known(id) or await sealer.fetch(id)


# -- records ----------------------------------------------------------------------------------------------------------


class _Text(msgspec.Struct, frozen=True):
    key: str
    text: bytes  # base64 in JSON


class _Sealed(msgspec.Struct, frozen=True):
    format: int  # first: `SEALED` is how it begins
    stream: str
    seq: int
    append_id: str
    at: float
    sealed: _Text


_sealed = msgspec.json.Decoder(_Sealed)
_encoder = msgspec.json.Encoder()


class _Opening(msgspec.Struct, frozen=True, omit_defaults=True):
    """The envelope with its events as they came."""

    stream: str
    seq: int
    append_id: str
    at: float
    events: msgspec.Raw


_opening = msgspec.json.Decoder(_Opening)


def _place(stream: str, seq: int, append_id: str, at: float) -> bytes:
    return _encoder.encode(("record", stream, seq, append_id, at))


def seal_append(append: Append, key: Key) -> Append:
    """The same append, its events and its reason sealed. Raises UsageError for a body that is no record's."""
    try:
        plain = _opening.decode(append.body)
    except (msgspec.MsgspecError, RecursionError):
        plain = None
    if plain is None or _encoder.encode(plain) != append.body:  # what is opened must be what was given, to the byte
        raise UsageError(f"append to {append.stream} is malformed: its body is not a record that `make_append` made")
    text = key.seal(bytes(plain.events), _place(plain.stream, plain.seq, plain.append_id, plain.at))
    body = _encoder.encode(_Sealed(2, plain.stream, plain.seq, plain.append_id, plain.at, _Text(key.id, text)))
    hint = seal_hint(append.hint, key) if append.hint is not None else None
    return Append(append.stream, append.expected, append.append_id, append.count, body, hint)


def is_sealed(record: StoredRecord) -> bool:
    """Whether its body is sealed, and not opened."""
    return record.body.startswith(SEALED)


async def open_record(stream: str, record: StoredRecord, sealer: Sealer) -> StoredRecord:
    """A sealed record with its body opened. Raises StoreCorrupt, StoreSealed, StoreUnavailable."""
    try:
        found = _sealed.decode(record.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreCorrupt(f"stream {stream}: record {record.seq} cannot be read: {error}") from None
    key = await key_for(sealer, found.sealed.key)
    # bound to where it is found, not to where it says that it belongs
    events = key.open(found.sealed.text, _place(stream, record.seq, found.append_id, found.at))
    opened = _Opening(found.stream, found.seq, found.append_id, found.at, msgspec.Raw(events))
    return StoredRecord(record.seq, record.count, _encoder.encode(opened), record.hash, record.body)


# -- bytes: blobs and snapshots ---------------------------------------------------------------------------------------

_MARK = b"outlast:sealed:1:"
_ID_BYTES_MAX = 200


def _seal_bytes(plain: bytes, key: Key, bound_to: bytes) -> bytes:
    return _MARK + key.id.encode() + b"\n" + key.seal(plain, bound_to)


async def _open_bytes(content: bytes, sealer: Sealer, bound_to: bytes) -> bytes:
    if not content.startswith(_MARK):
        return content
    end = content.find(b"\n", len(_MARK), len(_MARK) + _ID_BYTES_MAX + 1)
    id = content[len(_MARK) : end].decode("ascii", "replace")
    if end < 0 or not is_key_id(id):
        raise StoreCorrupt("sealed bytes do not name their key: they are not what was written")
    return (await key_for(sealer, id)).open(content[end + 1 :], bound_to)


def seal_blob(content: bytes, key: Key) -> bytes:
    """What is stored in place of a blob."""
    return _seal_bytes(content, key, b"blob")


async def open_blob(content: bytes, sealer: Sealer) -> bytes:
    """A blob; one that was never sealed comes as it is. Raises StoreCorrupt, StoreSealed, StoreUnavailable."""
    return await _open_bytes(content, sealer, b"blob")


def _fold(snapshot: Snapshot) -> bytes:
    return _encoder.encode(("snapshot", snapshot.stream, snapshot.seq, snapshot.hash.hex(), snapshot.v))


def seal_snapshot(snapshot: Snapshot, key: Key) -> Snapshot:
    """The same snapshot, its body sealed."""
    return msgspec.structs.replace(snapshot, body=_seal_bytes(snapshot.body, key, _fold(snapshot)))


async def open_snapshot(snapshot: Snapshot, sealer: Sealer) -> Snapshot:
    """The same snapshot, its body opened. Raises StoreCorrupt, StoreSealed, StoreUnavailable."""
    body = await _open_bytes(snapshot.body, sealer, _fold(snapshot))
    return msgspec.structs.replace(snapshot, body=body)


# -- the run index ----------------------------------------------------------------------------------------------------

_REASON = re.compile(r"sealed:([A-Za-z0-9][A-Za-z0-9_.@/-]{0,199}):([A-Za-z0-9+/]+={0,2})\Z")
_reason_overhead = 3 * 17 + 8 + _ID_BYTES_MAX  # what sealing adds besides a third


def seal_hint(hint: HintPatch, key: Key) -> HintPatch:
    """The same patch, its reason sealed; one that would not fit any more is cut short, for it is a hint."""
    reason = hint.reason
    if reason is UNSET or not reason:
        return hint
    plain = reason.encode()
    room = (hint_bytes_max - hint_bytes(hint) + len(plain) - _reason_overhead) * 3 // 4
    if len(plain) > room:
        plain = plain[: max(0, room)].decode(errors="ignore").encode()
    if not plain:
        return msgspec.structs.replace(hint, reason=UNSET)
    text = binascii.b2a_base64(key.seal(plain, _run(hint.run)), newline=False).decode()
    return msgspec.structs.replace(hint, reason=f"sealed:{key.id}:{text}")


def _run(run: str) -> bytes:
    return _encoder.encode(("reason", run))


def reason_key(reason: str) -> str | None:
    """The identifier of the key that a reason is sealed with; None if it is not sealed."""
    match = _REASON.match(reason) if reason.startswith("sealed:") else None
    return match[1] if match is not None else None


def open_reason(run: str, reason: str, key: Key | None) -> str:
    """A reason as people read it. One that cannot be opened says so: a hint never fails."""
    match = _REASON.match(reason)
    if match is None:
        return reason
    if key is None:
        return f"(sealed with key {match[1]}, which is not here)"
    try:
        return key.open(binascii.a2b_base64(match[2]), _run(run)).decode()
    except (StoreCorrupt, ValueError):
        return f"(sealed with key {match[1]}, and damaged)"
