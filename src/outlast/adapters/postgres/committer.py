"""Appends go out in rounds, one at a time: one statement, one round trip, one commit for all that gathered.

What an answer means. A row that comes back, and a commit without a word of complaint: Applied. No row: somebody else
has that place, or never had the one before it; the stream's end is asked for: Conflicted. Anything else, an error, a
lost connection, *any* warning: Unknown for the whole round. (A commit whose wait for its synchronous standby is
cancelled succeeds, with a warning.)

In strong mode a conflict is answered after a commit of its own: the record in the way may be our own one from such a
cancelled wait, and whoever learns of it takes it for durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg

from outlast.adapters.postgres import statement
from outlast.adapters.postgres.acknowledged import Acknowledged
from outlast.adapters.postgres.fault import is_passing, translated
from outlast.adapters.postgres.gathering import Gathering
from outlast.adapters.postgres.server import Servers
from outlast.adapters.postgres.session import Session, Standing
from outlast.journal.chain import genesis, link
from outlast.journal.commit import Write
from outlast.journal.lineage import Lineage
from outlast.journal.stream import (
    Append,
    Applied,
    Conflicted,
    Head,
    Notice,
    Outcome,
    Reply,
    Unknown,
    check_append,
    check_stream,
)
from outlast.kernel.error import OutlastError, StoreUnavailable, UsageError
from outlast.kernel.point import NoPoints, Points

waiting_count_max = 65_536
"""Bound of the appends that wait for a round; more are Unknown at once."""

_Round = list[tuple[Reply, Append]]


class _Doubt(Exception):
    """The round may or may not be there."""


class Committer:
    """Takes appends, commits and answers them. `grown` is told what became durable. Belongs to one event loop."""

    def __init__(
        self,
        servers: Servers,
        lineage: Lineage,
        acknowledged: Acknowledged,
        grown: Callable[[Sequence[Notice]], None],
        points: Points,
        *,
        strong: bool,
    ) -> None:
        self._servers = servers
        self._lineage = lineage
        self._acknowledged = acknowledged
        self._grown = grown
        self._points = None if isinstance(points, NoPoints) else points
        self._strong = strong
        self._gathering: Gathering[Reply] = Gathering()
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, append: Append, reply: Reply) -> None:
        """As in QuickStore."""
        check_append(append)
        check_stream(append.stream, self._lineage)
        if b"\x00" in append.body:
            raise UsageError(f"append to {append.stream} is malformed: its body holds a NUL character, JSON escapes it")
        if append.hint is not None:
            statement.check_patch(append.hint)
        if self._closed or len(self._gathering) >= waiting_count_max:
            why = "is closed: open it again" if self._closed else "has too many appends waiting (waiting_count_max)"
            asyncio.get_running_loop().call_soon(_answer, reply, Unknown(f"journal {why}"))
            return
        self._gathering.offer(reply, append)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._rounds(), name="postgres appends")

    async def _rounds(self) -> None:
        """Until nothing waits."""
        try:
            while len(self._gathering):
                taken = self._gathering.take()
                try:
                    outcomes = await self._round(taken)
                except _Doubt as doubt:
                    outcomes = [Unknown(str(doubt))] * len(taken)
                except BaseException:
                    for reply, _ in taken:
                        _answer(reply, Unknown("the journal was stopped"))
                    raise
                for (reply, _), outcome in zip(taken, outcomes, strict=True):
                    _answer(reply, outcome)
        finally:
            self._task = None

    async def _round(self, taken: _Round) -> Sequence[Outcome]:
        """The outcome of each append of a round. Raises _Doubt."""
        writes = [_write(append) for _, append in taken]
        sound = [write for write in writes if write is not None]
        session = await self._connected()
        ends: dict[str, Head] = {}
        try:
            session.warnings.clear()
            done = await self._insert(session, sound) if sound else set[str]()
            if self._points is not None:
                for stream in done:
                    self._points.reach("commit.after", stream)
            if done:
                self._grow([write for write in sound if write.append.stream in done])
            missed = [append.stream for _, append in taken if append.stream not in done]
            if missed:
                ends = await self._ends(session, missed)
            again = [write for write in sound if ends.get(write.append.stream) == write.head]
            if again:  # sent again, and now known to be there
                self._remember(session, again, 0)
        except psycopg.Error as error:
            if not is_passing(error) or not session.usable:
                await self._drop()
            raise _Doubt(str(translated(error, session.place))) from None
        except _Doubt:
            await self._drop()
            raise
        except BaseException:
            session.sever()
            raise
        return [_outcome(write, append, done, ends) for write, (_, append) in zip(writes, taken, strict=True)]

    async def _insert(self, session: Session, writes: Sequence[Write]) -> set[str]:
        """Write what fits; the streams that grew. Raises _Doubt and what psycopg raises."""
        hints = [(write.append.stream, write.append.hint) for write in writes if write.append.hint is not None]
        values = statement.record_values(writes)
        if hints:
            values += statement.patch_values(hints)
        if self._points is not None:
            for write in writes:
                self._points.reach("commit.before", write.append.stream)
        text = statement.appending(hinted=bool(hints), with_lsn=session.standing is not None)
        rows = await session.quickly(text, values)
        self._assure(session, all(guarded for _, _, guarded in rows))
        if rows:
            done = {str(stream) for stream, _, _ in rows}
            self._remember(session, [write for write in writes if write.append.stream in done], int(rows[0][1]))
            return done
        return set()

    def _remember(self, session: Session, writes: Sequence[Write], lsn: int) -> None:
        """Before anybody is told: what was acknowledged and not remembered could be lost without a word."""
        standing = session.standing
        if standing is not None and lsn > standing.lsn:
            standing = session.standing = Standing(standing.system, standing.timeline, lsn)
        self._acknowledged.note(writes, standing.system if standing else "", standing.lsn if standing else 0)

    def _assure(self, session: Session, guarded: bool) -> None:
        if session.warnings:
            raise _Doubt(f"postgres {session.place} committed with a warning: {session.warnings[0]}")
        if self._strong and not guarded:
            raise _Doubt(f"postgres {session.place}: synchronous_standby_names is empty now: strong mode needs it")

    async def _ends(self, session: Session, streams: Sequence[str]) -> dict[str, Head]:
        rows = await session.quickly(statement.HEADS, (sorted(set(streams)),))
        ends = {stream: Head(int(seq), bytes(digest)) for stream, seq, digest in rows}
        if self._strong:
            ((_, guarded),) = await session.quickly(statement.BARRIER, ())
            self._assure(session, guarded)
        return {stream: ends.get(stream) or genesis(stream) for stream in streams}

    def _grow(self, writes: Sequence[Write]) -> None:
        self._grown([Notice(write.append.stream, write.head.seq, write.append.hint) for write in writes])

    async def _connected(self) -> Session:
        session = self._session
        if session is not None and session.usable and session.epoch == self._servers.epoch:
            return session
        await self._drop()
        try:
            self._session = await self._servers.connect("write")
        except OutlastError as error:
            raise _Doubt(str(error)) from None
        return self._session

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            with suppress(StoreUnavailable):
                self._servers.note(session.standing)

    async def connect(self) -> None:
        """Have a connection now. Raises StoreUnavailable, ConfigurationError, StoreCorrupt."""
        if self._session is None:
            self._session = await self._servers.connect("write")

    async def close(self) -> None:
        """Commit what waits, then end; any number of times."""
        self._closed = True
        task = self._task
        if task is not None:
            with suppress(asyncio.CancelledError):
                await task
        await self._drop()


def _write(append: Append) -> Write | None:
    """What to insert; None if it cannot fit: the start of a stream is known."""
    if append.expected.seq == 0 and append.expected != genesis(append.stream):
        return None
    return Write(append, Head(append.head, link(append.expected.hash, append.body)))


def _outcome(write: Write | None, append: Append, done: set[str], ends: dict[str, Head]) -> Outcome:
    if write is not None and append.stream in done:
        return Applied(write.head)
    end = ends[append.stream]
    if write is not None and end == append.expected:
        return Unknown("the stream was written while this append was judged: send it again")
    return Conflicted(end)


def _answer(reply: Reply, outcome: Outcome) -> None:
    if not reply.done():
        reply.set_result(outcome)
