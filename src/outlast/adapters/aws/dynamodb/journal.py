"""The journal on DynamoDB: streams, run index and snapshots in one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outlast.adapters.aws.dynamodb.hint import HintBounds, Hints
from outlast.adapters.aws.dynamodb.index import Index
from outlast.adapters.aws.dynamodb.snapshot import Snapshots
from outlast.adapters.aws.dynamodb.stream import Streams, applied_head
from outlast.adapters.aws.dynamodb.table import Table
from outlast.journal.anchor import Witness, unseen
from outlast.journal.blob import BlobStore
from outlast.journal.index import RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener, Listeners
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import (
    Append,
    Applied,
    Conflicted,
    Head,
    Notice,
    Outcome,
    StoredRecord,
    check_append,
    check_stream,
)
from outlast.kernel.clock import Clock
from outlast.kernel.point import Points

close_patience_s = 3.0
"""How long closing waits for hints that are to be written."""


class DynamoJournal:
    """EventStore, RunIndex and SnapshotStore. For one event loop; any number of processes share a table.

    `append` raises StoreUnavailable where sending it again is of no use: no table, no permission, no credentials.
    Listeners hear of what this process appends; `witness` is told the heads that are acknowledged.
    """

    def __init__(
        self, table: Table, lineage: Lineage, blobs: BlobStore, clock: Clock, points: Points,
        hints: HintBounds | None = None, witness: Witness = unseen,
    ) -> None:  # fmt: skip
        self._witness = witness
        self._lineage = lineage
        self._streams = Streams(table, points)
        self._index = Index(table, lineage)
        self._hints = Hints(table, lineage, clock, hints)
        self._snapshots = Snapshots(table, blobs)
        self._listeners = Listeners()

    @property
    def lineage(self) -> Lineage:
        return self._lineage

    # -- EventStore ---------------------------------------------------------------------------------------------------

    async def append(self, append: Append) -> Outcome:
        check_append(append)
        check_stream(append.stream, self._lineage)
        outcome = await self._streams.append(append, self._foretell)
        if isinstance(outcome, Conflicted) and outcome.head == applied_head(append):
            outcome = Applied(outcome.head)  # sent again after its answer was lost: its hint may be lacking too
        if isinstance(outcome, Applied):
            self._witness([(append.stream, outcome.head)])
            if append.hint is not None:  # of a new stream it is told already, unless a rival's was
                await self._hints.tell(append.stream, append.head, append.hint)
            self._listeners.tell([Notice(append.stream, append.head, append.hint)])
        return outcome

    async def _foretell(self, append: Append) -> None:
        """Before a stream is begun, so that a run that nobody knows of cannot be."""
        if append.hint is not None:
            await self._hints.tell(append.stream, append.head, append.hint, sure=False)

    async def head(self, stream: str) -> Head:
        return await self._streams.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        return await self._streams.read(stream, after, limit)

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return await self._streams.listed(kind, after, limit)

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        return self._listeners.add(listener, steps=steps)

    # -- RunIndex -----------------------------------------------------------------------------------------------------

    async def entry(self, run: str) -> RunEntry | None:
        return await self._index.entry(run)

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        return await self._index.due(now, limit, pool)

    async def next_wake(self, now: float) -> float | None:
        return await self._index.next_wake(now)

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        return await self._index.owned(owner, limit)

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
        return await self._index.list(state, agent, session, before, limit)

    async def counts(self) -> dict[str, int]:
        return await self._index.counts()

    # -- SnapshotStore ------------------------------------------------------------------------------------------------

    async def save(self, snapshot: Snapshot) -> None:
        await self._snapshots.save(snapshot)

    async def load(self, stream: str) -> Snapshot | None:
        return await self._snapshots.load(stream)

    # -- its life -----------------------------------------------------------------------------------------------------

    @property
    def hints_waiting(self) -> int:
        """Of how many runs the index is yet to be told."""
        return self._hints.waiting

    async def close(self) -> None:
        """Tell the index what it does not know yet, for `close_patience_s` at most."""
        await self._hints.close(close_patience_s)
