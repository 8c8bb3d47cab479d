"""What every EventStore does."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlast.journal.chain import genesis, link
from outlast.journal.index import HintPatch
from outlast.journal.stream import (
    Append,
    Applied,
    Conflicted,
    EventStore,
    Head,
    Notice,
    append_bytes_max,
)
from outlast.kernel.error import UsageError
from tests.contracts.note import applied, everything, fill, key, names, note


class EventStoreContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[EventStore]:
        """The store in this directory, made if it is not there."""

    def stored(self, store: EventStore, append: Append) -> bytes:
        """The bytes that stand in the store for an append: the chain covers these."""
        return append.body

    @pytest.fixture
    async def store(self, short_dir: Path) -> AsyncIterator[EventStore]:
        async with self.opened(short_dir) as store:
            yield store

    async def test_a_stream_without_events_ends_at_genesis(self, store: EventStore) -> None:
        stream = key(store, "new")
        assert await store.head(stream) == genesis(stream)
        assert await store.read(stream) == []

    async def test_an_append_moves_the_head_along_the_chain(self, store: EventStore) -> None:
        stream = key(store, "a")
        start = genesis(stream)
        append = note(stream, start, "first", "one", "two", "three")
        head = applied(await store.append(append))
        assert head == Head(3, link(start.hash, self.stored(store, append)))
        assert await store.head(stream) == head

    async def test_what_was_acknowledged_is_visible_at_once(self, store: EventStore) -> None:
        stream = key(store, "a")
        head = genesis(stream)
        for index in range(20):
            append = note(stream, head, f"n{index}", "x" * index, "y")
            head = applied(await store.append(append))
            (record,) = await store.read(stream, head.seq - 2)
            assert (record.seq, record.count, record.body, record.hash) == (head.seq - 1, 2, append.body, head.hash)

    async def test_an_append_at_a_wrong_number_conflicts_and_tells_the_end(self, store: EventStore) -> None:
        stream = key(store, "a")
        head = await fill(store, stream, 3)
        for wrong in (genesis(stream), Head(2, head.hash), Head(4, head.hash), Head(900, head.hash)):
            assert await store.append(note(stream, wrong, "late")) == Conflicted(head)
        assert len(await everything(store, stream)) == 3

    async def test_an_append_on_another_history_conflicts(self, store: EventStore) -> None:
        stream = key(store, "a")
        head = await fill(store, stream, 2)
        assert await store.append(note(stream, Head(2, bytes(32)), "fork")) == Conflicted(head)
        other = key(store, "b")
        assert await store.append(note(other, genesis(stream), "alien")) == Conflicted(genesis(other))

    async def test_the_same_append_again_is_written_once(self, store: EventStore) -> None:
        stream = key(store, "a")
        append = note(stream, genesis(stream), "once")
        head = applied(await store.append(append))
        for _ in range(3):
            again = await store.append(append)
            assert isinstance(again, Applied | Conflicted)
            assert again.head == head
        assert await names(store, stream) == ["once"]

    async def test_the_same_append_twice_at_the_same_time_is_written_once(self, store: EventStore) -> None:
        stream = key(store, "a")
        append = note(stream, genesis(stream), "once")
        outcomes = await asyncio.gather(*(store.append(append) for _ in range(8)))
        assert {outcome.head for outcome in outcomes if isinstance(outcome, Applied | Conflicted)} == {
            Head(1, link(append.expected.hash, self.stored(store, append)))
        }
        assert await names(store, stream) == ["once"]

    async def test_of_those_who_race_for_a_place_one_wins(self, store: EventStore) -> None:
        for round_ in range(10):
            stream = key(store, f"race{round_}")
            start = genesis(stream)
            outcomes = await asyncio.gather(*(store.append(note(stream, start, f"r{index}")) for index in range(16)))
            assert sum(isinstance(outcome, Applied) for outcome in outcomes) == 1
            winner = next(index for index, outcome in enumerate(outcomes) if isinstance(outcome, Applied))
            assert all(outcome.head == outcomes[winner].head for outcome in outcomes)  # type: ignore[union-attr]
            assert await names(store, stream) == [f"r{winner}"]

    async def test_a_conflict_leaves_its_neighbours_alone(self, store: EventStore) -> None:
        bad = key(store, "bad")
        end = await fill(store, bad, 1)
        streams = [key(store, f"good{index}") for index in range(20)]
        appends: list[Append] = []
        for index, stream in enumerate(streams):
            appends.append(note(stream, genesis(stream), f"g{index}"))
            appends.append(note(bad, genesis(bad), f"b{index}"))
        outcomes = await asyncio.gather(*(store.append(append) for append in appends))
        assert all(isinstance(outcome, Applied) for outcome in outcomes[::2])
        assert all(outcome == Conflicted(end) for outcome in outcomes[1::2])
        for index, stream in enumerate(streams):
            assert await names(store, stream) == [f"g{index}"]

    async def test_a_chain_of_appends_sent_at_once_is_judged_in_order(self, store: EventStore) -> None:
        stream = key(store, "chain")
        head = genesis(stream)
        appends: list[Append] = []
        for index in range(10):
            append = note(stream, head, f"c{index}")
            appends.append(append)
            head = Head(append.head, link(head.hash, self.stored(store, append)))
        outcomes = await asyncio.gather(*(store.append(append) for append in appends))
        assert all(isinstance(outcome, Applied) for outcome in outcomes)
        assert await names(store, stream) == [f"c{index}" for index in range(10)]

    async def test_many_streams_grow_at_once(self, store: EventStore) -> None:
        streams = [key(store, f"s{index:03}") for index in range(50)]
        heads = await asyncio.gather(*(fill(store, stream, 8, 500) for stream in streams))
        for stream, head in zip(streams, heads, strict=True):
            assert head.seq == 8
            assert len(await everything(store, stream)) == 8

    async def test_reading_goes_in_pages(self, store: EventStore) -> None:
        stream = key(store, "pages")
        head = genesis(stream)
        for index in range(10):
            head = applied(await store.append(note(stream, head, f"p{index}", "one", "two")))
        assert [record.seq for record in await store.read(stream, 0, 3)] == [1, 3, 5]
        assert [record.seq for record in await store.read(stream, 6, 3)] == [7, 9, 11]
        assert [record.seq for record in await store.read(stream, 18)] == [19]
        assert [record.seq for record in await store.read(stream, 17)] == [19]
        assert await store.read(stream, 20) == []

    async def test_streams_are_listed_by_kind_in_text_order(self, store: EventStore) -> None:
        runs = sorted(key(store, f"r{index:02}") for index in range(12))
        for stream in runs:
            await fill(store, stream, 1)
        await fill(store, key(store, "r00", "inbox"), 2)
        await fill(store, key(store, "r00", "session"), 2)
        assert await store.streams("run") == runs
        assert await store.streams("run", limit=5) == runs[:5]
        assert await store.streams("run", after=runs[4], limit=5) == runs[5:10]
        assert await store.streams("inbox") == [key(store, "r00", "inbox")]
        assert await store.streams("ru") == []
        assert await store.streams("agent") == []

    async def test_bodies_come_back_byte_for_byte(self, store: EventStore) -> None:
        stream = key(store, "text")
        texts = ["äöü € \U0001f600 \u2028", "\x00\x01\x1f\x7f", '"\\', "x" * 100_000, ""]
        append = note(stream, genesis(stream), "texts", *texts)
        applied(await store.append(append))
        (record,) = await store.read(stream)
        assert record.body == append.body
        assert isinstance(record.body, bytes)

    async def test_a_body_over_the_bound_is_refused(self, store: EventStore) -> None:
        stream = key(store, "big")
        with pytest.raises(UsageError, match="append_bytes_max"):
            await store.append(note(stream, genesis(stream), "big", "x" * append_bytes_max))
        await fill(store, stream, 1)

    @pytest.mark.parametrize(
        "stream",
        ["", "run", "run/x", "run/x@", "RUN/x@{0}", "run/@{0}", "run/a b@{0}", "run/x@{0} ", "run/x@9.mars.abcd"],
    )
    async def test_a_key_that_is_none_or_of_another_lineage_is_refused(self, store: EventStore, stream: str) -> None:
        stream = stream.format(store.lineage)
        with pytest.raises(UsageError):
            await store.append(note(stream, genesis(stream), "x"))
        assert await store.streams("run") == []

    async def test_malformed_appends_are_refused(self, store: EventStore) -> None:
        stream = key(store, "odd")
        start = genesis(stream)
        for append in (
            Append(stream, start, "a", 0, b"{}"),
            Append(stream, Head(0, b"short"), "a", 1, b"{}"),
            Append(stream, Head(-1, start.hash), "a", 1, b"{}"),
            Append(stream, Head(2**62, start.hash), "a", 1, b"{}"),
            Append(stream, start, "a", 2**63, b"{}"),
            Append(stream, start, "a", 1, b"\xff\xfe"),
        ):
            with pytest.raises(UsageError):
                await store.append(append)
        await fill(store, stream, 1)

    async def test_a_cancelled_append_is_written_whole_or_not_at_all(self, store: EventStore) -> None:
        stream = key(store, "cancelled")
        task = asyncio.ensure_future(store.append(note(stream, genesis(stream), "gone", "one", "two")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await fill(store, key(store, "after"), 1)
        assert await names(store, stream) in ([], ["gone"])

    async def test_growth_is_noticed(self, store: EventStore, until: Callable[..., object]) -> None:
        seen: list[Notice] = []

        def listen(notices: Sequence[Notice]) -> None:
            seen.extend(notices)

        stop = store.listen(listen)
        stream = key(store, "watched")
        head = genesis(stream)

        async def noticed() -> bool:
            # notices are hints and a subscription takes effect when it does: appends go on until one is seen
            nonlocal head
            patch = HintPatch("watched", mail=head.seq + 1)
            head = applied(await store.append(note(stream, head, f"w{head.seq}", hint=patch)))
            return bool(seen)

        await until(noticed, 10, "a notice")  # type: ignore[misc]
        assert all(notice.stream == stream and notice.seq <= head.seq for notice in seen)
        assert all(notice.hint == HintPatch("watched", mail=notice.seq) for notice in seen)
        stop()
        stop()
        await fill(store, key(store, "unwatched"), 3)
        assert all(notice.stream == stream for notice in seen)

    async def test_who_does_not_ask_for_steps_hears_of_inboxes_and_hints(
        self, store: EventStore, until: Callable[..., object]
    ) -> None:
        seen: set[str] = set()
        store.listen(lambda notices: seen.update(notice.stream for notice in notices), steps=False)
        inbox, run = key(store, "heard", "inbox"), key(store, "heard")
        heads = {inbox: genesis(inbox), run: genesis(run)}

        async def noticed() -> bool:
            for stream, head in heads.items():
                hint = HintPatch("heard", mail=head.seq + 1) if stream == run else None
                heads[stream] = applied(await store.append(note(stream, head, f"h{head.seq}", hint=hint)))
            return len(seen) == 2

        await until(noticed, 10, "both")  # type: ignore[misc]

    async def test_a_listener_that_raises_harms_nobody(self, store: EventStore) -> None:
        def broken(notices: Sequence[Notice]) -> None:
            raise ValueError("listener")

        store.listen(broken)
        assert (await fill(store, key(store, "loud"), 5)).seq == 5

    async def test_what_was_acknowledged_outlives_a_restart(self, short_dir: Path) -> None:
        async with self.opened(short_dir) as store:
            lineage = store.lineage
            stream = key(store, "kept")
            head = await fill(store, stream, 5)
        async with self.opened(short_dir) as store:
            assert store.lineage == lineage
            assert await store.head(stream) == head
            assert len(await everything(store, stream)) == 5
            assert await store.append(note(stream, genesis(stream), "late")) == Conflicted(head)
            assert (await fill(store, stream, 1)).seq == 6
