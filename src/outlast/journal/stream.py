"""Streams and the port that stores them. `append` is the only write there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import msgspec

from outlast.journal.index import HintPatch, check_hint
from outlast.journal.lineage import Lineage
from outlast.kernel.error import UsageError

append_bytes_max = 256 * 1024
"""Bound of one append's body: 256 KiB. Larger payloads go to the blob store."""

sealed_bytes_max = 352 * 1024
"""Bound of a body that is sealed (`journal/seal.py`): 352 KiB. Base64 makes four bytes of three, so that whatever fits
unsealed also fits sealed, and no effect is lost for being encrypted."""

SEALED = b'{"format":2,'
"""How a sealed body begins, and no other."""

seq_max = 2**53
"""Bound of event numbers: what every JSON reader holds exactly."""

_TEXT = re.compile(r"([a-z]{1,16})/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})@(.+)\Z")


class StreamKey(msgspec.Struct, frozen=True, order=True):
    """``kind/id@lineage``. Kinds: ``run`` (its history), ``inbox`` (what others tell it), ``session``, ``agent``."""

    kind: str
    id: str
    lineage: Lineage

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}@{self.lineage}"

    @classmethod
    def parse(cls, text: str) -> StreamKey:
        """The inverse of `str`; raises UsageError."""
        match = _TEXT.match(text)
        if match is None:
            raise UsageError(f"stream {text[:80]!r} is not understood: expected kind/id@generation.region.nonce")
        return cls(match[1], match[2], Lineage.parse(match[3]))


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where a stream ends: the number of its last event (0: none yet) and the chain hash there (32 bytes)."""

    seq: int
    hash: bytes


class Append(msgspec.Struct, frozen=True, array_like=True):
    """One atomic write: `count` events numbered from ``expected.seq + 1``, encoded in `body` (`journal/record.py`).

    `append_id` also stands inside `body`. The same Append may be sent again any number of times.
    """

    stream: str
    expected: Head
    append_id: str
    count: int
    body: bytes
    hint: HintPatch | None = None

    @property
    def head(self) -> int:
        """The number of its last event, once applied."""
        return self.expected.seq + self.count


class Applied(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Durable. `head` is the stream's new end."""

    head: Head


class Conflicted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Not written: the stream's end is not what was expected, but `head`."""

    head: Head


class Unknown(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Nobody can say now. Send the identical Append again; never anything else."""

    reason: str


Outcome = Applied | Conflicted | Unknown


class StoredRecord(msgspec.Struct, frozen=True, array_like=True):
    """An applied append: its first event's number, how many events, its bytes, the chain hash after it."""

    seq: int
    count: int
    body: bytes
    hash: bytes
    sealed: bytes = b""
    """The bytes that are stored, if they are sealed and `body` was opened."""

    @property
    def stored(self) -> bytes:
        """What the chain hash covers: the bytes that are stored."""
        return self.sealed or self.body


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """A hint that a stream grew. May be lost, doubled, late or out of order."""

    stream: str
    seq: int
    hint: HintPatch | None = None


class Readable(Protocol):
    """What streams are read from."""

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        """At most `limit` records, in order, that begin after event `after`; sees every append acknowledged before."""
        ...

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Keys of one kind in text order, after `after`: the slow sweep behind every hint."""
        ...


class EventStore(Readable, Protocol):
    """Stores streams. Every adapter passes `tests/contracts/event_store.py`.

    Operating faults on reads raise StoreUnavailable or StoreCorrupt; `append` turns them into Unknown, and raises only
    UsageError (a body over `append_bytes_max`, or over `sealed_bytes_max` if it is sealed), StoreCorrupt, and
    StoreUnavailable where the same append sent again cannot fare better (no table, no permission).
    """

    @property
    def lineage(self) -> Lineage:
        """The lineage that this store writes: part of every key it accepts."""
        ...

    async def append(self, append: Append) -> Outcome:
        """Write atomically if the stream ends at ``append.expected`` (number and hash); else Conflicted."""
        ...

    async def head(self, stream: str) -> Head:
        """The end of a stream, as of now: sees every append acknowledged before the call."""
        ...

    def listen(self, listener: Callable[[Sequence[Notice]], None], *, steps: bool = True) -> Callable[[], None]:
        """Call `listener` with hints of growth, until the returned function is called.

        Without `steps` it need not hear of a run's history that grows and changes nothing for others (`is_step`).
        """
        ...


class Reply(Protocol):
    """Who is told an outcome: an asyncio future, or what looks like one and acts within the same turn of the loop."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


class QuickStore(EventStore, Protocol):
    """A store that also takes an append without a coroutine: a turn of the loop is a tenth of a commit."""

    def submit(self, append: Append, reply: Reply) -> None:
        """As `append`; `reply` is told once, perhaps before this returns. Raises UsageError, StoreCorrupt."""
        ...


def quick(store: EventStore) -> QuickStore | None:
    """`store` if it is a QuickStore itself: one that only wraps another must not be bypassed."""
    return cast("QuickStore", store) if hasattr(type(store), "submit") else None


def _is_sealed_and_fits(body: bytes) -> bool:
    return body.startswith(SEALED) and len(body) <= sealed_bytes_max


def check_append(append: Append) -> None:
    """What every store refuses: raises UsageError."""
    if len(append.body) > append_bytes_max and not _is_sealed_and_fits(append.body):
        raise UsageError(
            f"append to {append.stream} is {len(append.body)} bytes, the bound append_bytes_max is {append_bytes_max}: "
            "put large payloads into the blob store"
        )
    if append.count < 1 or len(append.expected.hash) != 32 or not 0 <= append.expected.seq <= append.head < seq_max:
        raise UsageError(f"append to {append.stream} is malformed: it needs an event, a 32-byte hash, a number >= 0")
    try:
        append.body.decode()
    except UnicodeDecodeError:
        raise UsageError(f"append to {append.stream} is malformed: its body is not UTF-8") from None
    if append.hint is not None:
        check_hint(append.hint)


def check_stream(stream: str, lineage: Lineage) -> None:
    """What every store refuses: a key that is not one, or of another lineage. Raises UsageError."""
    if StreamKey.parse(stream).lineage != lineage:
        raise UsageError(f"stream {stream} is of another lineage: this store writes {lineage}")
