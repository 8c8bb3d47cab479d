"""One round of appends on a connection: one statement, one round trip, one commit for all that gathered.

What an answer means. A row that comes back, and a commit without a word of complaint: Applied. No row: somebody else
has that place, or never had the one before it; the stream's end is asked for: Conflicted. Anything else, an error, a
lost connection, *any* warning: the whole round is in doubt, all of it Unknown. (A commit whose wait for its synchronous
standby is cancelled succeeds, with a warning.)

In strong mode a conflict is answered after a commit of its own: the record in the way may be our own one from such a
cancelled wait, and whoever learns of it takes it for durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import errors

from outlast.adapters.postgres import statement
from outlast.adapters.postgres.acknowledged import Acknowledged
from outlast.adapters.postgres.session import Session, Standing
from outlast.journal.anchor import Witness, unseen
from outlast.journal.chain import genesis, link
from outlast.journal.commit import Write
from outlast.journal.stream import Append, Applied, Conflicted, Head, Notice, Outcome, Unknown
from outlast.kernel.point import NoPoints, Place, Points

lock_apart_ms = 100
"""How long each half of a round waits for another's transaction, once the round as a whole has waited in vain."""

_HELD = Unknown("another process holds a row that this append needs (lock_s_max): send it again")
_MOVED = Unknown("the stream was written while this append was judged: send it again")


class Doubt(Exception):
    """The round may or may not be there."""


class Round:
    """How rounds are carried out. `grown` is told what became durable, `witness` where it ends, before anybody else."""

    def __init__(
        self,
        acknowledged: Acknowledged,
        grown: Callable[[Sequence[Notice]], None],
        points: Points,
        lock_s_max: float,
        *,
        strong: bool,
        witness: Witness = unseen,
    ) -> None:
        self._witness = witness
        self._acknowledged = acknowledged
        self._grown = grown
        self._points = None if isinstance(points, NoPoints) else points
        self._lock_s_max = lock_s_max
        self._strong = strong

    async def outcomes(self, session: Session, appends: Sequence[Append]) -> Sequence[Outcome]:
        """The outcome of each append, of different streams each. Raises Doubt and what psycopg raises."""
        session.warnings.clear()
        writes = [_write(append) for append in appends]
        sound = [write for write in writes if write is not None]
        known: dict[str, Outcome] = {}
        if sound:
            await self._insert(session, sound, known)
        missed = [append.stream for append in appends if append.stream not in known]
        if missed:
            ends = await self._ends(session, missed)
            again = [write for write in sound if ends.get(write.append.stream) == write.head]
            if again:  # sent again, and now known to be there
                self._remember(session, again, 0)
            for append in appends:
                end = ends.get(append.stream)
                if end is not None:
                    known[append.stream] = _MOVED if end == append.expected else Conflicted(end)
        return [known[append.stream] for append in appends]

    async def _insert(self, session: Session, writes: Sequence[Write], known: dict[str, Outcome]) -> None:
        """Write what fits. One row that somebody else holds keeps the others waiting only once."""
        try:
            await self._commit(session, writes, known)
        except errors.LockNotAvailable:
            if len(writes) == 1:
                known[writes[0].append.stream] = _HELD
                return
            await session.quickly("SELECT set_config('lock_timeout', %s, false)", (f"{lock_apart_ms}ms",))
            await self._apart(session, writes, known)
            back = f"{self._lock_s_max * 1000:.0f}ms"
            await session.quickly("SELECT set_config('lock_timeout', %s, false)", (back,))

    async def _apart(self, session: Session, writes: Sequence[Write], known: dict[str, Outcome]) -> None:
        middle = len(writes) // 2
        for half in (writes[:middle], writes[middle:]):
            try:
                await self._commit(session, half, known)
            except errors.LockNotAvailable:
                if len(half) == 1:
                    known[half[0].append.stream] = _HELD
                else:
                    await self._apart(session, half, known)

    async def _commit(self, session: Session, writes: Sequence[Write], known: dict[str, Outcome]) -> None:
        self._reach("commit.before", writes)
        text, values = statement.appending(writes, with_lsn=session.standing is not None)
        rows = await session.quickly(text, values)
        self._assure(session, all(guarded for _, _, guarded in rows))
        if not rows:
            return
        streams = {str(stream) for stream, _, _ in rows}
        done = [write for write in writes if write.append.stream in streams]
        self._remember(session, done, int(rows[0][1]))
        self._reach("commit.after", done)
        for write in done:
            known[write.append.stream] = Applied(write.head)
        self._grown([Notice(write.append.stream, write.head.seq, write.append.hint) for write in done])

    async def _ends(self, session: Session, streams: Sequence[str]) -> dict[str, Head]:
        rows = await session.quickly(statement.HEADS, (streams,))
        ends = {stream: Head(int(seq), bytes(digest)) for stream, seq, digest in rows}
        if self._strong:
            ((_, guarded),) = await session.quickly(statement.BARRIER, ())
            self._assure(session, guarded)
        return {stream: ends.get(stream) or genesis(stream) for stream in streams}

    def _assure(self, session: Session, guarded: bool) -> None:
        if session.warnings:
            raise Doubt(f"postgres {session.place} committed with a warning: {session.warnings[0]}")
        if self._strong and not guarded:
            raise Doubt(f"postgres {session.place}: synchronous_standby_names is empty now: strong mode needs it")

    def _remember(self, session: Session, writes: Sequence[Write], lsn: int) -> None:
        """Before anybody is told: what was acknowledged and not remembered could be lost without a word."""
        standing = session.standing
        if standing is not None and lsn > standing.lsn:
            standing = session.standing = Standing(standing.system, standing.timeline, lsn)
        self._acknowledged.note(writes, standing.system if standing else "", standing.lsn if standing else 0)
        self._witness([(write.append.stream, write.head) for write in writes])

    def _reach(self, place: Place, writes: Sequence[Write]) -> None:
        if self._points is not None:
            for write in writes:
                self._points.reach(place, write.append.stream)


def _write(append: Append) -> Write | None:
    """What to insert; None if it cannot fit: the start of a stream is known."""
    if append.expected.seq == 0 and append.expected != genesis(append.stream):
        return None
    return Write(append, Head(append.head, link(append.expected.hash, append.body)))
