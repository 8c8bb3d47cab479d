"""A few sessions for questions: as many as are needed at once, at most `size`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from outlast.adapters.postgres.session import Row, Session, Values
from outlast.kernel.error import StoreUnavailable

T = TypeVar("T")


class Pool:
    """Sessions on the server that `connect` reaches; `epoch` tells which of them are of a primary that was."""

    def __init__(self, connect: Callable[[], Awaitable[Session]], epoch: Callable[[], int], size: int) -> None:
        self._connect = connect
        self._epoch = epoch
        self._free = asyncio.Semaphore(size)
        self._idle: list[Session] = []
        self._used: set[Session] = set()
        self._closed = False

    async def rows(self, statement: str, values: Values = (), more_s: float = 0.0) -> list[Row]:
        """The rows of a question, as `Session.rows`. Asked once more if the session was lost while nobody used it.

        Raises StoreUnavailable, StoreCorrupt.
        """
        return await self.ask(lambda session: session.rows(statement, values, more_s))

    async def ask(self, question: Callable[[Session], Awaitable[T]]) -> T:
        """As `rows`, for several statements that may be repeated."""
        async with self._session() as (session, fresh):
            try:
                return await question(session)
            except StoreUnavailable:
                if fresh or session.usable:
                    raise
        async with self._session(fresh=True) as (session, _):
            return await question(session)

    @asynccontextmanager
    async def _session(self, *, fresh: bool = False) -> AsyncGenerator[tuple[Session, bool]]:
        async with self._free:
            if self._closed:
                raise StoreUnavailable("the database was closed: open it again")
            session = None if fresh else await self._kept()
            new = session is None
            if session is None:
                session = await self._connect()
            self._used.add(session)
            try:
                yield session, new
            finally:
                self._used.discard(session)
                if session.usable and not self._closed:
                    self._idle.append(session)
                else:
                    await session.close()

    async def _kept(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.usable and session.epoch == self._epoch():
                return session
            await session.close()
        return None

    async def close(self) -> None:
        """Close all sessions, also those in use; any number of times."""
        self._closed = True
        for session in self._used:
            session.sever()
        while self._idle:
            await self._idle.pop().close()
