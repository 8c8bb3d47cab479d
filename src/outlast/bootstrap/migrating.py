"""Moves a project's journal from one engine to another. Nothing may run on either meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.lock import DirectoryLock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.run_on import Local, RunOn
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import Engine, EngineName, open_engine
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.sealing import open_sealer
from outlast.cell.presence import Presence
from outlast.journal.audit import Report, audit
from outlast.journal.copy import Copied, Copy
from outlast.journal.lineage import Lineage
from outlast.kernel.error import ConfigurationError, Conflict, NotFound
from outlast.kernel.point import NoPoints

watch_s = 3.0
"""How long signs of life of other hosts are watched for before a shared journal counts as at rest."""


class Migrated(msgspec.Struct, frozen=True):
    """What was copied, and what the audit of the target found."""

    copied: Copied
    report: Report


async def migrate(
    home: Path,
    blueprint: Blueprint,
    source: EngineName,
    target: EngineName,
    progress: Callable[[Copied], None] = lambda copied: None,
) -> Migrated:
    """Copy everything, and verify the copy. Again after it broke off, it goes on there.

    Raises Conflict if something runs on either engine or the target holds another history, ConfigurationError if the
    blueprint does not say where one of them is, NotFound if there is nothing to copy, StoreUnavailable, StoreCorrupt.
    """
    if source == target:
        raise ConfigurationError(f"--from and --to are both {source}: name two engines")
    state = StateDirectory(home)
    async with AsyncExitStack() as stack:
        state.make()
        stack.callback(DirectoryLock(state.path).close)
        old = await stack.enter_async_context(_opened(state, blueprint, source, None))
        new = await stack.enter_async_context(_opened(state, blueprint, target, old.journal.lineage))
        for engine in (old, new):
            if engine.presence is not None:
                await check_rest(engine.presence)
        sealer = await stack.enter_async_context(open_sealer(home, blueprint, old.journal, write=False))
        copy = Copy(old.journal, new.journal, old.blobs, new.blobs, SystemClock(), progress, sealer)
        return Migrated(await copy.run(), await audit(new.journal, new.blobs, sealer=sealer))


@asynccontextmanager
async def _opened(
    state: StateDirectory, blueprint: Blueprint, name: EngineName, first: Lineage | None
) -> AsyncGenerator[Engine]:
    """`first` None: to be read; else to be written, and to begin with that lineage if it is new."""
    if name != "sqlite":
        chosen = msgspec.structs.replace(blueprint, run_on=RunOn(Local(journal=name)))
        if getattr(blueprint.stores.journal, name) is None:
            raise ConfigurationError(
                f"outlast.yaml does not say where {name} is: write stores: {{journal: {{{name}: …}}}}"
            )
        async with open_engine(state.home, chosen, NoPoints(), first=first) as engine:
            yield engine
        return
    from outlast.adapters.sqlite.blob import FileBlobs
    from outlast.adapters.sqlite.store import SqliteStore

    if first is None and not state.journal.exists():
        raise NotFound(f"nothing has run in {state.home} yet: there is no SQLite journal to copy")
    store = SqliteStore.open(
        state.journal, OsRandomness(), first=first, durability=blueprint.run_on.local.durability
    )
    try:
        yield Engine(store, FileBlobs(state.blobs, OsRandomness()))
    finally:
        store.close()


async def check_rest(presence: Presence) -> None:
    """Raises Conflict if a host gives signs of life."""
    before = {beat.host: beat.count for beat in await presence.all()}
    if before:
        await SystemClock().sleep(watch_s)
    for beat in await presence.all():
        if beat.count != before.get(beat.host):
            raise Conflict(f"host {beat.host} works on this journal: stop its `outlast up` first")
