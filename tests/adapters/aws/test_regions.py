"""Stream keys hold where a table is replicated: no region overwrites another's history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.dynamodb.journal import DynamoJournal
from outlast.adapters.aws.dynamodb.lineage import lineage_of
from outlast.adapters.aws.dynamodb.table import Table
from outlast.adapters.aws.prepare import prepare
from outlast.adapters.aws.usage import Usage
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.stream import Applied, Head
from outlast.kernel.error import StoreCorrupt
from outlast.kernel.point import NoPoints
from tests.adapters.aws.opening import UNPROTECTED, options
from tests.contracts.note import applied, key, names, note, settle
from tests.servers.ministack import ministack as server
from tests.servers.regions import GlobalTable, Mode, RegionCalls

REGIONS = ("eu-central-1", "us-east-1")


@asynccontextmanager
async def world(
    addresses: tuple[str, str], name: str, mode: Mode, *, shared: bool = False
) -> AsyncIterator[tuple[GlobalTable, DynamoJournal, DynamoJournal]]:
    """Two regions that share a table; `shared`: and write one lineage."""
    made = GlobalTable(mode, seed=7)
    clock, randomness = SystemClock(), OsRandomness()
    journals: list[DynamoJournal] = []
    async with AsyncExitStack() as stack:
        for region, address in zip(REGIONS, addresses, strict=True):
            place = options(name, address, region=region)
            await prepare(place, clock, randomness, UNPROTECTED)
            client = Client("dynamodb", Place(region, address), 30.0)
            stack.push_async_callback(client.closed)
            calls = RegionCalls("dynamodb", client, region, Usage(), clock, randomness).join(made)
            table = Table(place.table, calls, clock)
            if shared and journals:
                lineage = journals[0].lineage
            else:
                made.mode, kept = "asynchronous", made.mode
                lineage = await lineage_of(table, region, randomness)
                made.mode = kept
            journals.append(DynamoJournal(table, lineage, MemoryBlobs(), clock, NoPoints()))
            stack.push_async_callback(journals[-1].close)
        yield made, journals[0], journals[1]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> object:
    directory = tmp_path_factory.mktemp("regions")
    with server(directory) as one, server(directory) as two:
        yield one, two


async def grow(journal: DynamoJournal, run: str, who: str, count: int, made: GlobalTable) -> None:
    stream = key(journal, run)
    head = genesis(stream)
    for index in range(count):
        hint = HintPatch(run, state="running", owner=who, updated_at=float(index))
        head = applied(await settle(journal, note(stream, head, f"{who}{index}", hint=hint)))
        if made.mode == "asynchronous":
            await made.deliver(made.chance.randrange(3))


async def test_two_regions_that_write_the_same_run_keep_both_histories(
    addresses: tuple[str, str], short_dir: Path
) -> None:
    async with world(addresses, short_dir.name, "asynchronous") as (made, one, two):
        assert one.lineage != two.lineage
        await asyncio.gather(grow(one, "r", "a", 12, made), grow(two, "r", "b", 12, made))
        await made.deliver(len(made.undelivered))
        assert made.delivered >= 24
        for here, there in ((one, two), (two, one)):
            for journal, who in ((one, "a"), (two, "b")):
                stream = key(journal, "r")
                assert await names(here, stream) == [f"{who}{index}" for index in range(12)]
                assert await here.head(stream) == await there.head(stream)
            entry = await here.entry("r")
            assert entry is not None
            assert entry.owner == ("a" if here is one else "b"), "the index of each lineage is its own"
        assert sorted(await one.streams("run")) == sorted([key(one, "r"), key(two, "r")])


async def test_without_lineages_of_their_own_one_would_overwrite_the_other(
    addresses: tuple[str, str], short_dir: Path
) -> None:
    async with world(addresses, short_dir.name, "asynchronous", shared=True) as (made, one, two):
        stream = key(one, "r")
        for index in range(4):
            for journal, who in ((one, "a"), (two, "b")):
                head = await journal.head(stream)
                assert isinstance(await journal.append(note(stream, head, f"{who}{index}")), Applied)
        await made.deliver(len(made.undelivered))
        kept: list[str] = []
        for journal in (one, two):
            try:
                kept += await names(journal, stream)
            except (StoreCorrupt, AssertionError):
                kept.append("broken")
        assert kept != [f"a{index}" for index in range(4)] + [f"b{index}" for index in range(4)]


async def test_in_strong_mode_two_regions_may_even_race_for_one_stream(
    addresses: tuple[str, str], short_dir: Path
) -> None:
    async with world(addresses, short_dir.name, "strict", shared=True) as (made, one, two):
        stream = key(one, "r")
        won: list[str] = []

        async def race(journal: DynamoJournal, who: str) -> None:
            for index in range(5):
                head: Head = await journal.head(stream)
                if isinstance(await settle(journal, note(stream, head, f"{who}{index}")), Applied):
                    won.append(f"{who}{index}")

        await asyncio.gather(race(one, "a"), race(two, "b"))
        assert made.refused > 0, "a conflict that never came proves nothing"
        assert sorted(await names(one, stream)) == sorted(won), "what was acknowledged is there, once"
        assert await names(two, stream) == await names(one, stream)
