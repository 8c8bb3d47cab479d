"""One connection: bounded in time, named, and listened to for warnings."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, cast

import msgspec
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper

from outlast.adapters.postgres.fault import translating

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]
_PREPARE_AFTER = 2  # uses of a statement


class Standing(msgspec.Struct, frozen=True, order=True):
    """How far a server's history has come: which cluster, on which timeline, up to which byte of its log.

    A promotion begins a new timeline.
    """

    system: str
    timeline: int
    lsn: int


class Session:
    """A connection of libpq. One statement at a time; every statement is a transaction of its own."""

    def __init__(self, connection: psycopg.AsyncConnection[Row], place: str, answer_s_max: float) -> None:
        self._connection = connection
        self._answer_s_max = answer_s_max
        self.place = place
        """``host:port/database``, for people."""
        self.standing: Standing | None = None
        """None where the server does not say."""
        self.epoch = 0
        """Of `Servers`, when it was made: one of an earlier epoch belongs to a primary that was."""
        self.warnings: list[str] = []
        """What the server said besides the result, since it was last emptied."""
        self._late = False
        connection.add_notice_handler(self._on_notice)
        connection.prepare_threshold = _PREPARE_AFTER
        connection.adapters.register_dumper(int, Int8BinaryDumper)  # one type for all numbers: one plan for all calls

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        self.warnings.append(f"{notice.severity_nonlocalized or notice.severity}: {notice.message_primary}")

    @property
    def usable(self) -> bool:
        """Whether it can take a statement."""
        connection = self._connection
        return not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE

    @property
    def pid(self) -> int:
        """The process that serves it."""
        return self._connection.pgconn.backend_pid

    async def rows(self, statement: str, values: Values = (), more_s: float = 0.0) -> list[Row]:
        """Run one statement; the rows it returns. Durable when it returns, if it wrote.

        Raises StoreUnavailable also when no answer came within `answer_s_max` and `more_s`: what it did is not known.
        """
        with translating(self.place), self._bounded(more_s):
            return await self._rows(statement, values)

    async def quickly(self, statement: str, values: Values) -> list[Row]:
        """As `rows`, but raises what psycopg raises."""
        with self._bounded():
            return await self._rows(statement, values)

    async def _rows(self, statement: str, values: Values) -> list[Row]:
        cursor = self._connection.cursor(binary=True)
        await cursor.execute(cast("LiteralString", statement), values)
        return await cursor.fetchall() if cursor.description else []

    async def together(self, statements: Sequence[tuple[str, Values]]) -> None:
        """Run several statements in one transaction."""
        with translating(self.place), self._bounded():
            async with self._connection.pipeline(), self._connection.transaction():
                for statement, values in statements:
                    await self._connection.execute(cast("LiteralString", statement), values, binary=True)

    async def transact(self, work: Callable[[psycopg.AsyncConnection[Row]], Awaitable[None]]) -> None:
        """Run `work` in one transaction. Raises what psycopg raises."""
        with self._bounded():
            async with self._connection.transaction():
                await work(self._connection)

    async def notices(self, wait_s: float) -> AsyncGenerator[tuple[str, int]]:
        """Payload and sender of each notification that arrives within `wait_s` seconds."""
        with translating(self.place):
            async for notify in self._connection.notifies(timeout=wait_s):
                yield notify.payload, notify.pid

    @contextmanager
    def _bounded(self, more_s: float = 0.0) -> Generator[None]:
        """Sever the connection when it takes too long.

        Not by cancelling: psycopg would ask the server to cancel, and a commit whose wait for its standby is cancelled
        is there without being replicated; and a server that is stopped never answers that either.
        """
        timer = asyncio.get_running_loop().call_later(self._answer_s_max + more_s, self._expire)
        try:
            yield
        except psycopg.OperationalError:
            if self._late:
                raise psycopg.OperationalError(f"no answer within {self._answer_s_max:g} s (answer_s_max)") from None
            raise
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._late = True
        self.sever()

    def sever(self) -> None:
        """End the connection at once, also under a statement that waits: it fails then. Any number of times."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as channel:
            channel.shutdown(socket.SHUT_RDWR)  # not closed: the event loop still watches the descriptor

    async def close(self) -> None:
        """Close it; any number of times."""
        with suppress(psycopg.Error):
            await self._connection.close()
