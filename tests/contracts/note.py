"""Appends for the suites: streams of notes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from outlast.journal.chain import verify
from outlast.journal.index import HintPatch
from outlast.journal.lineage import Lineage
from outlast.journal.record import append_id_of, make_append
from outlast.journal.stream import Append, Applied, Conflicted, EventStore, Head, Outcome, StoredRecord, Unknown
from outlast.kernel.error import StoreUnavailable

T = TypeVar("T")


class Noted(msgspec.Struct, frozen=True, tag_field="type", tag="noted"):
    """The only event there is here."""

    text: str
    v: int = 1


def key(store: EventStore, name: str, kind: str = "run") -> str:
    return f"{kind}/{name}@{store.lineage}"


def note(stream: str, expected: Head, name: str, *texts: str, hint: HintPatch | None = None) -> Append:
    """An append of one event for each text; `name` is its append_id."""
    return make_append(stream, expected, name, 1000.0, [Noted(text) for text in texts or (name,)], hint)


async def fill(store: EventStore, stream: str, count: int, size: int = 1) -> Head:
    """Append `count` records of one event each."""
    head = await store.head(stream)
    for index in range(count):
        head = applied(await store.append(note(stream, head, f"a{head.seq + 1}", "x" * size + str(index))))
    return head


def applied(outcome: Outcome) -> Head:
    assert isinstance(outcome, Applied), outcome
    return outcome.head


async def everything(store: EventStore, stream: str) -> Sequence[StoredRecord]:
    """All records of a stream, read in pages and verified from genesis; it must end where the store says it does."""
    records: list[StoredRecord] = []
    after = 0
    while page := await store.read(stream, after, 7):
        records.extend(page)
        after = page[-1].seq + page[-1].count - 1
    assert verify(stream, records) == await store.head(stream)
    return records


async def names(store: EventStore, stream: str) -> list[str]:
    return [append_id_of(record) for record in await everything(store, stream)]


class Retrying:
    """A careful writer and reader in front of a store that fails for a while: itself an EventStore."""

    def __init__(self, behind: EventStore) -> None:
        self._behind = behind
        self.listen = behind.listen

    @property
    def lineage(self) -> Lineage:
        return self._behind.lineage

    async def append(self, append: Append) -> Outcome:
        while True:
            try:
                return await settle(self._behind, append)
            except StoreUnavailable:
                continue

    async def head(self, stream: str) -> Head:
        return await _until_read(lambda: self._behind.head(stream))

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        return await _until_read(lambda: self._behind.read(stream, after, limit))

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return await _until_read(lambda: self._behind.streams(kind, after, limit))


async def _until_read(ask: Callable[[], Awaitable[T]], tries: int = 1000) -> T:
    for _ in range(tries):
        try:
            return await ask()
        except StoreUnavailable:
            continue
    raise AssertionError(f"still unavailable after {tries} tries")


async def settle(store: EventStore, append: Append, tries: int = 10_000) -> Outcome:
    """What a careful writer does: resend identical bytes while Unknown, and know its own record in a conflict."""
    outcome: Outcome = Unknown("not sent")
    for _ in range(tries):
        outcome = await store.append(append)
        if not isinstance(outcome, Unknown):
            break
    if isinstance(outcome, Conflicted) and outcome.head.seq >= append.head:
        found = await store.read(append.stream, append.expected.seq, 1)
        if found and found[0].seq == append.expected.seq + 1 and found[0].body == append.body:
            return Applied(Head(append.head, found[0].hash))
    return outcome
