"""The journal on PostgreSQL: streams, run index and snapshots. Any number of processes on any number of hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from outlast.adapters.postgres import entry as entries
from outlast.adapters.postgres import removing, statement
from outlast.adapters.postgres import snapshot as snapshots
from outlast.adapters.postgres.committer import Committer
from outlast.adapters.postgres.doorbell import Doorbell
from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.session import Row, Session
from outlast.journal.chain import genesis
from outlast.journal.index import Behind, RunEntry
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Head, Outcome, Reply, StoredRecord, check_stream
from outlast.kernel.error import NotFound, StoreCorrupt, StoreUnavailable

_AFTER_ALL_OF_A_KIND = "0"  # the character after "/"


class PostgresReader:
    """The reading half of EventStore and SnapshotStore, and a RunIndex: reads the primary.

    `list` and `counts` read a replica where there is one: they may be behind, and a list says how far, unless a fresh
    one is asked for. `strong`: what was read of a stream is on its synchronous standby before it is given. Raises
    StoreUnavailable, StoreCorrupt.
    """

    def __init__(self, pool: Pool, lineage: Lineage, replicas: Pool | None = None, *, strong: bool = False) -> None:
        self._pool = pool
        self._lineage = lineage
        self._replicas = replicas
        self._strong = strong

    @property
    def lineage(self) -> Lineage:
        return self._lineage

    async def _rows(self, text: str, values: Sequence[Any]) -> list[Row]:
        """What is there of a stream. In strong mode it may come from a commit whose wait for its standby was cut off:
        who learns of it takes it for durable, so a commit behind it must be.
        """
        if not self._strong:
            return await self._pool.rows(text, values)

        async def question(session: Session) -> list[Row]:
            session.warnings.clear()
            rows = await session.rows(text, values)
            if rows:
                ((_, guarded),) = await session.rows(statement.BARRIER)
                if session.warnings or not guarded:
                    why = session.warnings[0] if session.warnings else "synchronous_standby_names is empty now"
                    raise StoreUnavailable(
                        f"postgres {session.place}: what was read may not be on a standby yet ({why}): try again"
                    )
            return rows

        return await self._pool.ask(question)

    async def head(self, stream: str) -> Head:
        rows = await self._rows(
            "SELECT seq + count - 1, hash FROM record WHERE stream = %s ORDER BY seq DESC LIMIT 1", (stream,)
        )
        return Head(int(rows[0][0]), bytes(rows[0][1])) if rows else genesis(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        rows = await self._rows(
            "SELECT seq, count, body, hash FROM record WHERE stream = %s AND seq > %s ORDER BY seq LIMIT %s",
            (stream, after, limit),
        )
        return [StoredRecord(seq, count, body.encode(), bytes(digest)) for seq, count, body, digest in rows]

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        # from key to key: the index is read once for each stream, not once for each record
        rows = await self._pool.rows(
            "WITH RECURSIVE found(stream, number) AS ("
            "(SELECT stream, 1 FROM record WHERE stream > %(after)s AND stream < %(end)s ORDER BY stream LIMIT 1) "
            "UNION ALL SELECT (SELECT r.stream FROM record r WHERE r.stream > found.stream AND r.stream < %(end)s "
            "ORDER BY r.stream LIMIT 1), number + 1 FROM found WHERE found.stream IS NOT NULL AND number < %(limit)s) "
            "SELECT stream FROM found WHERE stream IS NOT NULL ORDER BY number LIMIT %(limit)s",
            {"after": max(after, kind + "/"), "end": kind + _AFTER_ALL_OF_A_KIND, "limit": limit},
        )
        return [str(stream) for (stream,) in rows]

    async def load(self, stream: str) -> Snapshot | None:
        return await snapshots.load(self._pool, stream)

    async def damaged_snapshots(self) -> Sequence[tuple[str, str]]:
        """Stream and number of every snapshot that is not as it was saved. Reads all of them, in the server."""
        return await snapshots.damaged(self._pool)

    async def entry(self, run: str) -> RunEntry | None:
        return await entries.entry(self._pool, run)

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        return await entries.due(self._pool, now, limit, pool)

    async def next_wake(self, now: float) -> float | None:
        return await entries.next_wake(self._pool, now)

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        return await entries.owned(self._pool, owner, limit)

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
        if self._replicas is not None and not fresh:
            behind_s = await self.staleness()  # before the list is read: it is no older than that
            try:
                found = await entries.listed(self._replicas, state, agent, session, before, limit)
                return Behind(found, behind_s)
            except (StoreUnavailable, StoreCorrupt, NotFound):
                pass  # it may be gone, or not have the tables or the run yet: the primary knows
        return await entries.listed(self._pool, state, agent, session, before, limit)

    async def ended(self, before: float, after: tuple[float, str] = (0.0, ""), limit: int = 100) -> Sequence[RunEntry]:
        """As in Shrinking."""
        return await entries.ended(self._pool, before, after, limit)

    async def counts(self) -> dict[str, int]:
        if self._replicas is not None:
            try:
                return await entries.counts(self._replicas)
            except (StoreUnavailable, StoreCorrupt):
                pass  # as above
        return await entries.counts(self._pool)

    async def staleness(self) -> float | None:
        """How many seconds the replica that `list` and `counts` read is behind; 0.0 without one, None if it is not
        known (it does not answer, or has never heard of the primary).
        """
        if self._replicas is None:
            return 0.0
        try:
            ((end, now),) = await self._pool.rows("SELECT pg_current_wal_lsn()::text, clock_timestamp()")
            ((level, since),) = await self._replicas.rows(
                "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, not pg_is_in_recovery()), "
                "pg_last_xact_replay_timestamp()",
                (end,),
            )
        except (StoreUnavailable, StoreCorrupt):
            return None
        if level:
            return 0.0
        return None if since is None else max(0.0, (now - since).total_seconds())


class PostgresStore(PostgresReader):
    """EventStore (also a QuickStore), RunIndex and SnapshotStore. Belongs to the event loop it was opened on.

    Appends that gather while a commit is under way share the next. An append whose answer is lost, late or has a
    warning is Unknown: send the identical one again. Connections come back by themselves.
    """

    def __init__(
        self,
        pool: Pool,
        hints: Pool,
        lineage: Lineage,
        replicas: Pool | None,
        committer: Committer,
        doorbell: Doorbell,
        *,
        strong: bool,
    ) -> None:
        super().__init__(pool, lineage, replicas, strong=strong)
        self._hints = hints
        self._committer = committer
        self._doorbell = doorbell

    async def append(self, append: Append) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._committer.submit(append, future)
        return await future

    def submit(self, append: Append, reply: Reply) -> None:
        """As in QuickStore."""
        self._committer.submit(append, reply)

    async def save(self, snapshot: Snapshot) -> None:
        check_stream(snapshot.stream, self._lineage)
        await snapshots.save(self._hints, snapshot)  # always rebuildable: it waits for no standby

    async def remove(self, runs: Sequence[Ended]) -> None:
        """As in Shrinking. Waits for no standby: what comes back after a failover is removed again."""
        for run in runs:
            for stream, _ in run.heads:
                check_stream(stream, self._lineage)
        await removing.remove(self._hints, runs)

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        return self._doorbell.listen(listener, steps=steps)
