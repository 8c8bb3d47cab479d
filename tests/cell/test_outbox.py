"""What the journal says is published: all of it, each stream in order, and nothing of what users said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from outlast.adapters.memory.publisher import MemoryPublisher
from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.cell.outbox import Outbox, OutboxBounds
from outlast.journal.publication import Publication, PublisherUnavailable, Told, cursor_stream
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Head, StoredRecord
from outlast.kernel.error import StoreCorrupt, StoreSealed, StoreUnavailable
from outlast.policy.resequence import Resequencer
from outlast.policy.retry import Retry
from tests.agent.desk import Desk

app: App[None] = App("t")
SECRET = "the customer's secret"
QUICK = OutboxBounds(per_s=1e6, sweep_rest_s=0.0, sweep_every_s=0.05, again=Retry(1_000, 0.001, 0.01))


@app.tool(effect="pure")
async def look(what: str) -> str:
    return SECRET


@app.tool(effect="pure")
async def fail(what: str) -> str:
    raise ValueError(SECRET)


@app.agent
async def talk(run: Run[None], message: str) -> str:
    for _ in range(5):
        await look(message)
    return await look(message)


@app.agent
async def fall(run: Run[None], message: str) -> str:
    return await fail.options(retry=1)(message)


class Place:
    def __init__(self, bounds: OutboxBounds = QUICK, publisher: Any = None) -> None:
        self.desk = Desk(app, {})
        self.publisher = publisher or MemoryPublisher()
        self.said: list[str] = []
        self.bounds = bounds
        self.outbox = self.another()

    def another(self, store: Any = None, mine: Callable[[str], bool] = lambda stream: True) -> Outbox:
        platform = self.desk.platform(store or self.desk.store)
        return Outbox(platform, self.publisher, self.said.append, self.bounds, mine)

    async def play(self, count: int = 3) -> list[str]:
        """So many runs from beginning to end."""
        async with self.desk:
            await self.desk.hire()
            runs = [await self.desk.start("talk", [SECRET]) for _ in range(count)]
            for run in runs:
                await self.desk.until(run)
        return runs

    async def drain(self, outbox: Outbox | None = None) -> None:
        outbox = outbox or self.outbox
        await outbox.sweep()
        while outbox._news:
            await outbox.round()
        await outbox.save()

    async def journal(self) -> dict[str, list[str]]:
        """What should have been published: types by stream."""
        return {
            stream: [event.type for event in await self.desk.control.events(stream.partition("/")[2].partition("@")[0])]
            for stream in await self.desk.store.streams("run")
        }

    def told_length(self) -> int:
        return len({(each.stream, each.seq) for each in self.publisher.published})

    def told(self) -> dict[str, list[str]]:
        """What a consumer makes of it: types by stream, without duplicates and in order."""
        resequencer: Resequencer[Publication] = Resequencer()
        types: dict[str, list[str]] = {}
        for each in self.publisher.published:
            for ready in resequencer.offer(0.0, each.stream, each.seq, each):
                types.setdefault(ready.stream, []).append(ready.type)
        assert resequencer.gaps(1e9) == []
        return types


async def test_all_events_are_published_in_order_once_and_nothing_of_what_users_said() -> None:
    place = Place()
    await place.play()
    await place.desk.control.stop_agent("talk", SECRET)
    await place.drain()
    told = place.told()
    assert told.pop(f"agent/talk@{place.desk.store.lineage}") == ["agent.stopped"]
    assert told == await place.journal()
    assert len(place.publisher.published) == sum(map(len, told.values())) + 1
    first = place.publisher.published[0]
    assert (first.kind, first.type, first.lineage) == ("run", "run.created", "0.local.memory")
    assert (first.data["agent"], first.v, first.seq) == ("talk", 1, 1)
    assert first.append_id
    assert SECRET not in msgspec.json.encode(place.publisher.published).decode()


async def test_of_a_failure_only_its_type_is_told() -> None:
    place = Place()
    async with place.desk:
        await place.desk.hire()
        await place.desk.until(await place.desk.start("fall", [SECRET]))
    await place.drain()
    last = place.publisher.published[-1]
    assert (last.type, last.data["error_type"]) == ("run.failed", "ValueError")
    assert SECRET not in msgspec.json.encode(place.publisher.published).decode()


async def test_payloads_are_published_where_the_operator_asked_for_it() -> None:
    place = Place(msgspec.structs.replace(QUICK, content=True))
    await place.play(1)
    await place.drain()
    assert SECRET in msgspec.json.encode(place.publisher.published[0].data["input"]).decode()


async def test_another_outbox_goes_on_where_the_last_one_stopped() -> None:
    place = Place()
    await place.play()
    await place.drain()
    count = len(place.publisher.published)
    assert place.outbox._open == {}
    await place.drain(place.another())
    assert len(place.publisher.published) == count
    await place.desk.control.start("talk", ["more"])
    await place.drain(place.another())
    assert len(place.publisher.published) == count + 1


async def test_lost_damaged_and_foreign_cursors_only_repeat() -> None:
    place = Place()
    runs = await place.play(4)
    await place.drain()
    count = len(place.publisher.published)
    store = place.desk.store
    own = [cursor_stream(stream) for stream in await store.streams("run")]
    del store._snapshots[own[0]]
    store._snapshots[own[1]] = msgspec.structs.replace(store._snapshots[own[1]], body=b"another stream")
    store._snapshots[own[2]] = msgspec.structs.replace(store._snapshots[own[2]], v=2)
    await place.drain(place.another())
    lengths = [len(await place.desk.control.events(run)) for run in runs]
    assert len(place.publisher.published) == count + sum(sorted(lengths)[:3])
    assert place.told() == await place.journal()


class Flaky(MemoryPublisher):
    """Takes some, not others, and sometimes nothing, and sometimes says so though it took them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        import random

        self.dice = random.Random(seed)

    async def publish(self, publications: Sequence[Publication]) -> Sequence[Told]:
        fate = self.dice.random()
        if fate < 0.2:
            raise PublisherUnavailable("it is away")
        if fate < 0.4:
            await super().publish(publications)
            raise PublisherUnavailable("the answer was lost")
        told: list[Told] = []
        for each in publications:
            told.append("again" if self.dice.random() < 0.3 else "sent")
            if told[-1] == "sent":
                await super().publish([each])
        return told


