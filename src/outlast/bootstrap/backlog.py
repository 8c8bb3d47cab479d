"""How far what happened is published: for whoever asks, beside a cell that runs or not."""

from __future__ import annotations

from pathlib import Path

import msgspec

from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.reading import open_reading_platform
from outlast.journal.index import ENDED
from outlast.journal.publication import cursor_stream
from outlast.journal.stream import StreamKey

runs_max = 20
"""So many of the newest runs are looked at: two reads of the store each."""
young_s = 30.0
"""A run that ended no longer ago may still be under way to the bus."""


class Backlog(msgspec.Struct, frozen=True):
    """Of the newest runs that have ended for a while: how many were looked at, which are not wholly published."""

    looked: int
    behind: tuple[str, ...]


async def backlog(home: Path, blueprint: Blueprint) -> Backlog:
    """Raises NotFound if nothing has run yet, StoreError, ConfigurationError."""
    async with open_reading_platform(home, blueprint) as platform:
        before = platform.clock.now() - young_s
        entries = await platform.index.list(limit=runs_max)
        ended = [entry.run for entry in entries if entry.state in ENDED and entry.updated_at <= before]
        behind: list[str] = []
        for run in ended:
            stream = str(StreamKey("run", run, platform.store.lineage))
            head = await platform.store.head(stream)
            cursor = await platform.snapshots.load(cursor_stream(stream))
            if cursor is None or cursor.seq < head.seq:
                behind.append(run)
        return Backlog(len(ended), tuple(behind))
