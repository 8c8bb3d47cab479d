"""Chooses the engine of the journal: what streams, hints, snapshots, blobs and signs of life are kept in."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeVar, cast

from outlast.adapters.aws.client import Place
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.secret import Secret
from outlast.bootstrap.anchoring import Seen
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.vault import vault
from outlast.cell.courier import Courier
from outlast.cell.presence import Presence
from outlast.journal.blob import BlobStore
from outlast.journal.index import RunIndex
from outlast.journal.lineage import Lineage
from outlast.journal.loss import Losses
from outlast.journal.notice import Listener
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import Append, EventStore
from outlast.kernel.error import ConfigurationError, StoreUnavailable, invariant
from outlast.kernel.point import Points

if TYPE_CHECKING:
    from outlast.adapters.aws.option import AwsOptions
    from outlast.adapters.postgres.loss import LossReport
    from outlast.adapters.postgres.options import PostgresOptions

T = TypeVar("T")

_bell_hidden_s = 10.0
"""How long a notice that a host took is hidden from others: longer than looking at a run takes."""

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
    courier: Courier | None = None
    """What carries notices between processes, if the store does not."""
    losses: Losses = field(default_factory=Losses)
    """What this process finds missing of what was acknowledged."""


def is_shared(blueprint: Blueprint) -> bool:
    """Whether many machines use the journal at once, each process for itself, without a writing process between."""
    return blueprint.run_on.local.journal != "sqlite"


@asynccontextmanager
async def open_engine(
    home: Path,
    blueprint: Blueprint,
    points: Points,
    *,
    first: Lineage | None = None,
    write: bool = True,
    complain: Callable[[str], None] | None = None,
) -> AsyncGenerator[Engine]:
    """The engine that many machines share; a new journal begins with lineage `first`, or one of its own.

    `write` False: nothing is made or changed. `complain` gets a line where nothing can be written, and why; else it is
    a warning in the log. Raises ConfigurationError, StoreUnavailable, StoreCorrupt.
    """
    chosen = blueprint.run_on.local.journal
    if chosen == "postgres":
        async with _postgres(home, blueprint, points, first, write, complain or _warn) as engine:
            yield engine
    else:
        invariant(chosen == "dynamodb", "SQLite is opened by whoever writes it, not as a shared engine")
        async with _dynamodb(home, blueprint, points, first, write, complain or _warn) as engine:
            yield engine


def _said(where: T | None) -> T:
    """The blueprint's own check demands it."""
    assert where is not None, "the blueprint chose an engine of which it says nothing"
    return where


@asynccontextmanager
async def _postgres(
    home: Path,
    blueprint: Blueprint,
    points: Points,
    first: Lineage | None,
    write: bool,
    complain: Callable[[str], None],
) -> AsyncGenerator[Engine]:
    with _extra("postgres", "psycopg"):
        from outlast.adapters.postgres.engine import PostgresEngine, reading

    options = await postgres_options(home, blueprint, first)
    if not write:
        async with reading(options, OsRandomness()) as found:
            yield Engine(cast(Journal, ReadOnly(found.journal)), found.blobs, found.presence)
        return
    losses, seen = Losses(), Seen()
    opening = PostgresEngine.open(
        options, SystemClock(), OsRandomness(), points, lost=_lost, losses=losses, complain=complain, witness=seen
    )
    async with opening as engine, seen.carried(home, blueprint, engine.journal.lineage, complain):
        yield Engine(engine.journal, engine.blobs, engine.presence, losses=losses)


async def postgres_options(home: Path, blueprint: Blueprint, first: Lineage | None = None) -> PostgresOptions:
    """What the blueprint says of PostgreSQL, secrets included. Raises ConfigurationError."""
    from outlast.adapters.postgres.options import PostgresOptions

    said, secrets = _said(blueprint.stores.journal.postgres), vault(blueprint)

    def read(secret: Secret) -> str:
        return secret.resolve(os.environ, home, secrets)

    return PostgresOptions(
        url=await asyncio.to_thread(read, said.url),
        schema=said.namespace,
        strong=said.strong,
        replicas=None if said.replicas is None else await asyncio.to_thread(read, said.replicas),
        memory=StateDirectory(home).postgres,
        first=first,
    )


def _lost(report: LossReport) -> None:
    logging.getLogger("outlast").error("%s", report)


def _warn(line: str) -> None:
    logging.getLogger("outlast").warning("%s", line)


def place_of(blueprint: Blueprint) -> Place:
    """Where the services of AWS are asked that the journal needs besides its own."""
    said = blueprint.stores.journal.dynamodb
    return Place() if said is None else Place(said.region, said.endpoint_url)


def aws_options(blueprint: Blueprint, first: Lineage | None = None) -> AwsOptions:
    """What the blueprint says of DynamoDB and S3. Raises ConfigurationError."""
    from outlast.adapters.aws.option import AwsOptions

    said = _said(blueprint.stores.journal.dynamodb)
    region = said.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigurationError("stores.journal.dynamodb has no region, and AWS_REGION is not set: write region: …")
    return AwsOptions(said.table, said.bucket, region, said.endpoint_url, first=first)


@asynccontextmanager
async def _dynamodb(
    home: Path,
    blueprint: Blueprint,
    points: Points,
    first: Lineage | None,
    write: bool,
    complain: Callable[[str], None],
) -> AsyncGenerator[Engine]:
    from outlast.adapters.aws.engine import AwsEngine

    options, seen = aws_options(blueprint, first), Seen()
    async with AwsEngine.open(options, SystemClock(), OsRandomness(), points, witness=seen) as engine:
        if not write:
            yield Engine(cast(Journal, ReadOnly(engine.journal)), engine.blobs, engine.presence)
            return
        async with (
            seen.carried(home, blueprint, engine.journal.lineage, complain),
            _courier(blueprint, engine.journal) as courier,
        ):
            yield Engine(engine.journal, engine.blobs, engine.presence, courier)


@asynccontextmanager
async def _courier(blueprint: Blueprint, journal: Journal) -> AsyncGenerator[Courier | None]:
    """Sends what is appended here to the queue that wakes hosts, if there is one."""
    url = _said(blueprint.stores.journal.dynamodb).queue
    if url is None:
        yield None
        return
    from outlast.adapters.aws.sqs import SqsQueue

    queue = SqsQueue(url, place_of(blueprint), hidden_s=_bell_hidden_s)
    courier = Courier(queue, SystemClock(), OsRandomness(), logging.getLogger("outlast").warning)
    stop = journal.listen(courier.ring, steps=False)
    sending = asyncio.get_running_loop().create_task(courier.send())
    try:
        yield courier
    finally:
        stop()
        sending.cancel()
        await queue.close()


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