async def test_a_publisher_that_fails_in_every_way_loses_nothing_and_the_last_telling_is_in_order() -> None:
    for seed in range(5):
        place = Place(publisher=Flaky(seed))
        await place.play(5)
        await place.outbox.sweep()
        async with running(place.outbox):

            async def all_told(place: Place = place) -> bool:
                return place.told_length() == sum(map(len, (await place.journal()).values()))

            await place.desk.wait_for(all_told, f"seed {seed}", deadline_s=10.0)
        assert place.told() == await place.journal()


@pytest.mark.parametrize("cursor_every_s", [0.0, 3_600.0])
async def test_an_outbox_that_dies_in_mid_batch_loses_nothing(cursor_every_s: float) -> None:
    place = Place(msgspec.structs.replace(QUICK, cursor_every_s=cursor_every_s))
    await place.play(4)
    for _ in range(6):  # each dies after one round, its cursors written in mid-stream, or not at all
        dies = place.another()
        await dies.sweep()
        await dies.round()
    await place.drain(place.another())
    assert place.told() == await place.journal()


async def test_what_is_appended_is_published_as_it_comes() -> None:
    place = Place(msgspec.structs.replace(QUICK, sweep_every_s=3_600.0))
    place.desk.store.listen(place.outbox.ring)
    async with running(place.outbox):
        await place.play()
        journal = await place.journal()
        await place.desk.wait_for(lambda: place.told() == journal)
    assert place.outbox.counts.sent == len(place.publisher.published)


async def test_lost_notices_are_made_up_for_by_the_sweep() -> None:
    place = Place()
    async with running(place.outbox):
        await place.play()
        journal = await place.journal()
        await place.desk.wait_for(lambda: place.told() == journal)


