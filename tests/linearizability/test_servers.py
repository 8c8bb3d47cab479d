"""Recorded concurrent histories on real servers, while what carries them is cut and killed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Preparation
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.options import PostgresOptions
from outlast.drill.recorder import read_book
from outlast.drill.rival import Rivalry, compete, take_stock
from outlast.journal.stream import EventStore
from outlast.kernel.point import NoPoints
from tests.linearizability.history import Lines, assert_linearizable, seeds
from tests.servers.microburst import microburst
from tests.servers.ministack import ministack
from tests.servers.postgres import PostgresServer, running

CLIENTS = 4


async def compete_on(stores: Sequence[EventStore], seed: int, calls: int, book: Lines) -> None:
    """Every store carries some of the clients; the streams are the same for all."""
    clock = SystemClock()
    parts = [Rivalry(seed, CLIENTS, calls=calls, first_client=CLIENTS * part) for part in range(len(stores))]
    async with asyncio.TaskGroup() as group:
        for store, part in zip(stores, parts, strict=True):
            group.create_task(compete(store, part, clock, book))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running() as server:
        yield server


@contextlib.asynccontextmanager
async def engines(url: str, count: int) -> AsyncIterator[list[EventStore]]:
    """As many hosts would: each with connections and caches of its own."""
    async with contextlib.AsyncExitStack() as stack:
        found: list[EventStore] = []
        for number in range(count):
            options = PostgresOptions(url=url, application=f"rival{number}", answer_s_max=5.0)
            engine = await stack.enter_async_context(PostgresEngine.open(options, SystemClock(), OsRandomness()))
            found.append(engine.journal)
        yield found


async def test_postgres_is_linearizable(server: PostgresServer) -> None:
    for seed in seeds(2):
        book = Lines()
        async with engines(server.create_database(f"calm{seed}"), 2) as stores:
            await compete_on(stores, seed, 120, book)
            await take_stock(stores[0], Rivalry(seed), SystemClock(), book)
        assert_linearizable(read_book(book), seed)


@pytest.mark.slow
async def test_postgres_whose_backends_are_killed_is_linearizable(server: PostgresServer) -> None:
    for seed in seeds(2):
        book = Lines()
        database = f"killed{seed}"
        async with engines(server.create_database(database), 2) as stores:
            load = asyncio.ensure_future(compete_on(stores, seed, 300, book))
            try:
                kills = await _kill_backends(server, database, load, book)
                await load
            finally:
                load.cancel()
            await take_stock(stores[0], Rivalry(seed), SystemClock(), book)
        judged = assert_linearizable(read_book(book), seed)
        assert kills > 3
        assert judged.unknown, "no kill left an append unknown"


async def _kill_backends(server: PostgresServer, database: str, load: asyncio.Future[None], book: Lines) -> int:
    """Terminate the backends of the database again and again while calls are made; how many."""
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle'"
    kills = 0
    async with await psycopg.AsyncConnection.connect(server.url("postgres"), autocommit=True) as control:
        due = 60
        while not load.done():
            if len(book) < due:
                await asyncio.wait([load], timeout=0.002)
                continue
            killed = (await control.execute(kill, (database,))).rowcount
            kills += killed
            due += 60 if killed else 0  # at a moment in which nobody was at work, nobody was hit
    return kills


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_dynamodb_behind_faults_is_linearizable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On ministack, with answers lost and servers failing on the way."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    with ministack(tmp_path) as address, microburst(address, tmp_path) as faults:
        for seed in seeds(1):
            faults.set()
            options = AwsOptions(f"rivals{seed}", f"rivals{seed}", "eu-central-1", faults.address)
            bare = Preparation(deletion_protection=False, point_in_time_recovery=False, expiry=False)
            book = Lines()
            async with contextlib.AsyncExitStack() as stack:
                opened = [
                    await stack.enter_async_context(
                        AwsEngine.open(options, SystemClock(), OsRandomness(), NoPoints(), preparation=bare)
                    )
                    for _ in range(2)
                ]
                stores: list[EventStore] = [engine.journal for engine in opened]
                lost = {"response": {"abort_frac": 0.0}, "sequence": {"fail": 1, "pass": 12}}
                failed = {"error": {"code": "InternalServerError", "status": 500}, "sequence": {"fail": 1, "pass": 17}}
                faults.set(*({"operation": "PutItem", **fault} for fault in (lost, failed)))
                await compete_on(stores, seed, 40, book)
                assert faults.fired()
                faults.set()
                await take_stock(stores[0], Rivalry(seed), SystemClock(), book)
            assert_linearizable(read_book(book), seed)
