"""Opens an engine for one process that is measured, and counts what was written to it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.agent.platform import Platform
from outlast.kernel.point import NoPoints

Kind = Literal["sqlite", "postgres", "dynamodb"]
region = "eu-central-1"


@dataclass(frozen=True)
class Written:
    """So far, by this process: records; items and units are DynamoDB's, its indexes included."""

    records: int
    items: int = 0
    units: float = 0.0


@dataclass(frozen=True)
class Opened:
    platform: Platform
    written: Callable[[], Awaitable[Written]]


@asynccontextmanager
async def opened(kind: Kind, where: str, directory: Path) -> AsyncGenerator[Opened]:
    """`where`: the folder of a journal with its writer's socket, a URL, or an emulator's address and a table's name."""
    if kind == "sqlite":
        async with _sqlite(where, directory) as found:
            yield found
    elif kind == "postgres":
        async with _postgres(where, directory) as found:
            yield found
    else:
        async with _dynamodb(where, directory) as found:
            yield found


def _platform(store: Any, blobs: Any, directory: Path) -> Platform:
    clock = SystemClock()
    return Platform(clock, OsRandomness(), store, store, store, blobs, HostExecutors(directory / "workers", clock))


@asynccontextmanager
async def _sqlite(where: str, directory: Path) -> AsyncGenerator[Opened]:
    import apsw

    from outlast.adapters.sqlite.blob import FileBlobs
    from outlast.adapters.sqlite.client import SqliteClient

    journal, socket = where.split("|")
    store = await SqliteClient.open(Path(journal), Path(socket), wait_s=30, clock=SystemClock())

    async def written() -> Written:
        database = apsw.Connection(journal, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return Written(int(str(database.execute("SELECT count(*) FROM record").fetchall()[0][0])))
        finally:
            database.close()

    try:
        yield Opened(_platform(store, FileBlobs(directory / "blobs", OsRandomness()), directory), written)
    finally:
        store.close()


@asynccontextmanager
async def _postgres(where: str, directory: Path) -> AsyncGenerator[Opened]:
    import psycopg

    from outlast.adapters.postgres.engine import PostgresEngine
    from outlast.adapters.postgres.options import PostgresOptions

    options = PostgresOptions(url=where, memory=directory / "memory" / "standing.json")

    async def written() -> Written:
        async with await psycopg.AsyncConnection.connect(where) as connection:
            cursor = await connection.execute("SELECT count(*) FROM outlast.record")
            ((count,),) = await cursor.fetchall()
            return Written(count)

    async with PostgresEngine.open(options, SystemClock(), OsRandomness()) as engine:
        yield Opened(_platform(engine.journal, engine.blobs, directory), written)


@asynccontextmanager
async def _dynamodb(where: str, directory: Path) -> AsyncGenerator[Opened]:
    from outlast.adapters.aws.engine import AwsEngine
    from outlast.adapters.aws.prepare import Preparation

    endpoint, table = where.split("|")
    unprotected = Preparation(deletion_protection=False, point_in_time_recovery=False, expiry=False)
    async with AwsEngine.open(
        aws_options(endpoint, table), SystemClock(), OsRandomness(), NoPoints(), preparation=unprotected
    ) as engine:

        async def written() -> Written:
            usage = engine.usage
            # moto counts one unit for a write of any size: what the published rule says is never undercut
            return Written(usage.appends, usage.writes, max(usage.all_write_units, usage.ruled_units))

        yield Opened(_platform(engine.journal, engine.blobs, directory), written)


def aws_options(endpoint: str, table: str) -> Any:
    """Where an emulator keeps it."""
    from outlast.adapters.aws.option import AwsOptions

    return AwsOptions(table, f"{table}-blobs", region, endpoint, read_timeout_s=30.0)


def short_directory() -> tempfile.TemporaryDirectory[str]:
    """One whose path fits a Unix socket."""
    return tempfile.TemporaryDirectory(prefix="ol-", dir="/tmp")
