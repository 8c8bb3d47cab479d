"""Takes backups of a project's journal, beside a cell that runs or at rest."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.backup import Backup as Wanted
from outlast.blueprint.load import blueprint_file, read
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap import duty
from outlast.bootstrap.engine import Engine, Journal, ReadOnly, is_shared, open_engine
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.sealing import open_sealer
from outlast.journal.seal import Sealer
from outlast.kernel.error import ConfigurationError, NotFound
from outlast.kernel.point import NoPoints
from outlast.recover.backup import Backup, Progress, Terms
from outlast.recover.depot import Depot
from outlast.recover.manifest import Manifest
from outlast.recover.prune import keep_s

home_place = "home"
"""In ``places:`` of a backup: the first one."""


def wanted(blueprint: Blueprint) -> Wanted:
    """What the blueprint says of backups of the journal."""
    return blueprint.backup.get("journal") or Wanted()


def place_named(blueprint: Blueprint, place: str | None) -> str:
    """`place`, or that of the blueprint. Raises ConfigurationError if neither says one."""
    found = place or wanted(blueprint).places.get(home_place, "")
    if not found:
        raise ConfigurationError(
            "nothing says where backups lie: give --to PLACE (or --from PLACE), or write backup: {journal: {places: "
            "{home: PLACE}}} in outlast.yaml; PLACE is a directory or s3://bucket/prefix"
        )
    return found


def keep_seconds(blueprint: Blueprint) -> float:
    """How long backups are kept: `keep`, or `point_in_time`, or 35 days."""
    said = wanted(blueprint)
    return said.keep or said.point_in_time or keep_s


@asynccontextmanager
async def open_stored(home: Path, blueprint: Blueprint) -> AsyncGenerator[tuple[Engine, Sealer | None]]:
    """What a project's stores hold, as it is stored, for reading; and who opens what is sealed.

    Raises NotFound if nothing has run yet, StoreUnavailable, StoreCorrupt, ConfigurationError.
    """
    async with AsyncExitStack() as stack:
        if is_shared(blueprint):
            engine = await stack.enter_async_context(open_engine(home, blueprint, NoPoints(), write=False))
        else:
            from outlast.adapters.sqlite.blob import FileBlobs
            from outlast.adapters.sqlite.reader import SqliteReader

            state = StateDirectory(home)
            if not state.journal.exists():
                raise NotFound(f"nothing has run in {home} yet: there is nothing to back up")
            store = SqliteReader.open(state.journal)
            stack.callback(store.close)
            engine = Engine(cast(Journal, ReadOnly(store)), FileBlobs(state.blobs, OsRandomness()))
        yield engine, await stack.enter_async_context(open_sealer(home, blueprint, engine.journal, write=False))


def terms_of(home: Path, blueprint: Blueprint, full: bool) -> Terms:
    """How the blueprint wants a backup to be taken."""
    said = wanted(blueprint)
    return Terms(
        cell=blueprint.name,
        engine=blueprint.run_on.local.journal,
        outlast=importlib.metadata.version("outlast"),
        full=full,
        lock_s=said.lock or 0.0,
        chain_s=said.full_every or 0.0,
        lets_go=duty.keep_s(blueprint) is not None,
        configuration=read(home / blueprint_file) or b"",
    )


async def back_up(
    home: Path,
    blueprint: Blueprint,
    depot: Depot,
    *,
    full: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Take a backup now. Raises as `open_stored` and `Backup.take`."""
    async with open_stored(home, blueprint) as (engine, sealer):
        terms = terms_of(home, blueprint, full)
        return await Backup(
            engine.journal, engine.blobs, depot, SystemClock(), OsRandomness(), terms, sealer, progress
        ).take()
