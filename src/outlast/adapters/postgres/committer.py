"""Appends go out in rounds, one at a time: what gathers while one is under way shares the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import psycopg

from outlast.adapters.postgres.fault import is_passing, translated
from outlast.adapters.postgres.gathering import Gathering
from outlast.adapters.postgres.round import Doubt, Round
from outlast.adapters.postgres.server import Servers
from outlast.adapters.postgres.session import Session
from outlast.adapters.postgres.statement import check_patch
from outlast.journal.lineage import Lineage
from outlast.journal.stream import Append, Outcome, Reply, Unknown, check_append, check_stream
from outlast.kernel.error import OutlastError, StoreUnavailable, UsageError

waiting_count_max = 65_536
"""Bound of the appends that wait for a round; more are Unknown at once."""


class Committer:
    """Takes appends, commits and answers them. Belongs to one event loop."""

    def __init__(self, servers: Servers, lineage: Lineage, round: Round) -> None:
        self._servers = servers
        self._lineage = lineage
        self._round = round
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
            check_patch(append.hint)
        loop = asyncio.get_running_loop()
        if self._closed or len(self._gathering) >= waiting_count_max:
            why = "is closed: open it again" if self._closed else "has too many appends waiting (waiting_count_max)"
            loop.call_soon(_answer, reply, Unknown(f"journal {why}"))
            return
        self._gathering.offer(reply, append)
        if self._task is None:
            self._task = loop.create_task(self._rounds(), name="postgres appends")

    async def _rounds(self) -> None:
        """Until nothing waits."""
        try:
            while len(self._gathering):
                taken = self._gathering.take()
                try:
                    outcomes = await self._carry_out([append for _, append in taken])
                except Doubt as doubt:
                    outcomes = [Unknown(str(doubt))] * len(taken)
                except BaseException:
                    for reply, _ in taken:
                        _answer(reply, Unknown("the journal was stopped"))
                    raise
                for (reply, _), outcome in zip(taken, outcomes, strict=True):
                    _answer(reply, outcome)
        finally:
            self._task = None

    async def _carry_out(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        """The outcome of each append of a round. Raises Doubt."""
        session = await self._connected()
        try:
            return await self._round.outcomes(session, appends)
        except psycopg.Error as error:
            if not is_passing(error) or not session.usable:
                await self._drop()
            raise Doubt(str(translated(error, session.place))) from None
        except Doubt:
            await self._drop()
            raise
        except BaseException:
            session.sever()
            raise

    async def _connected(self) -> Session:
        session = self._session
        if session is not None and session.usable and session.epoch == self._servers.epoch:
            return session
        await self._drop()
        try:
            self._session = await self._servers.connect("write")
        except OutlastError as error:
            raise Doubt(str(error)) from None
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


def _answer(reply: Reply, outcome: Outcome) -> None:
    if not reply.done():
        reply.set_result(outcome)
