"""Writes down what was asked of a journal, and what it answered, as the asker saw it.

A history is one line of JSON for each call, written when the call has ended and before its answer is given on: what a
client has seen stands in the book, also when its process is killed a moment later. The books of several processes of
one machine fit together, because their monotonic clocks are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from outlast.journal.chain import link
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener
from outlast.journal.record import append_id_of
from outlast.journal.stream import Append, Applied, Conflicted, EventStore, Head, Outcome, StoredRecord
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreError

Answer = Literal["applied", "conflict", "unknown"]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The end of a stream: the number of its last event, and the chain hash there in hexadecimal."""

    seq: int
    hash: str


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A record as it was read: its first event's number, how many, its append's name, sha256 of its bytes, its hash."""

    seq: int
    count: int
    append_id: str
    digest: str
    hash: str

    @property
    def place(self) -> Place:
        """Where the stream ended after it."""
        return Place(self.seq + self.count - 1, self.hash)


class Call(msgspec.Struct, frozen=True, kw_only=True, tag_field="call"):
    """One call: `began` and `ended` are seconds of the machine's monotonic clock, `ended` None if nothing came."""

    client: str
    stream: str
    began: float
    ended: float | None = None


class AppendCall(Call, frozen=True, tag="append"):
    """`made` is the record that it writes, if it is applied; `head` what a conflict said, or where applied led to."""

    expected: Place
    made: Seen
    answer: Answer = "unknown"
    head: Place | None = None


class HeadCall(Call, frozen=True, tag="head"):
    """It answered `head`."""

    head: Place


class ReadCall(Call, frozen=True, tag="read"):
    """It answered `records`: those that begin after event `after`, at most `limit`."""

    after: int
    limit: int
    records: tuple[Seen, ...]


AnyCall = AppendCall | HeadCall | ReadCall

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyCall)


class Book(Protocol):
    """Where lines go, one at a time; what `write` was given must outlive this process."""

    def write(self, line: bytes, /) -> object: ...


def read_book(lines: Iterable[bytes]) -> list[AnyCall]:
    """The calls of a book; a torn last line (its writer was killed) was seen by nobody, and is nothing."""
    calls: list[AnyCall] = []
    for line in lines:
        try:
            calls.append(_decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return calls


def place_of(head: Head) -> Place:
    """A head as it stands in a book."""
    return Place(head.seq, head.hash.hex())


def seen(record: StoredRecord) -> Seen:
    """A record as it stands in a book."""
    digest = hashlib.sha256(record.body).hexdigest()
    return Seen(record.seq, record.count, append_id_of(record), digest, record.hash.hex())


def _made(append: Append) -> Seen:
    return seen(
        StoredRecord(append.expected.seq + 1, append.count, append.body, link(append.expected.hash, append.body))
    )


class RecordingStore:
    """An EventStore in front of another one: every call of `client` is told to `note`, as a line for a book.

    A read that fails says nothing about the stream and is left out; an append that is cancelled or fails is *unknown*.
    """

    def __init__(self, behind: EventStore, client: str, clock: Clock, book: Book) -> None:
        self.behind = behind
        self._client = client
        self._clock = clock
        self._book = book

    @property
    def lineage(self) -> Lineage:
        return self.behind.lineage

    async def append(self, append: Append) -> Outcome:
        began = self._clock.monotonic()
        answer: Answer = "unknown"
        head: Place | None = None
        try:
            outcome = await self.behind.append(append)
            if isinstance(outcome, Applied | Conflicted):
                answer = "applied" if isinstance(outcome, Applied) else "conflict"
                head = place_of(outcome.head)
            return outcome
        finally:
            self._note(
                AppendCall(
                    client=self._client,
                    stream=append.stream,
                    began=began,
                    ended=self._clock.monotonic(),
                    expected=place_of(append.expected),
                    made=_made(append),
                    answer=answer,
                    head=head,
                )
            )

    async def head(self, stream: str) -> Head:
        began = self._clock.monotonic()
        head = await self.behind.head(stream)
        ended = self._clock.monotonic()
        self._note(HeadCall(client=self._client, stream=stream, began=began, ended=ended, head=place_of(head)))
        return head

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        began = self._clock.monotonic()
        records = await self.behind.read(stream, after, limit)
        ended = self._clock.monotonic()
        try:
            found = tuple(seen(record) for record in records)
        except StoreError:
            return records  # the reader will say so itself
        self._note(
            ReadCall(
                client=self._client, stream=stream, began=began, ended=ended, after=after, limit=limit, records=found
            )
        )
        return records

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return await self.behind.streams(kind, after, limit)

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        return self.behind.listen(listener, steps=steps)

    def _note(self, call: AnyCall) -> None:
        self._book.write(_encoder.encode(call) + b"\n")
