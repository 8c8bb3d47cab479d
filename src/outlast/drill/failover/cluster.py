"""A primary and two streaming standbys; on the way of a drill, each becomes each."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

from outlast.drill.failover.server import Server, owner
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreUnavailable
from outlast.kernel.randomness import Randomness

Mode = Literal["sync", "async"]
"""sync: a commit is acknowledged once one of two standbys has it on disk · async: once the primary has."""

standby_names = ("s1", "s2")
"""What the two standbys call themselves, whichever servers they are."""
role = database = "outlast"
"""Owner of its own database, and nothing else."""
synchronous = "'ANY 1 (s1, s2)'"
streaming_within_s = 30.0
_poll_s = 0.02


class Cluster:
    """Use `opened`. `servers` are always three; `primary` is the one that this drill believes to be it."""

    def __init__(self, place: Path, mode: Mode, password: str, clock: Clock) -> None:
        self.place = place
        self.mode: Mode = mode
        self.password = password
        """Of the superuser, and of the role that the load uses: never show it."""
        self._clock = clock
        self.servers = [Server(f"n{number}", place, password, clock) for number in range(3)]
        self.primary = self.servers[0]
        self.names: dict[str, str] = {}
        """By which name each standby is known to the primary."""

    @property
    def standbys(self) -> list[Server]:
        return [server for server in self.servers if server is not self.primary]

    async def __aenter__(self) -> Cluster:
        names = synchronous if self.mode == "sync" else "''"
        await self.primary.init({"synchronous_standby_names": "''"})
        await self.primary.start()
        await self.primary.ready()
        for server, name in zip(self.standbys, standby_names, strict=True):
            await self.join(server, name)
        for server in self.servers:  # the standbys too: one of them will be the primary
            await server.ask(f"ALTER SYSTEM SET synchronous_standby_names = {names}")
            await server.ask("SELECT pg_reload_conf()")
        await self.primary.ask(f"CREATE ROLE {role} LOGIN PASSWORD '{self.password}'")
        await self.primary.ask(f"CREATE DATABASE {database} OWNER {role}")
        return self

    def url(self, servers: Sequence[Server] | None = None) -> str:
        """How Outlast reaches the database on these servers (default: on all). It holds a password."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers or self.servers)
        return f"postgresql://{role}:{self.password}@{hosts}/{database}"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # standbys first: a primary that ends in order waits until they have everything
        for server in (*self.standbys, self.primary):
            await server.stop()

    async def join(self, server: Server, name: str) -> None:
        """Make `server` a standby of the primary, and return when it follows."""
        await server.copy(self.primary, name)
        await server.start()
        await server.ready()
        self.names[server.name] = name
        await self.following(1, name)

    async def following(self, count: int, name: str = "") -> None:
        """Return when so many standbys (of this name, if one is given) stream from the primary.

        Raises StoreUnavailable.
        """
        until = self._clock.monotonic() + streaming_within_s
        query = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
        while True:
            found = {row[0] for row in await self.primary.ask(query)}
            if len(found & ({name} if name else set(standby_names))) >= count:
                return
            if self._clock.monotonic() > until:
                raise StoreUnavailable(f"only {sorted(found)} follow {self.primary.name}, {count} were expected")
            await self._clock.sleep(_poll_s)

    def promoted(self, server: Server) -> str:
        """The watcher has promoted `server`: the name that has become free."""
        self.primary = server
        return self.names.pop(server.name)


@asynccontextmanager
async def opened(
    mode: Mode, clock: Clock, randomness: Randomness, place: Path | None = None
) -> AsyncGenerator[Cluster]:
    """Three servers in a new directory below `place` (default: the machine's temporary one), removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="outlast-failover-", dir=place))
    user = owner()
    if user is not None:
        await asyncio.to_thread(shutil.chown, path, user)
    try:
        async with Cluster(path, mode, randomness.token(18).hex(), clock) as cluster:
            yield cluster
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
