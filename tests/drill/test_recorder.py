"""A book holds what clients saw, before they act on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.store import MemoryStore
from outlast.drill.recorder import AppendCall, HeadCall, ReadCall, RecordingStore, place_of, read_book
from outlast.journal.chain import genesis
from outlast.journal.stream import Append, Outcome, StoredRecord
from outlast.kernel.error import StoreUnavailable
from tests.contracts.note import applied, key, note


class Broken(MemoryStore):
    """Hangs, or fails to read."""

    def __init__(self) -> None:
        super().__init__()
        self.hang = False

    async def append(self, append: Append) -> Outcome:
        if self.hang:
            await asyncio.Event().wait()
        return await super().append(append)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        raise StoreUnavailable("not now")


class Lines(list[bytes]):
    def write(self, line: bytes) -> None:
        self.append(line)


async def test_every_call_is_written_down_with_its_answer() -> None:
    store, book = MemoryStore(), Lines()
    recording = RecordingStore(store, "me", SystemClock(), book)
    stream = key(store, "a")
    append = note(stream, genesis(stream), "one")
    head = applied(await recording.append(append))
    await recording.append(append)
    await recording.head(stream)
    await recording.read(stream, 0, 5)
    first, again, looked, read = read_book(book)
    assert isinstance(first, AppendCall)
    assert (first.client, first.stream, first.answer, first.head) == ("me", stream, "applied", place_of(head))
    assert first.made.place == place_of(head)
    assert isinstance(again, AppendCall)
    assert again.answer == "conflict"
    assert isinstance(looked, HeadCall)
    assert looked.head == place_of(head)
    assert isinstance(read, ReadCall)
    assert read.records == (first.made,)
    assert all(call.ended is not None and call.began <= call.ended for call in (first, again, looked, read))


async def test_an_append_that_is_given_up_is_unknown() -> None:
    store, book = Broken(), Lines()
    store.hang = True
    recording = RecordingStore(store, "me", SystemClock(), book)
    stream = key(store, "a")
    waiting = asyncio.ensure_future(recording.append(note(stream, genesis(stream), "one")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    (call,) = read_book(book)
    assert isinstance(call, AppendCall)
    assert (call.answer, call.head) == ("unknown", None)


async def test_a_read_that_fails_says_nothing() -> None:
    book = Lines()
    store = Broken()
    with pytest.raises(StoreUnavailable):
        await RecordingStore(store, "me", SystemClock(), book).read(key(store, "a"))
    assert book == []


async def test_a_torn_last_line_is_nothing() -> None:
    store, book = MemoryStore(), Lines()
    stream = key(store, "a")
    await RecordingStore(store, "me", SystemClock(), book).head(stream)
    assert len(read_book([*book, book[0][:20]])) == 1
