"""Assembles a Platform from adapters, for each kind of process. Heavy adapters are imported where they are used."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.crash import crash_points
from outlast.adapters.host.lock import DirectoryLock
from outlast.adapters.host.randomness import OsRandomness
from outlast.agent.loss import tell_all
from outlast.agent.platform import Platform, Settings
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import Engine, is_shared, open_engine
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.pool import pooled_endpoint
from outlast.bootstrap.sealing import sealing
from outlast.journal.blob import BlobStore
from outlast.kernel.point import NoPoints, Points
from outlast.model.endpoint import Endpoint

tell_within_s = 5.0
"""How long a process that ends may take to tell runs what it found them to have lost."""
writer_within_s = 10.0
"""How long a process of a cell waits for the writer to answer for the first time."""


@asynccontextmanager
async def open_client_platform(
    home: Path,
    blueprint: Blueprint,
    *,
    points: Points | None = None,
    settings: Settings | None = None,
    wait_s: float = writer_within_s,
    complain: Callable[[str], None] | None = None,
) -> AsyncGenerator[Platform]:
    """The platform of a process of a cell. On SQLite it reads the journal's file itself and appends through the writer.

    `wait_s` is how long a writer may take to answer for the first time; `complain` as in `open_engine`. Raises
    StoreUnavailable if no writer, or no server, serves; StoreCorrupt, ConfigurationError.
    """
    state = StateDirectory(home)
    listening = points or crash_points(os.environ)
    async with AsyncExitStack() as stack:
        if is_shared(blueprint):
            engine = await stack.enter_async_context(open_engine(home, blueprint, listening, complain=complain))
        else:
            from outlast.adapters.sqlite.client import SqliteClient

            store = await SqliteClient.open(state.journal, state.socket, wait_s=wait_s, clock=SystemClock())
            stack.callback(store.close)
            engine = Engine(store, _blobs(state, listening))
        engine = await stack.enter_async_context(sealing(home, blueprint, engine))
        platform = _beside(state, engine, await _endpoints(blueprint, state.home, stack), listening, settings)
        stack.push_async_callback(_tell_rest, platform)
        yield platform


@asynccontextmanager
async def open_direct_platform(
    home: Path, blueprint: Blueprint, *, points: Points | None = None, settings: Settings | None = None
) -> AsyncGenerator[Platform]:
    """The platform of a process that has the state directory to itself: SQLite is written in this process.

    Raises Conflict that names the process that holds the directory; StoreUnavailable, StoreCorrupt, ConfigurationError.
    """
    state = StateDirectory(home)
    listening = points or crash_points(os.environ)
    async with AsyncExitStack() as stack:
        state.make()
        stack.callback(DirectoryLock(state.path).close)
        if is_shared(blueprint):
            engine = await stack.enter_async_context(open_engine(home, blueprint, listening))
        else:
            from outlast.adapters.sqlite.store import SqliteStore

            durability = blueprint.run_on.local.durability
            store = SqliteStore.open(state.journal, OsRandomness(), durability=durability, points=listening)
            stack.callback(store.close)
            engine = Engine(store, _blobs(state, listening))
        engine = await stack.enter_async_context(sealing(home, blueprint, engine))
        platform = _beside(state, engine, await _endpoints(blueprint, state.home, stack), listening, settings)
        stack.push_async_callback(_tell_rest, platform)
        yield platform


async def _tell_rest(platform: Platform) -> None:
    """What this process found to be lost, and nobody was told of yet: few processes know it."""
    if platform.losses.untold():
        with suppress(TimeoutError):  # the others of this host find it in losses.jsonl
            async with asyncio.timeout(tell_within_s):
                await tell_all(platform, logging.getLogger("outlast").warning)


def _blobs(state: StateDirectory, points: Points) -> BlobStore:
    from outlast.adapters.sqlite.blob import FileBlobs

    return FileBlobs(state.blobs, OsRandomness(), points)


def _beside(
    state: StateDirectory,
    engine: Engine,
    endpoints: Mapping[str, Endpoint],
    points: Points,
    settings: Settings | None,
) -> Platform:
    """On an engine, with the other processes of this host."""
    clock = SystemClock()
    return Platform(
        clock=clock,
        randomness=OsRandomness(),
        store=engine.journal,
        index=engine.journal,
        snapshots=engine.journal,
        blobs=engine.blobs,
        executors=HostExecutors(state.alive("worker"), clock),
        endpoints=endpoints,
        points=points,
        settings=settings or Settings(),
        losses=engine.losses,
    )


@asynccontextmanager
async def memory_platform(
    blueprint: Blueprint | None = None, *, points: Points | None = None, settings: Settings | None = None
) -> AsyncGenerator[Platform]:
    """A platform whose journal ends with the block: for tests and trying out."""
    from outlast.adapters.memory.blob import MemoryBlobs
    from outlast.adapters.memory.executor import MemoryExecutors
    from outlast.adapters.memory.store import MemoryStore

    clock = SystemClock()
    store = MemoryStore()
    async with AsyncExitStack() as stack:
        yield Platform(
            clock=clock,
            randomness=OsRandomness(),
            store=store,
            index=store,
            snapshots=store,
            blobs=MemoryBlobs(),
            executors=MemoryExecutors(),
            endpoints=await _endpoints(blueprint or Blueprint(), Path.cwd(), stack),
            points=points or NoPoints(),
            settings=settings or Settings(),
        )


async def _endpoints(blueprint: Blueprint, home: Path, stack: AsyncExitStack) -> Mapping[str, Endpoint]:
    endpoints = build_endpoints(blueprint, home)
    for endpoint in endpoints.values():
        stack.push_async_callback(endpoint.close)
    return endpoints


def build_endpoints(blueprint: Blueprint, home: Path) -> Mapping[str, Endpoint]:
    """What answers behind each model name. Where no model is configured at all, the scripted one answers to all."""
    if not blueprint.models:
        from outlast.adapters.scripted.endpoint import Scripted

        return _Anything(Scripted())
    return {
        name: pooled_endpoint(name, model, home, SystemClock(), OsRandomness())
        for name, model in blueprint.models.items()
    }


class _Anything(dict[str, Endpoint]):
    """Every name is known, and answered by the same stand-in."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(scripted=endpoint)

    def __missing__(self, name: str) -> Endpoint:
        return self["scripted"]

    def get(self, key: str, default: object = None) -> Endpoint:
        return self["scripted"]

    def __contains__(self, name: object) -> bool:
        return True
