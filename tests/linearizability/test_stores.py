"""Recorded concurrent histories of the real stores have an order that explains every answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from outlast.adapters.faulty.plan import FaultPlan
from outlast.adapters.faulty.store import FaultyStore
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.store import MemoryStore
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.store import SqliteStore
from outlast.drill.recorder import read_book
from outlast.drill.rival import Rivalry, compete, take_stock
from tests.adapters.sqlite.writing import WritingProcess
from tests.linearizability.history import Lines, assert_linearizable, recorded, seeds


async def test_memory_behind_every_fault_is_linearizable() -> None:
    for seed in seeds(10):
        behind = MemoryStore()
        store = FaultyStore(behind, FaultPlan(str(seed)))
        book = Lines()
        rivalry = Rivalry(seed)
        await compete(store, rivalry, SystemClock(), book)
        await store.settle()
        await take_stock(behind, rivalry, SystemClock(), book)
        assert assert_linearizable(read_book(book), seed).unknown


async def test_sqlite_in_the_process_is_linearizable(tmp_path: Path) -> None:
    with contextlib.closing(SqliteStore.open(tmp_path / "journal.sqlite", OsRandomness())) as store:
        for seed in seeds(3):
            assert_linearizable(await recorded(store, Rivalry(seed)), seed)


async def test_sqlite_in_the_process_behind_faults_is_linearizable(tmp_path: Path) -> None:
    with contextlib.closing(SqliteStore.open(tmp_path / "journal.sqlite", OsRandomness())) as behind:
        for seed in seeds(3):
            store = FaultyStore(behind, FaultPlan(str(seed)))
            book = Lines()
            rivalry = Rivalry(seed)
            await compete(store, rivalry, SystemClock(), book)
            await store.settle()
            await take_stock(behind, rivalry, SystemClock(), book)
            assert assert_linearizable(read_book(book), seed).unknown


async def test_a_writing_process_that_is_killed_again_and_again_is_linearizable(
    short_dir: Path, until: Callable[..., Awaitable[None]]
) -> None:
    """Two groups of clients, each on a connection of its own, while the process that writes comes and goes."""
    writer = WritingProcess(short_dir)
    try:
        writer.wait_until_ready()
        for seed in seeds(2):
            book = Lines()
            await _under_kills(writer, seed, book, until)
            assert assert_linearizable(read_book(book), seed).unknown, "no kill left an append unknown"
    finally:
        writer.stop()


async def _under_kills(writer: WritingProcess, seed: int, book: Lines, until: Callable[..., Awaitable[None]]) -> None:
    clock = SystemClock()
    stores = [await SqliteClient.open(writer.journal, writer.socket, clock=clock) for _ in range(2)]
    halves = [Rivalry(seed, clients=4, calls=250, first_client=4 * half) for half in range(2)]
    load = asyncio.gather(*(compete(store, half, clock, book) for store, half in zip(stores, halves, strict=True)))
    try:
        for kills in range(1, 5):
            await until(lambda due=kills * 200: len(book) > due or load.done(), 60, "more calls")
            writer.kill()
            writer.restart()
            await asyncio.to_thread(writer.wait_until_ready)
        await load
        await take_stock(stores[0], halves[0], clock, book)
    finally:
        load.cancel()
        for store in stores:
            store.close()
