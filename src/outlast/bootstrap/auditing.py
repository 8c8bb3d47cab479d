"""Verifies a project's whole journal where it lies: beside a cell that runs, or at rest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.anchor import SqliteAnchors, beside, damaged
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.blueprint.load import load
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.anchoring import opened_anchors
from outlast.bootstrap.engine import Engine, Journal, ReadOnly, is_shared, open_engine
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.reading import open_reading_platform
from outlast.bootstrap.sealing import open_sealer
from outlast.journal.audit import Flaw, Report, audit
from outlast.journal.removal import Removal, removals, removed_streams
from outlast.journal.seal import Sealer
from outlast.journal.stream import StreamKey
from outlast.kernel.error import NotFound, StoreCorrupt, StoreError, StoreUnavailable
from outlast.kernel.point import NoPoints


async def audit_journal(home: Path, progress: Callable[[Report], None] | None = None) -> Report:
    """Read everything and say what is not as it was written. Damage of whatever kind stands in the report.

    On an engine that many machines share, what this host anchored is held against it, and what stands in S3 if the
    blueprint names a place there. Raises NotFound if nothing has run yet,
    StoreUnavailable if the journal is there and cannot be read now, ConfigurationError.
    """
    blueprint = load(home)
    if is_shared(blueprint):
        async with (
            open_engine(home, blueprint, NoPoints(), write=False) as engine,
            open_sealer(home, blueprint, engine.journal, write=False) as sealer,
        ):
            return await _audit_shared(home, blueprint, engine, sealer, progress)
    return await _audit_file(home, blueprint, progress)


async def removals_of(home: Path, run: str = "") -> list[Removal]:
    """What retention removed, oldest first; of one run, if it is named. Raises as `open_reading_platform`."""
    async with open_reading_platform(home, load(home)) as platform:
        return [
            removal
            async for removal in removals(platform.store)
            if not run or StreamKey.parse(removal.stream).id == run
        ]


async def _audit_shared(
    home: Path, blueprint: Blueprint, engine: Engine, sealer: Sealer | None, progress: Callable[[Report], None] | None
) -> Report:
    flaws: list[Flaw] = []
    try:
        removed = await removed_streams(engine.journal)
    except StoreError as error:
        flaws.append(Flaw("unreadable", "removals", f"{error}; streams that were let go count as lost"))
        removed = {}
    async with opened_anchors(home, blueprint, engine.journal.lineage, removed) as anchors:
        report = await audit(engine.journal, engine.blobs, anchors, removed=removed, progress=progress, sealer=sealer)
        flaws += [Flaw("file", "anchors", fault) for fault in anchors.faults]
        if anchors.segments == 0 and not any(flaw.subject == "anchors" for flaw in report.flaws):
            message = "no heads are anchored where this host looks: a shortened history does not show"
            flaws.append(Flaw("file", "anchors", message, grave=False))
    report.flaws = [*flaws, *report.flaws]
    return report


async def _audit_file(home: Path, blueprint: Blueprint, progress: Callable[[Report], None] | None) -> Report:
    state = StateDirectory(home)
    heads = beside(state.journal)
    if not state.journal.exists():
        if heads.exists():
            message = f"{state.journal} is gone, {heads.name} remembers what it held: restore it from a backup"
            return Report(flaws=[Flaw("file", "journal", message)])
        raise NotFound(f"nothing has run in {home} yet: there is nothing to verify")
    async with contextlib.AsyncExitStack() as stack:
        try:
            store = SqliteReader.open(state.journal)
        except StoreCorrupt as error:
            return Report(flaws=[Flaw("file", "journal", str(error))])
        stack.callback(store.close)
        flaws: list[Flaw] = []
        anchors: SqliteAnchors | None = None
        try:
            anchors = SqliteAnchors.open_readable(heads)
            stack.callback(anchors.close)
        except (StoreCorrupt, StoreUnavailable) as error:
            flaws.append(Flaw("file", "anchors", f"{error}; without anchors a shortened history does not show"))
        if damaged(heads).exists():
            message = f"a damaged file was put aside as {damaged(heads)}: look why, then remove it"
            flaws.append(Flaw("file", "anchors", message, grave=False))
        blobs = FileBlobs(state.blobs, OsRandomness())
        journal = cast(Journal, ReadOnly(store))
        sealer = await stack.enter_async_context(open_sealer(home, blueprint, journal, write=False))
        report = await audit(store, blobs, anchors, progress=progress, inspect=store.inspect, sealer=sealer)
    report.flaws = [*flaws, *report.flaws]
    return report
