"""A store that fails on purpose passes the suites with a careful writer in front, and its faults do bite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from outlast.adapters.faulty.blob import FaultyBlobs
from outlast.adapters.faulty.plan import Fault, FaultPlan
from outlast.adapters.faulty.store import FaultyStore
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.blob import BlobRef
from outlast.journal.chain import genesis
from outlast.journal.stream import Append, Applied, Conflicted, EventStore, Unknown
from outlast.kernel.error import StoreUnavailable
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.note import Retrying, applied, key, names, note, settle

HEAVY = FaultPlan(
    lost_request=0.1, lost_answer=0.1, late=0.1, full=0.02, doubled=0.1, torn=0.05, unreadable=0.1, delay=0.3
)


class Careful(EventStoreContract):
    """What does not hold, by design: appends overtake each other here."""

    seed = "0"
    test_a_chain_of_appends_sent_at_once_is_judged_in_order = None  # type: ignore[assignment]

    def behind(self, directory: Path) -> EventStore:
        return MemoryStore()

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[Retrying]:
        behind = self.behind(directory)
        yield Retrying(FaultyStore(behind, msgspec.structs.replace(HEAVY, seed=self.seed)))
        if isinstance(behind, SqliteStore):
            behind.close()


class TestFaultyMemory(Careful):
    test_what_was_acknowledged_outlives_a_restart = None  # type: ignore[assignment]


class TestFaultyMemoryAnotherSeed(TestFaultyMemory):
    seed = "1"


class TestFaultySqlite(Careful):
    def behind(self, directory: Path) -> EventStore:
        return SqliteStore.open(directory / "journal.sqlite", OsRandomness())


class PatientBlobs:
    def __init__(self, behind: FaultyBlobs) -> None:
        self._behind = behind

    async def put(self, content: bytes) -> BlobRef:
        while True:
            try:
                return await self._behind.put(content)
            except StoreUnavailable:
                continue

    async def get(self, ref: BlobRef) -> bytes:
        while True:
            try:
                return await self._behind.get(ref)
            except StoreUnavailable:
                continue


class TestFaultyBlobs(BlobStoreContract):
    test_it_outlives_a_restart = None  # type: ignore[assignment]

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[PatientBlobs]:
        yield PatientBlobs(FaultyBlobs(MemoryBlobs(), HEAVY))


async def load(store: FaultyStore, seed: str) -> dict[str, list[str]]:
    """Twenty writers; what each was told."""
    told: dict[str, list[str]] = {}

    async def write(number: int) -> None:
        stream = key(store, f"w{number}")
        head = genesis(stream)
        told[stream] = []
        for index in range(40):
            name = f"{number}-{index}"
            head = applied(await Retrying(store).append(note(stream, head, name)))
            told[stream].append(name)

    await asyncio.gather(*(write(number) for number in range(20)))
    return told


@pytest.mark.parametrize("seed", ["0", "1", "2", "3"])
async def test_under_every_fault_nothing_is_lost_or_doubled(seed: str) -> None:
    behind = MemoryStore()
    store = FaultyStore(behind, FaultPlan(seed))
    told = await load(store, seed)
    await store.settle()
    for stream, acknowledged in told.items():
        assert await names(behind, stream) == acknowledged
    bitten: set[Fault] = {"lost_request", "lost_answer", "late", "doubled", "full", "torn", "delay"}
    assert set(store.faults.counts) >= bitten


async def test_the_same_seed_deals_the_same_faults() -> None:
    async def faults(seed: str) -> dict[Fault, int]:
        store = FaultyStore(MemoryStore(), FaultPlan(seed))
        await load(store, seed)
        return store.faults.counts

    assert await faults("7") == await faults("7")
    assert await faults("7") != await faults("8")


def only(**chances: float) -> FaultPlan:
    none = dict.fromkeys(("lost_request", "lost_answer", "late", "full", "doubled", "torn", "unreadable", "delay"), 0.0)
    return FaultPlan(**{**none, **chances})  # type: ignore[arg-type]


@pytest.fixture
def behind() -> MemoryStore:
    return MemoryStore()


def first(store: EventStore) -> Append:
    return note(key(store, "a"), genesis(key(store, "a")), "first")


async def test_a_lost_request_is_not_applied(behind: MemoryStore) -> None:
    append = first(behind)
    assert isinstance(await FaultyStore(behind, only(lost_request=1.0)).append(append), Unknown)
    assert (await behind.head(append.stream)).seq == 0


async def test_a_lost_answer_is_applied(behind: MemoryStore) -> None:
    append = first(behind)
    assert isinstance(await FaultyStore(behind, only(lost_answer=1.0)).append(append), Unknown)
    assert (await behind.head(append.stream)).seq == 1


async def test_an_abandoned_append_lands_late(behind: MemoryStore) -> None:
    store = FaultyStore(behind, only(late=1.0))
    append = first(behind)
    assert isinstance(await store.append(append), Unknown)
    assert (await behind.head(append.stream)).seq == 0
    for _ in range(30):
        await store.head(append.stream)
    assert (await behind.head(append.stream)).seq == 1


async def test_a_doubled_append_conflicts_with_itself(behind: MemoryStore) -> None:
    store = FaultyStore(behind, only(doubled=1.0))
    append = first(behind)
    assert isinstance(await store.append(append), Conflicted)
    assert isinstance(await settle(store, append), Applied)


async def test_a_full_disk_takes_nothing_for_a_while(behind: MemoryStore) -> None:
    store = FaultyStore(behind, only(full=0.3))
    append = first(behind)
    while not isinstance(await store.append(append), Applied):
        assert (await behind.head(append.stream)).seq == 0