async def test_a_stream_that_is_damaged_is_said_and_stops_nobody_else() -> None:
    place = Place()
    await place.play(3)
    stream = (await place.desk.store.streams("run"))[0]
    records = place.desk.store._streams[stream]
    records[1] = StoredRecord(records[1].seq, records[1].count, records[1].body + b" ", records[1].hash)
    await place.drain()
    assert len(place.said) == 1
    assert "are not what was written" in place.said[0]
    journal = await place.journal()
    told = place.told()
    assert {key: told[key] for key in told if key != stream} == {key: journal[key] for key in journal if key != stream}


async def test_what_a_publisher_never_takes_is_left_out_said_and_shows_as_a_gap() -> None:
    class Refuses(MemoryPublisher):
        async def publish(self, publications: Sequence[Publication]) -> Sequence[Told]:
            await super().publish([each for each in publications if each.seq != 2])
            return ["refused" if each.seq == 2 else "sent" for each in publications]

    place = Place(publisher=Refuses())
    await place.play(1)
    await place.drain()
    assert place.outbox.counts.refused == 1
    assert "is refused: it is left out" in place.said[0]
    resequencer: Resequencer[Publication] = Resequencer()
    for each in place.publisher.published:
        resequencer.offer(0.0, each.stream, each.seq, each)
    assert [(gap.first, gap.last) for gap in resequencer.gaps(60.0)] == [(2, 2)]


async def test_a_store_that_is_away_costs_time_only() -> None:
    place = Place()
    await place.play()

    class Away:
        fails = 20

        def __getattr__(self, name: str) -> Any:
            return getattr(place.desk.store, name)

        async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
            self.fails -= 1
            if self.fails > 0:
                raise StoreUnavailable("no route")
            return await place.desk.store.read(stream, after, limit)

    outbox = place.another(Away())
    async with running(outbox):
        journal = await place.journal()
        await place.desk.wait_for(lambda: place.told() == journal)


async def test_two_outboxes_share_the_streams() -> None:
    place = Place()
    await place.play(6)
    streams = await place.desk.store.streams("run")
    first, second = (place.another(mine=lambda stream, half=half: streams.index(stream) % 2 == half) for half in (0, 1))
    await place.drain(first)
    await place.drain(second)
    assert place.told() == await place.journal()
    assert len(place.publisher.published) == sum(map(len, place.told().values()))


async def test_a_snapshot_that_is_older_never_takes_a_cursor_back() -> None:
    place = Place()
    await place.play(1)
    await place.drain()
    stream = (await place.desk.store.streams("run"))[0]
    own = cursor_stream(stream)
    latest = await place.desk.store.load(own)
    assert latest is not None
    await place.desk.store.save(Snapshot(own, 1, b"x" * 32, 1, stream.encode()))
    assert await place.desk.store.load(own) == latest


async def test_a_stream_whose_key_or_end_cannot_be_read_is_said_and_keeps_no_other_from_its_turn() -> None:
    place = Place()
    await place.play(3)
    sealed, headless, whole = await place.desk.store.streams("run")

    class Partly:
        def __getattr__(self, name: str) -> Any:
            return getattr(place.desk.store, name)

        async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
            if stream == sealed:
                raise StoreSealed("key k1 is not here")
            return await place.desk.store.read(stream, after, limit)

        async def head(self, stream: str) -> Head:
            if stream == headless:
                raise StoreCorrupt("no record")
            return await place.desk.store.head(stream)

    await place.drain(place.another(Partly()))
    assert [*place.told()] == [whole]
    assert sorted(place.said) == sorted(
        [
            f"stream {sealed} cannot be published: key k1 is not here",
            f"stream {headless} cannot be published: no record",
        ]
    )


async def test_little_of_what_was_read_waits_in_memory_however_many_streams_have_news() -> None:
    place = Place()
    await place.play(8)
    await place.outbox.sweep()
    waiting: list[int] = []
    while place.outbox._news:
        await place.outbox.round()
        waiting.append(sum(bool(stream.queue) for stream in place.outbox._open.values()))
    assert max(waiting) == 1
    assert place.told() == await place.journal()


@contextlib.asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    task = asyncio.ensure_future(outbox.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
