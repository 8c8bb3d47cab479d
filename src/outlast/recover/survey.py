"""How far every stream has come, while the journal is being written.

The order is what makes it usable: a stream that names others is looked at before them, so whatever it names is there.
A session names its runs, a run the letters that it has read, all of them the keys that they are sealed with. Runs that
appear while runs are looked at are taken with their first record alone, which names nobody: a run that was continued as
a new one has its successor.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from outlast.journal.lineage import Lineage
from outlast.journal.stream import Head, Readable

kinds = ("session", "run", "inbox", "agent", "removal", "key")
_page = 500
_at_once = 64


class Source(Readable, Protocol):
    """What is backed up: the reading half of EventStore, of the store that holds what is stored."""

    @property
    def lineage(self) -> Lineage: ...

    async def head(self, stream: str) -> Head: ...


async def survey(source: Source) -> dict[str, Head]:
    """The end of each stream, in the order in which they were looked at. Raises StoreError."""
    found: dict[str, Head] = {}
    for kind in kinds:
        await _look(source, kind, found)
        if kind == "run":
            late: dict[str, Head] = {}
            await _look(source, kind, late, first_only=found)
            found |= late
    return found


async def _look(source: Source, kind: str, found: dict[str, Head], first_only: dict[str, Head] | None = None) -> None:
    """Add the streams of a kind; with `first_only`, those that are not in there, with their first record."""
    after = ""
    while page := await source.streams(kind, after, _page):
        after = page[-1]
        if first_only is not None:
            page = [stream for stream in page if stream not in first_only]
        for start in range(0, len(page), _at_once):
            streams = page[start : start + _at_once]
            heads = await asyncio.gather(*(_end(source, stream, first_only is not None) for stream in streams))
            found |= {stream: head for stream, head in zip(streams, heads, strict=True) if head.seq}


async def _end(source: Source, stream: str, first_only: bool) -> Head:
    if not first_only:
        return await source.head(stream)
    records = await source.read(stream, 0, 1)
    return Head(records[0].seq + records[0].count - 1, records[0].hash) if records else Head(0, b"")
