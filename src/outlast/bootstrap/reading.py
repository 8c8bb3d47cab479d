"""A platform that only reads: beside a cell that runs, or where nothing runs and nothing shall be changed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import NoReturn, cast

import msgspec

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.agent.platform import Platform
from outlast.blueprint.schema import Blueprint, Model
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.platform import build_endpoints
from outlast.journal.notice import Listener
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append
from outlast.kernel.error import NotFound, StoreUnavailable
from outlast.model.endpoint import Endpoint


class ReadingStore(SqliteReader):
    """Implements `EventStore`, `RunIndex` and `SnapshotStore` for one who never writes."""

    async def append(self, append: Append) -> NoReturn:
        """Raises StoreUnavailable."""
        raise StoreUnavailable(f"stream {append.stream}: the journal is open for reading only")

    async def save(self, snapshot: Snapshot) -> None:
        """Forget it: a snapshot can be made again at any time."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Nobody is told of growth here; look again."""
        return lambda: None


@contextlib.asynccontextmanager
async def open_reading_platform(home: Path, blueprint: Blueprint, *, models: bool = False) -> AsyncGenerator[Platform]:
    """Opens the journal's file for reading; changes nothing on disk. Raises NotFound if nothing has run yet,
    StoreUnavailable, StoreCorrupt, ConfigurationError.

    `models`: model names are known, for a rehearsal of code that asks them; nobody is asked, so no key is needed.
    """
    state = StateDirectory(home)
    if not state.journal.exists():
        raise NotFound(f"nothing has run in {home} yet: start something with `outlast run` or `outlast up`")
    clock, randomness = SystemClock(), OsRandomness()
    store = cast(ReadingStore, ReadingStore.open(state.journal))  # open() makes what it is called on
    endpoints: Mapping[str, Endpoint] = build_endpoints(_without_keys(blueprint), home) if models else {}
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        for endpoint in endpoints.values():
            stack.push_async_callback(endpoint.close)
        yield Platform(
            clock=clock,
            randomness=randomness,
            store=store,
            index=store,
            snapshots=store,
            blobs=FileBlobs(state.blobs, randomness),
            executors=HostExecutors(state.alive("worker"), clock),
            endpoints=endpoints,
        )


def _without_keys(blueprint: Blueprint) -> Blueprint:
    models: dict[str, Model] = {}
    for name, model in blueprint.models.items():
        endpoints = tuple(msgspec.structs.replace(endpoint, key=None) for endpoint in model.endpoints)
        fallback = msgspec.structs.replace(model.fallback, key=None) if model.fallback is not None else None
        models[name] = msgspec.structs.replace(model, endpoints=endpoints, fallback=fallback)
    return msgspec.structs.replace(blueprint, models=models)
