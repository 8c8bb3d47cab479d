"""Promotes a standby when the primary is dead: what RDS or Patroni does, as a process of its own.

It knows the servers' addresses and nothing of Outlast or of the drill, which learns from it only where the primary is
now: ``python -m outlast.drill.failover.watcher``, settings as one line of JSON on its input, one line of JSON on its
output for each promotion, ends when its input does.

A primary is dead when it refused `refusals` connections in a row. The standby that has flushed most is promoted once
*both* were asked: one of them has every commit that `ANY 1 (s1, s2)` acknowledged, and nobody knows which. The other is
then pointed at it. An old primary that returns is not in recovery: it is no standby, and is left alone.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.output import print_whole
from outlast.kernel.clock import Clock

look_every_s = 0.05
promoted_every_s = 0.01
refusals = 2
"""Connections in a row that fail before a primary counts as dead."""
answer_s = 1.0
"""How long a server may take to answer."""


class Watched(msgspec.Struct, frozen=True):
    """One server: its name, and how to reach it as the superuser."""

    name: str
    conninfo: str
    port: int


class Orders(msgspec.Struct, frozen=True):
    """Whom to watch, and which one is the primary at first."""

    primary: str
    servers: tuple[Watched, ...]
    secret: str
    """The password of the superuser, for the standby that is pointed at another primary."""


class Promotion(msgspec.Struct, frozen=True):
    """`primary` was found dead at the monotonic time `noticed`; `chosen` took writes at `done`."""

    primary: str
    chosen: str
    noticed: float
    done: float
    flushed: dict[str, str]
    """The end of the log that each standby had."""


class Watcher:
    """Knows who is the primary, as long as it lives."""

    def __init__(self, orders: Orders, clock: Clock) -> None:
        self._servers = {server.name: server for server in orders.servers}
        self._primary = orders.primary
        self._secret = orders.secret
        self._clock = clock

    async def next_promotion(self) -> Promotion:
        """Watch until the primary is dead; promote; return what was done."""
        failed = 0
        while failed < refusals:
            failed = 0 if await self._answers(self._primary) else failed + 1
            await self._clock.sleep(look_every_s)
        noticed = self._clock.monotonic()
        while True:
            flushed = await self._flushed()
            if len(flushed) == 2:
                break
            await self._clock.sleep(look_every_s)
        chosen = max(flushed, key=lambda name: flushed[name])
        await self._ask(chosen, "SELECT pg_promote(false)")
        dead, self._primary = self._primary, chosen
        await self._follow(next(name for name in flushed if name != chosen))
        while await self._ask(chosen, "SELECT 1 WHERE NOT pg_is_in_recovery()") != [(1,)]:
            await self._clock.sleep(promoted_every_s)
        done = self._clock.monotonic()
        return Promotion(dead, chosen, noticed, done, {name: _text(flushed[name]) for name in flushed})

    async def _answers(self, name: str) -> bool:
        return await self._ask(name, "SELECT 1") is not None

    async def _flushed(self) -> dict[str, int]:
        """By standby that answers: the end of what it has on disk."""
        query = (
            "SELECT pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')::bigint"
            " WHERE pg_is_in_recovery()"
        )
        found = {name: await self._ask(name, query) for name in self._servers if name != self._primary}
        return {name: int(rows[0][0]) for name, rows in found.items() if rows}

    async def _follow(self, name: str) -> None:
        rows = await self._ask(
            name, r"SELECT substring(current_setting('primary_conninfo') FROM 'application_name=''?(\w+)')"
        )
        known = rows[0][0] if rows else ""
        port = self._servers[self._primary].port
        conninfo = f"host=127.0.0.1 port={port} user=postgres password={self._secret} application_name={known}"
        await self._ask(name, f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'")
        await self._ask(name, "SELECT pg_reload_conf()")

    async def _ask(self, name: str, query: str) -> list[tuple[Any, ...]] | None:
        """Rows; None if it does not answer."""
        import psycopg

        try:
            async with asyncio.timeout(answer_s):
                connection = await psycopg.AsyncConnection.connect(self._servers[name].conninfo, autocommit=True)
                async with connection:
                    cursor = await connection.execute(query.encode())
                    return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, TimeoutError):
            return None


def _text(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:08X}"


async def watch() -> None:
    """Until the input ends."""
    loop = asyncio.get_running_loop()
    orders = msgspec.json.decode(await loop.run_in_executor(None, sys.stdin.buffer.readline), type=Orders)
    watcher = Watcher(orders, SystemClock())
    closed = loop.run_in_executor(None, sys.stdin.buffer.read)

    async def forever() -> None:
        while True:
            promotion = await watcher.next_promotion()
            sys.stdout.buffer.write(msgspec.json.encode(promotion) + b"\n")
            sys.stdout.buffer.flush()

    watching = loop.create_task(forever())
    await asyncio.wait([closed, watching], return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        await watching
    watching.cancel()


if __name__ == "__main__":
    print_whole()
    asyncio.run(watch())
