"""A platform that only reads: beside a cell that runs, or where nothing runs and nothing shall be changed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.agent.platform import Platform
from outlast.blueprint.model import Model
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import Engine, Journal, ReadOnly, is_shared, open_engine
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.platform import build_endpoints
from outlast.bootstrap.sealing import sealing
from outlast.kernel.error import NotFound
from outlast.kernel.point import NoPoints
from outlast.model.endpoint import Endpoint


@contextlib.asynccontextmanager
async def open_reading_platform(home: Path, blueprint: Blueprint, *, models: bool = False) -> AsyncGenerator[Platform]:
    """Opens the journal for reading; changes nothing in it. Raises NotFound if nothing has run yet, StoreUnavailable,
    StoreCorrupt, ConfigurationError.

    `models`: model names are known, for a rehearsal of code that asks them; nobody is asked, so no key is needed.
    """
    state = StateDirectory(home)
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        if is_shared(blueprint):
            engine = await stack.enter_async_context(open_engine(home, blueprint, NoPoints(), write=False))
        else:
            engine = _of_file(state, stack)
        engine = await stack.enter_async_context(sealing(home, blueprint, engine, write=False))
        endpoints: Mapping[str, Endpoint] = build_endpoints(_without_keys(blueprint), home) if models else {}
        for endpoint in endpoints.values():
            stack.push_async_callback(endpoint.close)
        yield Platform(
            clock=clock,
            randomness=OsRandomness(),
            store=engine.journal,
            index=engine.journal,
            snapshots=engine.journal,
            blobs=engine.blobs,
            executors=HostExecutors(state.alive("worker"), clock),
            endpoints=endpoints,
        )


def _of_file(state: StateDirectory, stack: contextlib.AsyncExitStack) -> Engine:
    if not state.journal.exists():
        raise NotFound(f"nothing has run in {state.home} yet: start something with `outlast run` or `outlast up`")
    store = SqliteReader.open(state.journal)
    stack.callback(store.close)
    return Engine(cast(Journal, ReadOnly(store)), FileBlobs(state.blobs, OsRandomness()))


def _without_keys(blueprint: Blueprint) -> Blueprint:
    models: dict[str, Model] = {}
    for name, model in blueprint.models.items():
        endpoints = tuple(msgspec.structs.replace(endpoint, key=None) for endpoint in model.endpoints)
        fallback = msgspec.structs.replace(model.fallback, key=None) if model.fallback is not None else None
        models[name] = msgspec.structs.replace(model, endpoints=endpoints, fallback=fallback)
    return msgspec.structs.replace(blueprint, models=models)
