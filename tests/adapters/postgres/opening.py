"""Opening engines in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.options import PostgresOptions
from tests.servers.postgres import PostgresServer

_numbers = count(1)


class Site(NamedTuple):
    """A schema of its own: much cheaper than a database, whose files are synced one by one."""

    url: str
    schema: str

    @classmethod
    def on(cls, server: PostgresServer) -> Site:
        return cls(server.url(), f"site_{next(_numbers)}")


@asynccontextmanager
async def opened(site: Site, **options: Any) -> AsyncIterator[PostgresEngine]:
    points = options.pop("points", None)
    told = {name: options.pop(name) for name in ("lost", "losses", "complain") if name in options}
    wanted = PostgresOptions(**{"url": site.url, "schema": site.schema, **options})
    async with PostgresEngine.open(wanted, SystemClock(), OsRandomness(), points, **told) as engine:
        yield engine
