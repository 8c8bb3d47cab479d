"""Chooses the engine of the journal: what streams, hints, snapshots, blobs and signs of life are kept in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TypeVar, cast

from outlast.adapters.aws.client import Place
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint, DynamoJournal
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.vault import vault
from outlast.cell.presence import Presence
from outlast.journal.blob import BlobStore
from outlast.journal.index import RunIndex
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import Append, EventStore
from outlast.kernel.error import ConfigurationError, StoreUnavailable, invariant
from outlast.kernel.point import Points

T = TypeVar("T")

EngineName = Literal["sqlite", "postgres", "dynamodb"]


class Journal(EventStore, RunIndex, SnapshotStore, Protocol):
    """Streams, and what is found and folded from them."""


@dataclass(frozen=True)
class Engine:
    """What one store, or several that belong together, give."""

    journal: Journal
    blobs: BlobStore
    presence: Presence | None = None
    """None: one host has it for itself."""


def is_shared(blueprint: Blueprint) -> bool:
    """Whether many machines use the journal at once, each process for itself, without a writing process between."""
    return blueprint.run_on.local.journal != "sqlite"


@asynccontextmanager
async def open_engine(
    home: Path, blueprint: Blueprint, points: Points, *, first: Lineage | None = None, write: bool = True
) -> AsyncGenerator[Engine]:
    """The engine that many machines share; a new journal begins with lineage `first`, or one of its own.

    `write` False: nothing is made or changed. Raises ConfigurationError, StoreUnavailable, StoreCorrupt.
    """
    chosen, where = blueprint.run_on.local.journal, blueprint.stores.journal
    if chosen == "postgres":
        async with _postgres(home, blueprint, points, first, write) as engine:
            yield engine
    else:
        invariant(chosen == "dynamodb", "SQLite is opened by whoever writes it, not as a shared engine")
        async with _dynamodb(_said(where.dynamodb), points, first) as engine:
            yield engine if write else replace(engine, journal=cast(Journal, ReadOnly(engine.journal)))


def _said(where: T | None) -> T:
    """The blueprint's own check demands it."""
    assert where is not None, "the blueprint chose an engine of which it says nothing"
    return where


@asynccontextmanager
async def _postgres(
    home: Path, blueprint: Blueprint, points: Points, first: Lineage | None, write: bool
) -> AsyncGenerator[Engine]:
    said, secrets = _said(blueprint.stores.journal.postgres), vault(blueprint)
    with _extra("postgres", "psycopg"):
        from outlast.adapters.postgres.engine import PostgresEngine, reading
        from outlast.adapters.postgres.options import PostgresOptions

    state = StateDirectory(home)
    options = PostgresOptions(
        url=await asyncio.to_thread(said.url.resolve, os.environ, home, secrets),
        schema=said.namespace,
        strong=said.strong,
        replicas=None if said.replicas is None else said.replicas.resolve(os.environ, home, secrets),
        memory=state.path / "postgres.json",
        first=first,
    )
    if not write:
        async with reading(options, OsRandomness()) as found:
            yield Engine(cast(Journal, ReadOnly(found.journal)), found.blobs, found.presence)
        return
    async with PostgresEngine.open(options, SystemClock(), OsRandomness(), points) as engine:
        yield Engine(engine.journal, engine.blobs, engine.presence)


def place_of(blueprint: Blueprint) -> Place:
    """Where the services of AWS are asked that the journal needs besides its own."""
    said = blueprint.stores.journal.dynamodb
    return Place() if said is None else Place(said.region, said.endpoint_url)


@asynccontextmanager
async def _dynamodb(said: DynamoJournal, points: Points, first: Lineage | None) -> AsyncGenerator[Engine]:
    from outlast.adapters.aws.engine import AwsEngine
    from outlast.adapters.aws.option import AwsOptions

    region = said.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigurationError("stores.journal.dynamodb has no region, and AWS_REGION is not set: write region: …")
    options = AwsOptions(said.table, said.bucket, region, said.endpoint_url, first=first)
    async with AwsEngine.open(options, SystemClock(), OsRandomness(), points) as engine:
        yield Engine(engine.journal, engine.blobs, engine.presence)


class ReadOnly:
    """The reading half of a journal, as one that refuses to be written."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def append(self, append: Append) -> NoReturn:
        """Raises StoreUnavailable."""
        raise StoreUnavailable(f"stream {append.stream}: the journal is open for reading only")

    async def save(self, snapshot: Snapshot) -> None:
        """Forget it: a snapshot can be made again at any time."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Nobody is told of growth here; look again."""
        return lambda: None


@contextmanager
def _extra(name: str, package: str) -> Generator[None]:
    """Raises ConfigurationError where the packages of an extra are missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ConfigurationError(f"this engine needs the extra: pip install 'outlast[{name}]'") from None
