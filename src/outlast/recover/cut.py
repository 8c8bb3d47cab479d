"""A journal as it was at an instant: of each stream all events up to the last one that was written by then.

Times are those that records bear, by the clocks of who wrote them. The last record of a stream with such a time ends
it, and what stands before that stays, whatever time it bears: nothing that any writer wrote by that instant, by its own
clock, is missing. Two things go further. Keys are taken whole: they open what else there is. An inbox reaches at least
as far as its run has read it, or a letter that is written anew would bear the number of one that was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.agent.ending import state_of
from outlast.journal.index import RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.record import Envelope
from outlast.journal.seal import Sealer, is_sealed, open_record
from outlast.journal.stream import Head, StoredRecord, StreamKey
from outlast.kernel.error import StoreCorrupt, StoreSealed
from outlast.recover.contents import Contents
from outlast.recover.segment import at_of

_ENDS = {member.__struct_config__.tag for member in ev.RunEnd.__args__}


class Unfinished(msgspec.Struct, frozen=True):
    """A run that had not ended, or had not begun, at the instant.

    Its history is kept up to event `kept` (0: it had not begun), its inbox up to `inbox_kept`; `known` and
    `inbox_known` is how far they are known to have come later.
    """

    run: str
    kept: int
    known: int
    inbox_kept: int
    inbox_known: int

    @property
    def went_on(self) -> bool:
        """Whether something is known that it did, or was told, later."""
        return self.known > self.kept or self.inbox_known > self.inbox_kept


class _Loose(msgspec.Struct):
    events: list[dict[str, Any]]


_loose = msgspec.json.Decoder(_Loose)


class Cut:
    """The reading half of a journal (`journal/copy.py`: Source). Made by `make`."""

    def __init__(self, contents: Contents, at: float | None, sealer: Sealer | None, known: dict[str, Head]) -> None:
        self._contents = contents
        self._sealer = sealer
        self.at = at
        """The instant, seconds since 1970; None: all that there is."""
        self.heads: dict[str, Head] = {}
        """The end of each stream that had begun."""
        self.unfinished: list[Unfinished] = []
        self.switched: list[str] = []
        """Agents whose switch is known to have been used later."""
        self._known = known
        self._sorted: dict[str, list[str]] = {}

    @classmethod
    async def make(
        cls, contents: Contents, at: float | None, sealer: Sealer | None = None, known: dict[str, Head] | None = None
    ) -> Cut:
        """Cut what is in `contents` at an instant; None: not at all. `known` is how far streams are known to have come
        by any backup (default: by this one).

        Raises StoreCorrupt, StoreUnavailable, StoreSealed without the keys.
        """
        cut = cls(contents, at, sealer, contents.chain.heads() if known is None else known)
        for stream in sorted(contents.chain.parts):
            head = await cut._end(stream)
            if head is not None:
                cut.heads[stream] = head
        await cut._find_unfinished()
        cut._sort()
        return cut

    @classmethod
    def whole(cls, contents: Contents) -> Cut:
        """All of it, without looking at what had ended: for who only reads streams."""
        cut = cls(contents, None, None, {})
        cut.heads = contents.chain.heads()
        cut._sort()
        return cut

    def _sort(self) -> None:
        for stream in sorted(self.heads):
            self._sorted.setdefault(stream.partition("/")[0], []).append(stream)

    @property
    def lineage(self) -> Lineage:
        return Lineage.parse(self._contents.chain.newest.lineage)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        head = self.heads.get(stream)
        found: list[StoredRecord] = []
        if head is None:
            return found
        for backup, extent in self._contents.chain.parts[stream]:
            if extent.last <= after or extent.first > head.seq or len(found) >= limit:
                continue
            for record in await self._contents.records(backup, extent):
                if after < record.seq <= head.seq and len(found) < limit:
                    found.append(record)
        return found

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return [stream for stream in self._sorted.get(kind, []) if stream > after][:limit]

    async def entry(self, run: str) -> RunEntry | None:
        """What the index shall know of a run: its end, or that somebody is to look at it."""
        stream = self._key("run", run)
        if stream not in self.heads:
            return None
        first, last = await self._envelope(stream, first=True), await self._envelope(stream, first=False)
        entry = RunEntry(run, mail=self._end_of(self.heads, "inbox", run))
        if first is None or last is None:
            return entry
        created, event = first.events[0], last.events[-1]
        if isinstance(created, ev.RunCreated):
            entry = msgspec.structs.replace(
                entry, agent=created.agent, pool=created.pool, session=created.session, parent=created.parent,
                created_at=first.at, updated_at=last.at,
            )  # fmt: skip
        if isinstance(event, ev.RunEnd):
            state, reason = state_of(event)
            entry = msgspec.structs.replace(entry, state=state, reason=reason)
        elif isinstance(event, ev.RunTrial):
            entry = msgspec.structs.replace(entry, state="trial", reason="to be tried alone")
        return entry

    # -- where each stream ends --------------------------------------------------------------------------------------

    async def _end(self, stream: str) -> Head | None:
        parts = self._contents.chain.parts[stream]
        if self.at is None or stream.startswith("key/"):
            return parts[-1][1].ends
        for backup, extent in reversed(parts):
            if extent.at_max <= self.at:
                return extent.ends
            if extent.at_min <= self.at:
                for record in reversed(await self._contents.records(backup, extent)):
                    if at_of(record) <= self.at:
                        return Head(record.seq + record.count - 1, record.hash)
        return None

    async def _find_unfinished(self) -> None:
        later = {stream for stream, head in self._known.items() if head.seq > self._seq(stream)}
        for stream in [stream for stream in self.heads if stream.startswith("run/")]:
            if await self._has_ended(stream):
                continue
            run = StreamKey.parse(stream).id
            inbox = self._key("inbox", run)
            await self._reach(inbox, await self._mail_read(stream))
            self.unfinished.append(self._unfinished(run))
        self.unfinished += [
            self._unfinished(StreamKey.parse(stream).id)
            for stream in sorted(later)
            if stream.startswith("run/") and stream not in self.heads
        ]
        self.switched = [StreamKey.parse(stream).id for stream in sorted(later) if stream.startswith("agent/")]

    def _unfinished(self, run: str) -> Unfinished:
        return Unfinished(
            run, self._end_of(self.heads, "run", run), self._end_of(self._known, "run", run),
            self._end_of(self.heads, "inbox", run), self._end_of(self._known, "inbox", run),
        )  # fmt: skip

    async def _has_ended(self, stream: str) -> bool:
        """Whether the last event that is kept of a run is its end."""
        events = await self._events(stream, await self._record(stream, first=False))
        return events[-1].get("type") in _ENDS if events else False

    async def _mail_read(self, stream: str) -> int:
        """The highest number of a letter that a run's kept events speak of."""
        highest, seq = 0, 0
        while records := await self.read(stream, seq, 500):
            for record in records:
                for event in await self._events(stream, record):
                    highest = max(highest, *_numbers(event))
            seq = records[-1].seq + records[-1].count - 1
        return highest

    async def _reach(self, stream: str, seq: int) -> None:
        """Let an inbox go at least as far as event `seq`, if there is so much of it."""
        for backup, extent in self._contents.chain.parts.get(stream, []):
            if self._seq(stream) >= seq:
                return
            for record in await self._contents.records(backup, extent):
                if self._seq(stream) < seq and record.seq > self._seq(stream):
                    self.heads[stream] = Head(record.seq + record.count - 1, record.hash)

    # -- what records say --------------------------------------------------------------------------------------------

    async def _record(self, stream: str, *, first: bool) -> StoredRecord:
        head = self.heads[stream]
        for backup, extent in self._contents.chain.parts[stream]:
            if first or extent.last >= head.seq:
                records = await self._contents.records(backup, extent)
                return records[0] if first else next(one for one in reversed(records) if one.seq <= head.seq)
        raise StoreCorrupt(f"stream {stream}: event {head.seq} is not in the backup")

    async def _opened(self, stream: str, record: StoredRecord) -> StoredRecord:
        if not is_sealed(record):
            return record
        if self._sealer is None:
            raise StoreSealed(
                f"stream {stream} is sealed: whether its run had ended is not known without the keys; give them in "
                "stores.journal.encrypt of the outlast.yaml that is restored to"
            )
        return await open_record(stream, record, self._sealer)

    async def _events(self, stream: str, record: StoredRecord) -> list[dict[str, Any]]:
        opened = await self._opened(stream, record)
        try:
            return _loose.decode(opened.body).events
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise StoreCorrupt(f"stream {stream}: record {record.seq} cannot be read: {error}") from None

    async def _envelope(self, stream: str, *, first: bool) -> Envelope[ev.RunEvent] | None:
        record = await self._record(stream, first=first)
        try:
            return ev.RUN.read(stream, await self._opened(stream, record))
        except StoreCorrupt:  # of another release, perhaps: whoever claims it says more
            return None

    def _key(self, kind: str, id: str) -> str:
        return str(StreamKey(kind, id, self.lineage))

    def _seq(self, stream: str) -> int:
        return self.heads[stream].seq if stream in self.heads else 0

    def _end_of(self, heads: dict[str, Head], kind: str, id: str) -> int:
        head = heads.get(self._key(kind, id))
        return head.seq if head is not None else 0


def _numbers(event: dict[str, Any]) -> Iterator[int]:
    yield 0
    for name in ("mail", "seen"):
        value = event.get(name)
        if isinstance(value, int):
            yield value
