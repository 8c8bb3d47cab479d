"""Stores that seal what is written and open what is read, around stores of any kind, which see no payload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from outlast.journal.blob import BlobRef, BlobStore
from outlast.journal.cipher import Key
from outlast.journal.index import Behind, RunEntry, RunIndex
from outlast.journal.lineage import Lineage
from outlast.journal.seal import (
    Sealer,
    is_sealed,
    key_for,
    open_blob,
    open_reason,
    open_record,
    open_snapshot,
    reason_key,
    seal_append,
    seal_blob,
    seal_snapshot,
)
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import (
    Append,
    EventStore,
    Head,
    Notice,
    Outcome,
    QuickStore,
    Reply,
    StoredRecord,
    Unknown,
    check_append,
    quick,
)
from outlast.kernel.error import StoreCorrupt, StoreError, StoreSealed

tried_max = 10_000
"""Bound of the appends with unknown outcome whose keys are remembered."""


class Journal(EventStore, RunIndex, SnapshotStore, Protocol):
    """What is wrapped: streams, run index and snapshots in one object."""


def sealed(journal: Journal, blobs: BlobStore, sealer: Sealer) -> tuple[SealedStore, SealedBlobs]:
    """A journal and blobs in which no payload is readable without the keys of `sealer`.

    The store takes appends without a coroutine if the one behind it does.
    """
    behind = quick(journal)
    store = SealedStore(journal, sealer) if behind is None else QuickSealedStore(journal, behind, sealer)
    return store, SealedBlobs(blobs, sealer)


class SealedStore:
    """EventStore, RunIndex and SnapshotStore. Records that were written before there was a key stay readable.

    An append that is tried again is sealed with the key of its first try: a rotation in between changes no byte. Heads
    are those of the store behind it: their hashes cover what is stored.
    """

    def __init__(self, journal: Journal, sealer: Sealer) -> None:
        self._journal = journal
        self._sealer = sealer
        self._tried: dict[tuple[str, str], Key] = {}

    # -- streams ------------------------------------------------------------------------------------------------------

    @property
    def lineage(self) -> Lineage:
        return self._journal.lineage

    def sealed(self, append: Append) -> Append:
        """What is sent in place of `append`. Raises UsageError, StoreSealed if this process may only read."""
        check_append(append)
        name = (append.stream, append.append_id)
        key = self._tried.get(name)
        if key is None:
            key = self._tried[name] = self._sealer.current
            if len(self._tried) > tried_max:
                del self._tried[next(iter(self._tried))]
        return seal_append(append, key)

    def told(self, append: Append, outcome: Any) -> None:
        """What became of an append: one that is decided is not tried again."""
        if not isinstance(outcome, Unknown):
            self._tried.pop((append.stream, append.append_id), None)

    async def append(self, append: Append) -> Outcome:
        outcome = await self._journal.append(self.sealed(append))
        self.told(append, outcome)
        return outcome

    async def head(self, stream: str) -> Head:
        return await self._journal.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        """As in EventStore. Raises StoreSealed if a key is not here; StoreUnavailable if a key cannot be got now."""
        records = await self._journal.read(stream, after, limit)
        if not any(map(is_sealed, records)):
            return records
        return [await open_record(stream, record, self._sealer) if is_sealed(record) else record for record in records]

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return await self._journal.streams(kind, after, limit)

    def listen(self, listener: Callable[[Sequence[Notice]], None], *, steps: bool = True) -> Callable[[], None]:
        def opened(notices: Sequence[Notice]) -> None:
            listener([self._noticed(notice) for notice in notices])

        return self._journal.listen(opened, steps=steps)

    def _noticed(self, notice: Notice) -> Notice:
        """A notice with its reason opened, if its key is at hand: nobody waits for a hint."""
        hint = notice.hint
        if hint is None or hint.reason is UNSET or (id := reason_key(hint.reason)) is None:
            return notice
        reason = open_reason(hint.run, hint.reason, self._sealer.known(id))
        return Notice(notice.stream, notice.seq, msgspec.structs.replace(hint, reason=reason))

    # -- snapshots ----------------------------------------------------------------------------------------------------

    async def save(self, snapshot: Snapshot) -> None:
        await self._journal.save(seal_snapshot(snapshot, self._sealer.current))

    async def load(self, stream: str) -> Snapshot | None:
        """As in SnapshotStore. One that cannot be opened is none: it is a short cut, the stream says it all."""
        snapshot = await self._journal.load(stream)
        if snapshot is None:
            return None
        try:
            return await open_snapshot(snapshot, self._sealer)
        except (StoreCorrupt, StoreSealed):
            return None

    # -- the run index ------------------------------------------------------------------------------------------------

    async def _fetched(self, entries: Sequence[RunEntry]) -> Sequence[RunEntry]:
        """For people: keys that are not at hand are fetched, until one does not come."""
        wanted = {id: None for entry in entries if (id := reason_key(entry.reason)) is not None}
        try:
            for id in wanted:
                await key_for(self._sealer, id)
        except StoreError:  # a run is found whether or not its reason can be read
            pass
        return self._at_hand(entries)

    def _at_hand(self, entries: Sequence[RunEntry]) -> Sequence[RunEntry]:
        return [self._opened(entry) for entry in entries]

    def _opened(self, entry: RunEntry) -> RunEntry:
        id = reason_key(entry.reason)
        if id is None:
            return entry
        return msgspec.structs.replace(entry, reason=open_reason(entry.run, entry.reason, self._sealer.known(id)))

    async def entry(self, run: str) -> RunEntry | None:
        entry = await self._journal.entry(run)
        return entry if entry is None else (await self._fetched((entry,)))[0]

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        return self._at_hand(await self._journal.due(now, limit, pool))

    async def next_wake(self, now: float) -> float | None:
        return await self._journal.next_wake(now)

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        return self._at_hand(await self._journal.owned(owner, limit))

    async def list(
        self,
        *,
        state: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        before: str | None = None,
        limit: int = 50,
        fresh: bool = False,
    ) -> Sequence[RunEntry]:
        found = await self._journal.list(
            state=state, agent=agent, session=session, before=before, limit=limit, fresh=fresh
        )
        opened = await self._fetched(found)
        return Behind(opened, found.behind_s) if isinstance(found, Behind) else opened

    async def counts(self) -> dict[str, int]:
        return await self._journal.counts()


class _Told:
    """A Reply that first lets the store know."""

    __slots__ = ("_append", "_reply", "_store")

    def __init__(self, store: SealedStore, append: Append, reply: Reply) -> None:
        self._store = store
        self._append = append
        self._reply = reply

    def done(self) -> bool:
        return self._reply.done()

    def set_result(self, result: Any) -> None:
        self._store.told(self._append, result)
        self._reply.set_result(result)

    def set_exception(self, exception: Exception) -> None:
        self._reply.set_exception(exception)


class QuickSealedStore(SealedStore):
    """A SealedStore that is a QuickStore, as the one behind it."""

    def __init__(self, journal: Journal, behind: QuickStore, sealer: Sealer) -> None:
        super().__init__(journal, sealer)
        self._behind = behind

    def submit(self, append: Append, reply: Reply) -> None:
        """As in QuickStore."""
        self._behind.submit(self.sealed(append), _Told(self, append, reply))


class SealedBlobs:
    """A BlobStore. A BlobRef names the sealed content: its hash says nothing about the plain one.

    The same content sealed with the same key has the same name; with another key, another.
    """

    def __init__(self, blobs: BlobStore, sealer: Sealer) -> None:
        self._blobs = blobs
        self._sealer = sealer

    async def put(self, content: bytes) -> BlobRef:
        return await self._blobs.put(seal_blob(content, self._sealer.current))

    async def get(self, ref: BlobRef) -> bytes:
        """As in BlobStore. Raises StoreSealed if its key is not here."""
        return await open_blob(await self._blobs.get(ref), self._sealer)
