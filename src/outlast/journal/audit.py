"""Is what the journal holds what was written? Reads everything, changes nothing, and stumbles over no damage.

What is checked: each stream's hash chain from its genesis; that each record says of itself where it stands; that no
stream ends before its anchored head, or elsewhere; that the blobs which events name are there and are what was stored;
that snapshots fit the chain; that the run index knows every run and its mail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from outlast.journal.anchor import AnchorStore
from outlast.journal.blob import BlobRef, BlobStore, references
from outlast.journal.chain import genesis, verify
from outlast.journal.index import RunEntry
from outlast.journal.removal import Removal, removed_streams
from outlast.journal.seal import Sealer, is_sealed, open_record
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Head, Readable, StoredRecord, StreamKey
from outlast.kernel.error import NotFound, StoreCorrupt, StoreError, UsageError

Damage = Literal["unreadable", "chain", "record", "truncated", "diverged", "blob", "snapshot", "index", "file"]
"""unreadable: it cannot be read at all · chain: bytes or order are not what was written · record: one that does not fit
its place · truncated: it ends before its anchored head · diverged: another history than the anchored one · blob:
missing or damaged · snapshot: damaged, or folded from another history · index: hints disagree · file: what the store
found."""

KINDS = ("run", "inbox", "session", "agent", "key", "removal")
_page = 500


class Flaw(msgspec.Struct, frozen=True):
    """One finding. `subject` is the stream, run, blob or file; `grave`: history or payloads are lost or altered.

    What is not grave heals by itself: hints and snapshots are made anew from the streams.
    """

    damage: Damage
    subject: str
    message: str
    grave: bool = True


class Report(msgspec.Struct):
    """What was read, and what was found. Filled as the audit goes on; `progress` is shown the same object."""

    streams: int = 0
    records: int = 0
    events: int = 0
    sealed: int = 0
    """Records whose events were not looked into, nor the blobs that they name: no keys were given."""
    blobs: int = 0
    snapshots: int = 0
    anchors: int = 0
    runs: int = 0
    removed: int = 0
    """Streams that retention removed, as is on record."""
    flaws: list[Flaw] = []
    flaws_dropped: int = 0
    """Findings beyond `flaws_max`."""

    @property
    def whole(self) -> bool:
        """Nothing grave was found."""
        return not any(flaw.grave for flaw in self.flaws)


flaws_max = 10_000
"""Bound of the findings that are kept; the first ones are."""


class Journal(Readable, Protocol):
    """What is audited: the reading half of EventStore, RunIndex and SnapshotStore."""

    async def load(self, stream: str) -> Snapshot | None: ...

    async def entry(self, run: str) -> RunEntry | None: ...


@runtime_checkable
class Sums(Protocol):
    """A journal that keeps a checksum with each snapshot."""

    async def damaged_snapshots(self) -> Sequence[tuple[str, str]]:
        """Stream and number of every snapshot that is not what was saved."""
        ...


class _Loose(msgspec.Struct):
    stream: str
    seq: int
    append_id: str
    events: list[dict[str, Any]] = []


_loose = msgspec.json.Decoder(_Loose)


async def audit(
    journal: Journal,
    blobs: BlobStore | None = None,
    anchors: AnchorStore | None = None,
    *,
    progress: Callable[[Report], None] | None = None,
    inspect: Callable[[], Sequence[str]] | None = None,
    sealer: Sealer | None = None,
    removed: Mapping[str, Removal] | None = None,
) -> Report:
    """Verify everything; never raises for what it finds. `progress` is called after each stream.

    `journal` and `blobs` are those that hold what is stored; the chain of sealed records is verified without a key.
    With the keys of `sealer` they are looked into too. The journal may be written meanwhile. `inspect` is the store's
    own check of its file: a line for each fault. `removed`: the streams that were let go, where `anchors` has forgotten
    already what was anchored of them.
    """
    report = Report()
    found: dict[str, Head] = {}
    if inspect is not None:
        try:
            for line in inspect():
                _add(report, Flaw("file", "journal", line))
        except StoreError as error:
            _add(report, Flaw("file", "journal", str(error)))
    anchored = await _anchored(anchors, report)  # read first: streams only grow, or are removed after it is on record
    heads = dict(anchored)
    seen_blobs: set[BlobRef] = set()
    async for stream in _streams(journal, report):
        head = await _stream(journal, blobs, stream, anchored.pop(stream, None), seen_blobs, report, sealer)
        if head is not None:
            found[stream] = head
        if progress is not None:
            progress(report)
    for stream, head in anchored.items():
        _add(report, Flaw("truncated", stream, f"it is gone; its anchored head is event {head.seq}"))
    await _let_go(journal, report, heads, found, removed or {})
    await _damaged_snapshots(journal, report)
    await _index(journal, found, report)
    if progress is not None:
        progress(report)
    return report


def _add(report: Report, flaw: Flaw) -> None:
    if len(report.flaws) < flaws_max:
        report.flaws.append(flaw)
    else:
        report.flaws_dropped += 1


async def _anchored(anchors: AnchorStore | None, report: Report) -> dict[str, Head]:
    if anchors is None:
        return {}
    try:
        heads = await anchors.all()
    except StoreError as error:
        _add(report, Flaw("file", "anchors", f"{error}; without anchors a shortened history does not show"))
        return {}
    report.anchors = len(heads)
    return heads


async def _removed(journal: Journal, report: Report) -> Mapping[str, Removal]:
    try:
        return await removed_streams(journal)
    except StoreError as error:
        _add(report, Flaw("unreadable", "removals", f"{error}; streams that were let go count as lost"))
        return {}


async def _let_go(
    journal: Journal,
    report: Report,
    heads: Mapping[str, Head],
    found: Mapping[str, Head],
    known: Mapping[str, Removal],
) -> None:
    """What was removed on purpose, perhaps while the audit went on, is no flaw."""
    removed = await _removed(journal, report)
    report.removed = len(removed)

    def is_excused(flaw: Flaw) -> bool:
        removal = removed.get(flaw.subject)
        if removal is None or removal == known.get(flaw.subject):
            return False
        anchor, end = heads[flaw.subject], found.get(flaw.subject)
        gone = end is None or end.seq == 0
        return anchor.hash.hex() == removal.hash or (gone and anchor.seq <= removal.seq)

    lacking = [flaw for flaw in report.flaws if flaw.damage in ("truncated", "diverged") and flaw.subject in heads]
    excused = {flaw for flaw in lacking if is_excused(flaw)}
    report.flaws = [flaw for flaw in report.flaws if flaw not in excused]


async def _streams(journal: Journal, report: Report) -> AsyncIterator[str]:
    for kind in KINDS:
        after = ""
        while True:
            try:
                page = await journal.streams(kind, after, _page)
            except StoreError as error:
                _add(report, Flaw("unreadable", f"streams of kind {kind}", str(error)))
                break
            for stream in page:
                yield stream
            if len(page) < _page:
                break
            after = page[-1]


async def _stream(
    journal: Journal,
    blobs: BlobStore | None,
    stream: str,
    anchor: Head | None,
    seen: set[BlobRef],
    report: Report,
    sealer: Sealer | None,
) -> Head | None:
    """Verify one stream; its end, or None if it is flawed."""
    report.streams += 1
    try:
        StreamKey.parse(stream)
        snapshot = await journal.load(stream)
    except UsageError as error:
        _add(report, Flaw("record", stream, str(error)))
        snapshot = None
    except StoreError as error:
        _add(report, Flaw("snapshot", stream, str(error), grave=False))
        snapshot = None
    head = genesis(stream)
    marks: dict[int, bytes] = {0: head.hash}
    try:
        while page := await journal.read(stream, head.seq, _page):
            head = verify(stream, page, head)
            for record in page:
                end = record.seq + record.count - 1
                if (anchor and end == anchor.seq) or (snapshot and end == snapshot.seq):
                    marks[end] = record.hash
                report.records += 1
                report.events += record.count
                for ref in _inside(stream, await _opened(stream, record, sealer, report), report):
                    await _blob(blobs, ref, stream, seen, report)
    except StoreCorrupt as error:
        _add(report, Flaw("chain", stream, str(error)))
        return None
    except StoreError as error:
        _add(report, Flaw("unreadable", stream, str(error)))
        return None
    _against_anchor(stream, head, anchor, marks, report)
    if snapshot is not None:
        _against_chain(snapshot, marks, report)
    return head


def _against_anchor(stream: str, head: Head, anchor: Head | None, marks: dict[int, bytes], report: Report) -> None:
    if anchor is None:
        return
    if head.seq < anchor.seq:
        message = f"it ends at event {head.seq}, its anchored head is event {anchor.seq}: events are lost"
        _add(report, Flaw("truncated", stream, message))
    elif marks.get(anchor.seq) != anchor.hash:
        message = f"at event {anchor.seq} it is another history than the one that was anchored"
        _add(report, Flaw("diverged", stream, message))


def _against_chain(snapshot: Snapshot, marks: dict[int, bytes], report: Report) -> None:
    report.snapshots += 1
    if marks.get(snapshot.seq) != snapshot.hash:
        message = f"its snapshot at event {snapshot.seq} was not folded from this history; readers ignore it"
        _add(report, Flaw("snapshot", snapshot.stream, message, grave=False))


async def _damaged_snapshots(journal: Journal, report: Report) -> None:
    if not isinstance(journal, Sums):
        return
    try:
        for stream, seq in await journal.damaged_snapshots():
            message = f"its snapshot at event {seq} is not what was saved; readers ignore it"
            _add(report, Flaw("snapshot", stream, message, grave=False))
    except StoreError as error:
        _add(report, Flaw("snapshot", "snapshots", f"{error}; readers do without them", grave=False))


async def _opened(stream: str, record: StoredRecord, sealer: Sealer | None, report: Report) -> StoredRecord:
    """The record as its writer made it, if there are keys; else as it is."""
    if sealer is not None and is_sealed(record):
        try:
            return await open_record(stream, record, sealer)
        except StoreCorrupt as error:
            _add(report, Flaw("record", stream, str(error)))
        except StoreError as error:
            _add(report, Flaw("unreadable", stream, str(error)))
    return record


def _inside(stream: str, record: StoredRecord, report: Report) -> Iterator[BlobRef]:
    """Check what a record says of itself; the blobs that its events name."""
    try:
        loose = _loose.decode(record.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _add(report, Flaw("record", stream, f"record {record.seq} cannot be read: {error}"))
        return
    sealed = is_sealed(record)
    report.sealed += sealed
    count = record.count if sealed else len(loose.events)
    if (loose.stream, loose.seq, count) != (stream, record.seq, record.count):
        message = f"record {record.seq} says that it is {loose.stream} {loose.seq} with {count} events"
        _add(report, Flaw("record", stream, message))
    if b'"sha256"' in record.body:
        yield from references(loose.events)


async def _blob(blobs: BlobStore | None, ref: BlobRef, stream: str, seen: set[BlobRef], report: Report) -> None:
    if blobs is None or ref in seen:
        return
    seen.add(ref)
    report.blobs += 1
    try:
        await blobs.get(ref)
    except NotFound:
        _add(report, Flaw("blob", ref.sha256, f"it is missing; an event of {stream} names it ({ref.size} bytes)"))
    except StoreError as error:
        _add(report, Flaw("blob", ref.sha256, f"{error}; an event of {stream} names it"))


async def _index(journal: Journal, found: dict[str, Head], report: Report) -> None:
    """Every run is in the index, and no inbox has mail that the index does not know."""
    try:
        for stream, head in found.items():
            key = StreamKey.parse(stream)
            if key.kind not in ("run", "inbox"):
                continue
            entry: RunEntry | None = await journal.entry(key.id)
            if key.kind == "run":
                report.runs += 1
                if entry is None:
                    _add(report, Flaw("index", key.id, "it is not in the index: it is not found by itself", False))
            elif entry is None or entry.mail < head.seq:
                known = 0 if entry is None else entry.mail
                message = f"its inbox holds {head.seq} events, the index knows of {known}"
                _add(report, Flaw("index", key.id, message, False))
    except StoreError as error:
        _add(report, Flaw("unreadable", "run index", str(error), False))
