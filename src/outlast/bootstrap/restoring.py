"""Restores a backup into a project directory, or into the shared store that its outlast.yaml names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.lock import DirectoryLock
from outlast.adapters.host.randomness import OsRandomness
from outlast.agent.platform import Platform
from outlast.blueprint.load import blueprint_file, load
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import Engine, Journal, is_shared, open_engine
from outlast.bootstrap.home import StateDirectory, write_whole
from outlast.bootstrap.migrating import check_rest
from outlast.bootstrap.sealing import open_sealer, sealing
from outlast.journal.copy import Copied
from outlast.journal.lineage import Lineage
from outlast.kernel.error import Conflict, StoreCorrupt
from outlast.kernel.point import NoPoints
from outlast.recover.catalog import Catalog
from outlast.recover.choice import Choice, choose, instant_text
from outlast.recover.contents import Contents, DepotBlobs
from outlast.recover.cut import Cut
from outlast.recover.depot import Depot
from outlast.recover.restore import Phase, Restore, Restored, Target, check_empty

restored_file = "outlast.yaml.restored"
"""What the configuration of the backup is called in a directory that has another one."""


class Order(msgspec.Struct, frozen=True):
    """What is restored: ``.outlast/restore.json`` while it is being done, ``.outlast/restored.json`` afterwards."""

    backup: str
    place: str
    at: float | None
    nothing_later: bool
    phase: Phase = "before"

    def same(self, other: Order) -> bool:
        """Whether it is the same restore, at whatever phase."""
        return msgspec.structs.replace(self, phase="before") == msgspec.structs.replace(other, phase="before")

    @property
    def name(self) -> str:
        """Names it in what is written."""
        return f"{self.backup} at {instant_text(self.at)}"


class Outcome(msgspec.Struct, frozen=True):
    """What was restored from which backup, in how many seconds, the audit included; whether it went on with an earlier
    attempt; where the configuration of then was written, if it was.
    """

    backup: str
    begun_at: float
    at: float | None
    restored: Restored
    took_s: float
    resumed: bool
    configuration: str = ""


class _Log:
    """How far a restore has come, on the disk; what was written before it is made durable first."""

    def __init__(self, state: StateDirectory, order: Order, made: Callable[[], None]) -> None:
        self._state = state
        self._order = order
        self._made = made
        write_whole(state.restoring, order)

    @property
    def phase(self) -> Phase:
        return self._order.phase

    def reach(self, phase: Phase) -> None:
        self._made()
        self._order = msgspec.structs.replace(self._order, phase=phase)
        write_whole(self._state.restoring, self._order)
        _sync(self._state.path)

    def end(self) -> None:
        """It is done: the store may be used."""
        self._state.restoring.replace(self._state.path / "restored.json")
        _sync(self._state.path)


async def restore(
    depot: Depot,
    home: Path,
    at: float | None,
    *,
    backup: str = "",
    nothing_later: bool = False,
    keys: tuple[Path, Blueprint] | None = None,
    progress: Callable[[Copied], None] = lambda copied: None,
) -> Outcome:
    """Restore into the empty store of project directory `home`, which is made if it is not there; one that broke off
    goes on. `at` is seconds since 1970, None the newest backup as it is. `keys`: another project, and its blueprint,
    whose engine and keys are used; default: this one's own.

    Raises Conflict if that store is not empty, is in use or another restore broke off there; NotFound, UsageError,
    StoreCorrupt, StoreSealed, StoreUnavailable, ConfigurationError.
    """
    clock = SystemClock()
    begun = clock.monotonic()
    state = StateDirectory(home)
    await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
    earlier = _earlier(state)
    catalog = await Catalog.read(depot)
    chosen = await choose(depot, catalog, at, backup or _same_backup(earlier, depot, at), nothing_later)
    order = Order(chosen.backup.id, depot.where, at, nothing_later)
    if earlier is not None and not earlier.same(order):
        raise Conflict(
            f"a restore of {earlier.name} from {earlier.place} broke off in {home}: do that one again, or remove "
            f"{state.path} (and what it wrote into a shared store) to begin anew"
        )
    owner, blueprint = keys or (home, load(home))
    async with AsyncExitStack() as stack:
        state.make(restoring=True)
        stack.callback(DirectoryLock(state.path).close)
        engine = await stack.enter_async_context(_opened(state, blueprint, chosen))
        if earlier is None:
            await check_empty(engine.journal)
        if engine.presence is not None:
            await check_rest(engine.presence)
        contents = Contents(depot, chosen.chain)
        whole = cast(Journal, Cut.whole(contents))
        sealer = await stack.enter_async_context(open_sealer(owner, blueprint, whole, write=False))
        cut = await Cut.make(contents, at, sealer, chosen.known)
        log = _Log(state, earlier or order, lambda: _sync_journal(state))
        restored = await Restore(
            cut, DepotBlobs(depot), cast(Target, engine.journal), engine.blobs,
            lambda: _seen(state, owner, blueprint, engine), log, clock, order.name,
            nothing_later=nothing_later, sealer=sealer, progress=progress,
        ).run()  # fmt: skip
        written = await _configuration(depot, chosen, home)
        log.end()
    return Outcome(
        chosen.backup.id, chosen.backup.begun_at, at, restored, clock.monotonic() - begun, earlier is not None, written
    )


def _earlier(state: StateDirectory) -> Order | None:
    """What broke off here. Raises StoreCorrupt."""
    try:
        return msgspec.json.decode(state.restoring.read_bytes(), type=Order)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreCorrupt(f"{state.restoring} cannot be read: {error}; remove {state.path} to begin anew") from None


def _same_backup(earlier: Order | None, depot: Depot, at: float | None) -> str:
    """The backup that an attempt which broke off began with, although there may be a newer one by now."""
    return earlier.backup if earlier is not None and (earlier.place, earlier.at) == (depot.where, at) else ""


@asynccontextmanager
async def _opened(state: StateDirectory, blueprint: Blueprint, chosen: Choice) -> AsyncGenerator[Engine]:
    """The store that is restored into; a new one begins with the lineage of the backup."""
    lineage = Lineage.parse(chosen.backup.lineage)
    if is_shared(blueprint):
        async with open_engine(state.home, blueprint, NoPoints(), first=lineage) as engine:
            _check_lineage(engine, lineage)
            yield engine
        return
    from outlast.adapters.sqlite.blob import FileBlobs
    from outlast.adapters.sqlite.store import SqliteStore

    # each phase is synced as a whole: until it is, a loss of power only means to do it again
    store = SqliteStore.open(state.journal, OsRandomness(), first=lineage, durability="process")
    try:
        engine = Engine(store, FileBlobs(state.blobs, OsRandomness()))
        _check_lineage(engine, lineage)
        yield engine
    finally:
        store.close()


def _check_lineage(engine: Engine, lineage: Lineage) -> None:
    found = engine.journal.lineage
    if found != lineage:
        raise Conflict(
            f"the store has lineage {found}, the backup {lineage}: restore into one that was not used or prepared yet"
        )


@asynccontextmanager
async def _seen(state: StateDirectory, owner: Path, blueprint: Blueprint, engine: Engine) -> AsyncGenerator[Platform]:
    """The target as agents see it: letters are sealed like all the rest."""
    clock = SystemClock()
    async with sealing(owner, blueprint, engine) as seen:
        yield Platform(
            clock=clock,
            randomness=OsRandomness(),
            store=seen.journal,
            index=seen.journal,
            snapshots=seen.journal,
            blobs=seen.blobs,
            executors=HostExecutors(state.alive("worker"), clock),
        )


async def _configuration(depot: Depot, chosen: Choice, home: Path) -> str:
    """Write the configuration of the backup beside, unless the directory has the same one."""
    ref = chosen.backup.configuration
    if ref is None:
        return ""
    content = await DepotBlobs(depot).get(ref)
    there = home / blueprint_file
    if there.exists() and there.read_bytes() == content:
        return ""
    target = home / restored_file
    target.write_bytes(content)
    return str(target)


def _sync_journal(state: StateDirectory) -> None:
    """Make durable what SQLite wrote without waiting."""
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        path = state.path / name
        if path.exists():
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
