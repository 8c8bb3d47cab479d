"""Which backups a depot holds, and which of them stand on which."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from outlast.journal.blob import BlobRef
from outlast.journal.stream import Head
from outlast.kernel.error import NotFound, StoreCorrupt
from outlast.recover.depot import Depot
from outlast.recover.manifest import (
    Index,
    Manifest,
    directory,
    mark,
    mark_name,
    parse_id,
    place_of,
    read_index,
    read_manifest,
)
from outlast.recover.segment import Extent

at_once = 16
"""Objects of a depot that are asked for at the same time."""


class Broken(msgspec.Struct, frozen=True):
    """A manifest that cannot be read, and why."""

    name: str
    why: str


class Catalog:
    """The backups of a depot, by series and number; those whose manifest cannot be read are named in `broken`."""

    def __init__(self, backups: Sequence[Manifest], broken: Sequence[Broken] = (), names: Sequence[str] = ()) -> None:
        self.backups = sorted(backups, key=lambda one: (one.series, one.number))
        self.broken = list(broken)
        self.names = names
        """Every object that was in the depot when it was listed."""

    @classmethod
    async def read(cls, depot: Depot) -> Catalog:
        """Raises StoreUnavailable, ConfigurationError for a later release's format."""
        names = await depot.names()
        return await cls._of(depot, names, [name for name in names if place_of(name) is not None])

    @classmethod
    async def latest(cls, depot: Depot) -> Catalog:
        """Only the newest chain of each series: what the next backup needs to know. Raises as `read`."""
        names = await depot.names()
        found = cls([], names=names)
        by_series: dict[str, list[str]] = {}
        for name in names:
            place = place_of(name)
            if place is not None:
                by_series.setdefault(place[0], []).append(name)
        for manifests in by_series.values():
            while manifests:
                some = [manifests.pop() for _ in range(min(at_once, len(manifests)))]
                part = await cls._of(depot, names, some)
                found = cls(found.backups + part.backups, found.broken + part.broken, names)
                if any(one.kind == "full" for one in part.backups):
                    break
        return found

    @classmethod
    async def _of(cls, depot: Depot, names: Sequence[str], manifests: Sequence[str]) -> Catalog:
        asked = asyncio.Semaphore(at_once)

        async def one(name: str) -> Manifest | Broken:
            async with asked:
                try:
                    return read_manifest(name, await depot.get(name))
                except (StoreCorrupt, NotFound) as error:
                    return Broken(name, str(error))

        found = await asyncio.gather(*(one(name) for name in manifests))
        backups = [each for each in found if isinstance(each, Manifest)]
        return cls(backups, [each for each in found if isinstance(each, Broken)], names)

    def newest(self) -> Manifest | None:
        """The one that was begun last."""
        return max(self.backups, key=lambda one: (one.begun_at, one.series, one.number), default=None)

    def of(self, series: str) -> list[Manifest]:
        """The backups of a series, in order."""
        return [one for one in self.backups if one.series == series]

    def find(self, id: str) -> Manifest:
        """The backup with this identifier. Raises NotFound, UsageError, StoreCorrupt if its manifest is."""
        series, number = parse_id(id)
        for one in self.backups:
            if (one.series, one.number) == (series, number):
                return one
        for broken in self.broken:
            if broken.name.startswith(directory(series, number)):
                raise StoreCorrupt(f"backup {id} cannot be used: {broken.why}")
        raise NotFound(f"there is no backup {id}: `outlast backup list` shows what there is")

    def chain(self, backup: Manifest) -> list[Manifest]:
        """The full backup that `backup` stands on, and all up to itself. Raises StoreCorrupt if one is missing."""
        by_number = {one.number: one for one in self.of(backup.series)}
        chain = [backup]
        while chain[0].kind != "full":
            before = by_number.get(chain[0].number - 1)
            if before is None:
                raise StoreCorrupt(
                    f"backup {backup.id} cannot be used: {backup.series}/{chain[0].number - 1}, on which it stands, is "
                    "missing or cannot be read"
                )
            chain.insert(0, before)
        return chain

    def check_found(self, depot: Depot) -> Manifest:
        """The newest backup. Raises NotFound if there is none."""
        newest = self.newest()
        if newest is None:
            broken = f"; {len(self.broken)} manifests there cannot be read" if self.broken else ""
            raise NotFound(f"there is no complete backup in {depot.where}{broken}: take one with `outlast backup`")
        return newest


async def mark_depot(depot: Depot) -> None:
    """Say what the depot holds; any number of times. Raises Conflict if it says something else."""
    await depot.put(mark_name, mark)


class Chain:
    """What a backup holds together with those it stands on: for each stream its parts, in order."""

    def __init__(self, backups: Sequence[Manifest]) -> None:
        self.backups = list(backups)
        self.parts: dict[str, list[tuple[Manifest, Extent]]] = {}
        self.blobs: set[BlobRef] = set()

    @classmethod
    async def read(cls, depot: Depot, backups: Sequence[Manifest]) -> Chain:
        """`backups` as `Catalog.chain` gives them. Raises StoreCorrupt, NotFound, StoreUnavailable."""
        chain = cls(backups)
        for backup in backups:
            try:
                content = await depot.get(backup.index.name)
            except NotFound:
                raise StoreCorrupt(f"backup {backup.id} cannot be used: {backup.index.name} is missing") from None
            chain.add(backup, read_index(backup, content))
        return chain

    @property
    def newest(self) -> Manifest:
        """The backup itself."""
        return self.backups[-1]

    def add(self, backup: Manifest, index: Index) -> None:
        """One more. Raises StoreCorrupt if a stream does not go on where it ended."""
        for stream in index.gone:
            self.parts.pop(stream, None)
        for extent in index.extents:
            parts = self.parts.setdefault(extent.stream, [])
            follows = parts[-1][1].ends if parts else None
            if (follows is None and extent.first != 1) or (follows is not None and extent.begins != follows):
                raise StoreCorrupt(
                    f"backup {backup.id}: stream {extent.stream} goes on at event {extent.first}, which does not "
                    f"follow event {follows.seq if follows else 0} of those before"
                )
            parts.append((backup, extent))
        self.blobs.update(index.blobs)

    def heads(self) -> dict[str, Head]:
        """The end of each stream."""
        return {stream: parts[-1][1].ends for stream, parts in self.parts.items()}


async def readable_chain(depot: Depot, catalog: Catalog, backup: Manifest) -> tuple[Chain | None, str]:
    """What a backup stands on, or None and why it cannot be read. Raises StoreUnavailable."""
    try:
        return await Chain.read(depot, catalog.chain(backup)), ""
    except StoreCorrupt as error:
        return None, str(error)
