"""What the product's audit makes of what a simulation left: nothing of what is whole, and of damage what it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from outlast.journal.audit import Report, audit
from outlast.journal.blob import BlobRef
from outlast.journal.index import RunEntry
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import StoredRecord
from outlast.simulation.disk import Disk

_NAMED = re.compile(rb'"blob":\{"sha256":"([0-9a-f]{64})","size":(\d+)\}')


async def examine(disk: Disk) -> list[str]:
    """A line for each thing that the audit should have said and did not, or the other way round."""
    lines: list[str] = []
    report = await _audited(disk)
    if disk.anchors.damaged:
        if not any(flaw.damage == "file" and flaw.grave for flaw in report.flaws):
            lines.append("anchors are damaged, and the audit does not say so")
        disk.anchors.renew()
        await disk.anchors.note((stream, disk.head(stream)) for stream in disk.contents())
        report = await _audited(disk)
    lines += [f"{flaw.damage} {flaw.subject}: {flaw.message}" for flaw in report.flaws if flaw.grave]
    cut = next((stream for stream, head in (await disk.anchors.all()).items() if head == disk.head(stream)), "")
    if cut and ("truncated", cut) not in _found(await _audited(disk, cut)):
        lines.append(f"{cut} lost its last record, which was anchored, and the audit does not say so")
    ref = _named(disk)
    if ref is not None:
        content = disk.blob_contents()[ref.sha256]
        disk.blobs.damage(ref, content[:-1])
        if ("blob", ref.sha256) not in _found(await _audited(disk)):
            lines.append(f"blob {ref.sha256} lost its last byte, and the audit does not say so")
        disk.blobs.damage(ref, content)
    return lines


async def _audited(disk: Disk, cut: str = "") -> Report:
    return await audit(_Journal(disk, cut), disk.blobs, disk.anchors)


def _named(disk: Disk) -> BlobRef | None:
    """A blob that an event names."""
    for records in disk.contents().values():
        for record in records:
            found = _NAMED.search(record.body)
            if found is not None:
                return BlobRef(found[1].decode(), int(found[2]))
    return None


def _found(report: Report) -> set[tuple[str, str]]:
    return {(flaw.damage, flaw.subject) for flaw in report.flaws}


class _Journal:
    """What is audited; the stream `cut` has lost its last record."""

    def __init__(self, disk: Disk, cut: str) -> None:
        self._store = disk.store
        self._cut = cut

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        records = await self._store.read(stream, after, limit)
        if stream != self._cut:
            return records
        last = self._store.end(stream)
        return [record for record in records if record.seq + record.count - 1 < last.seq]

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return await self._store.streams(kind, after, limit)

    async def load(self, stream: str) -> Snapshot | None:
        return await self._store.load(stream)

    async def damaged_snapshots(self) -> Sequence[tuple[str, str]]:
        return []

    async def entry(self, run: str) -> RunEntry | None:
        return await self._store.entry(run)
