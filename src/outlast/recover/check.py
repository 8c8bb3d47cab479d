"""Is what a depot holds what was written? Reads every object of every backup, and stumbles over no damage.

What is checked: each manifest's checksum and that it says where it stands; size and checksum of each index, segment and
blob; the hash chain of each part of a stream, from the stream's own genesis, so that one under another name shows; that
the parts which a segment holds are those that the index names, and follow each other from backup to backup.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import msgspec

from outlast.journal.audit import Damage, Flaw, flaws_max
from outlast.journal.blob import BlobRef
from outlast.kernel.error import NotFound, StoreCorrupt
from outlast.recover.catalog import Catalog, Chain
from outlast.recover.depot import Depot
from outlast.recover.manifest import Index, Manifest, Stored, blob_name, mark, mark_name, read_index, segment_name
from outlast.recover.segment import Extent, read_segment


class Checked(msgspec.Struct):
    """What was read, and what was found. Filled as it goes on; `progress` is shown the same object."""

    backups: int = 0
    segments: int = 0
    records: int = 0
    events: int = 0
    blobs: int = 0
    bytes: int = 0
    """Of objects that were read."""
    flaws: list[Flaw] = []
    flaws_dropped: int = 0

    @property
    def whole(self) -> bool:
        """Nothing grave was found."""
        return not any(flaw.grave for flaw in self.flaws)


class Check:
    """One look at a depot."""

    def __init__(self, depot: Depot, progress: Callable[[Checked], None] = lambda checked: None) -> None:
        self._depot = depot
        self._progress = progress
        self._blobs: set[BlobRef] = set()
        self.checked = Checked()

    async def run(self, ids: Sequence[str] = ()) -> Checked:
        """Look at all backups, or at those named and what they stand on. Raises StoreUnavailable, NotFound and
        UsageError for a name; never for what it finds.
        """
        catalog = await Catalog.read(self._depot)
        if not ids:
            await self._mark(bool(catalog.backups))
            for broken in catalog.broken:
                self._add("file", broken.name, broken.why)
            self._leftovers(catalog)
        wanted = {one.id for id in ids for one in self._chain(catalog, catalog.find(id))}
        chain = Chain([])
        for backup in catalog.backups:
            if ids and backup.id not in wanted:
                continue
            if backup.kind == "full":
                chain = Chain([])
            chain = await self._backup(catalog, backup, chain)
            self.checked.backups += 1
            self._progress(self.checked)
        return self.checked

    def _add(self, damage: Damage, subject: str, message: str, grave: bool = True) -> None:
        if len(self.checked.flaws) < flaws_max:
            self.checked.flaws.append(Flaw(damage, subject, message, grave))
        else:
            self.checked.flaws_dropped += 1

    def _chain(self, catalog: Catalog, backup: Manifest) -> list[Manifest]:
        try:
            return catalog.chain(backup)
        except StoreCorrupt as error:
            self._add("file", backup.id, str(error))
            return [backup]

    async def _mark(self, used: bool) -> None:
        try:
            if await self._depot.get(mark_name) != mark:
                self._add("file", mark_name, "it is not what was written")
        except NotFound:
            self._add("file", mark_name, "it is missing: is this where backups lie?", grave=used)

    def _leftovers(self, catalog: Catalog) -> None:
        """Segments that no manifest names: nobody counts them, but perhaps somebody removed the manifest."""
        named = {stored.name for backup in catalog.backups for stored in backup.segments}
        broken = tuple(one.name.removesuffix("manifest.json") for one in catalog.broken)
        left = [
            name
            for name in catalog.names
            if name.endswith(".segment") and name not in named and not (broken and name.startswith(broken))
        ]
        for where in sorted({name.rpartition("/")[0] for name in left}):
            message = "segments without a manifest: a backup that is being taken or broke off, or its manifest is gone"
            self._add("file", where, message, grave=False)

    async def _backup(self, catalog: Catalog, backup: Manifest, chain: Chain) -> Chain:
        """Look at one; the chain that it makes with those before."""
        self._chain(catalog, backup)
        if not self._stands(backup, chain):
            chain = Chain([])
        content = await self._object(backup.index)
        index: Index | None = None
        if content is not None:
            try:
                index = read_index(backup, content)
            except StoreCorrupt as error:
                self._add("file", backup.index.name, str(error))
        for stored in backup.segments:
            await self._segment(backup, stored, index)
        if index is None:
            return Chain([])
        if backup.kind == "full" or chain.backups:
            try:
                chain.add(backup, index)
                chain.backups.append(backup)
            except StoreCorrupt as error:
                self._add("chain", backup.id, str(error))
                chain = Chain([])
        for ref in (*index.blobs, *([backup.configuration] if backup.configuration is not None else ())):
            await self._blob(ref, backup)
        return chain

    def _stands(self, backup: Manifest, chain: Chain) -> bool:
        if backup.kind == "full":
            return True
        return bool(chain.backups) and chain.newest.number == backup.number - 1

    async def _segment(self, backup: Manifest, stored: Stored, index: Index | None) -> None:
        content = await self._object(stored)
        if content is None:
            return
        try:
            title, pieces = await asyncio.to_thread(read_segment, stored.name, content)
        except StoreCorrupt as error:
            self._add("chain", stored.name, str(error))
            return
        if segment_name(title.series, title.number, title.part) != stored.name:
            self._add("file", stored.name, f"it says that it is part {title.part} of {title.series}/{title.number}")
        extents = [piece.extent for piece in pieces]
        if index is not None and extents != [one for one in index.extents if one.part == title.part]:
            self._add("record", stored.name, _difference(extents, index, title.part))
        self.checked.segments += 1
        self.checked.records += sum(extent.records for extent in extents)
        self.checked.events += sum(extent.last - extent.first + 1 for extent in extents)

    async def _object(self, stored: Stored) -> bytes | None:
        try:
            content = await self._depot.get(stored.name)
            self.checked.bytes += len(content)
            return stored.check(content)
        except NotFound:
            self._add("file", stored.name, "it is missing")
        except StoreCorrupt as error:
            self._add("file", stored.name, str(error))
        return None

    async def _blob(self, ref: BlobRef, backup: Manifest) -> None:
        if ref in self._blobs:
            return
        self._blobs.add(ref)
        self.checked.blobs += 1
        try:
            content = await self._depot.get(blob_name(ref))
        except NotFound:
            self._add(
                "blob", ref.sha256, f"{blob_name(ref)} is missing; backup {backup.id} needs it ({ref.size} bytes)"
            )
            return
        self.checked.bytes += len(content)
        if (hashlib.sha256(content).hexdigest(), len(content)) != (ref.sha256, ref.size):
            self._add("blob", ref.sha256, f"{blob_name(ref)} is not what was written; backup {backup.id} needs it")


def _difference(found: Sequence[Extent], index: Index, part: int) -> str:
    expected = [one for one in index.extents if one.part == part]
    odd = [one.stream for one in found if one not in expected] or [one.stream for one in expected if one not in found]
    return f"its streams are not those that its backup names; the first that differs is {odd[0] if odd else 'none'}"
