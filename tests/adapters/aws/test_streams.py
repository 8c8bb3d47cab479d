"""A table's stream is followed: every change at least once, in order, from where the last reader stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.streams import Change, Shard, TableStream, mark_every_s, readable
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.store import MemoryStore
from outlast.kernel.error import StoreUnavailable
from tests.adapters.aws.emulator import CREDENTIALS, ask, emulator
from tests.adapters.aws.proxy import faulty


@pytest.fixture(scope="module")
def ministack() -> Iterator[Place]:
    with emulator("ministack") as place:
        yield place


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


class Table:
    """A table with a stream, and what readers of it were handed."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        made = ask(
            "dynamodb", place, "create_table", TableName=name, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )  # fmt: skip
        self.arn = made["TableDescription"]["LatestStreamArn"]
        self.store = MemoryStore()
        self.seen: list[Change] = []
        self.said: list[str] = []

    def put(self, *values: int) -> None:
        for value in values:
            item = {"k": {"S": "one"}, "n": {"N": str(value)}}
            ask("dynamodb", self.place, "put_item", TableName=self.name, Item=item)

    def reader(self, place: Place | None = None, handle: Any = None, clock: Any = None) -> TableStream:
        async def see(changes: Sequence[Change]) -> None:
            self.seen += changes

        lineage = self.store.lineage
        return TableStream(
            self.arn, place or self.place, self.store, lineage, clock or SystemClock(), handle or see, self.said.append,
            0.01,
        )  # fmt: skip

    def numbers(self) -> list[int]:
        return [int(change.new["n"]["N"]) for change in self.seen]


async def test_a_reader_goes_on_where_the_last_one_stopped(ministack: Place) -> None:
    table = Table(ministack, "goes-on")
    for values in ((1, 2, 3), (4, 5), (6,)):
        table.put(*values)
        reader = table.reader()
        while await reader.look():
            pass
        await reader.close()
    assert table.numbers() == [1, 2, 3, 4, 5, 6]
    assert {change.kind for change in table.seen} == {"INSERT", "MODIFY"}


async def test_how_far_it_came_is_written_now_and_then_and_at_the_end(ministack: Place) -> None:
    class Slow(SystemClock):
        at = 0.0

        def monotonic(self) -> float:
            return self.at

    table, clock = Table(ministack, "marks"), Slow()
    reader = table.reader(clock=clock)
    for value in (1, 2, 3):
        table.put(value)
        await reader.look()
    assert not table.store._snapshots, "where marks stand in the table that is followed, each makes another look"
    clock.at = mark_every_s
    await reader.look()
    assert len(table.store._snapshots) == 1
    table.put(4)
    await reader.look()
    await reader.close()
    await (again := table.reader()).look()
    await again.close()
    assert table.numbers() == [1, 2, 3, 4]


async def test_what_its_handler_did_not_take_comes_again(ministack: Place) -> None:
    table = Table(ministack, "again")
    table.put(1, 2)
    fails = True

    async def handle(changes: Sequence[Change]) -> None:
        nonlocal fails
        if fails:
            fails = False
            raise StoreUnavailable("not now")
        table.seen += changes

    reader = table.reader(handle=handle)
    with pytest.raises(StoreUnavailable, match="not now"):
        await reader.look()
    await reader.look()
    await reader.close()
    assert table.numbers() == [1, 2]


async def test_lost_and_damaged_checkpoints_only_repeat(ministack: Place) -> None:
    table = Table(ministack, "repeats")
    table.put(1, 2)
    for _ in range(2):
        reader = table.reader()
        await reader.look()
        await reader.close()
        table.store._snapshots.clear()
    assert table.numbers() == [1, 2, 1, 2]


@pytest.mark.timeout(600)
async def test_through_failing_and_lost_calls_every_change_comes_in_order(ministack: Place, until: Any) -> None:
    table = Table(ministack, "faults")
    async with faulty(ministack, seed=5) as (proxy, place):
        proxy.share = 0.4
        reader = table.reader(place)
        running = asyncio.ensure_future(reader.run())
        for value in range(20):
            await asyncio.to_thread(table.put, value)
        await until(lambda: set(table.numbers()) == set(range(20)) and proxy.counts.total() > 40, 60)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await reader.close()
    assert sum(proxy.counts.values()) - proxy.counts["none"] > 5
    first = list(dict.fromkeys(table.numbers()))
    assert first == list(range(20))


@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
async def test_what_was_trimmed_is_said_and_what_is_left_is_read(ministack: Place, operation: str) -> None:
    table = Table(ministack, f"trimmed-{operation}")
    table.put(1)
    first = table.reader()
    await first.look()
    await first.close()
    table.put(2)
    async with faulty(ministack, seed=1) as (proxy, place):
        reader = table.reader(place)
        proxy.refuse_once[operation] = "TrimmedDataAccessException"
        for _ in range(3):
            await reader.look()
        await reader.close()
    assert reader.trimmed == 1
    assert "were trimmed before they were read" in table.said[0]
    assert table.numbers() == [1, 1, 2]


async def test_an_iterator_that_has_expired_is_made_anew(ministack: Place) -> None:
    table = Table(ministack, "expired")
    table.put(1)
    async with faulty(ministack, seed=1) as (proxy, place):
        reader = table.reader(place)
        await reader.look()
        table.put(2)
        proxy.refuse_once["GetRecords"] = "ExpiredIteratorException"
        with pytest.raises(StoreUnavailable, match="ExpiredIteratorException"):
            await reader.look()
        await reader.look()
        await reader.close()
    assert table.numbers() == [1, 2]


def test_a_shard_is_read_after_its_parent_and_one_whose_parent_is_gone_at_once() -> None:
    shards = [Shard("a"), Shard("b", "a"), Shard("c", "a"), Shard("d", "b"), Shard("e", "trimmed")]
    assert [each.id for each in readable(shards, set())] == ["a", "e"]
    assert [each.id for each in readable(shards, {"a"})] == ["b", "c", "e"]
    assert [each.id for each in readable(shards, {"a", "b", "e"})] == ["c", "d"]
