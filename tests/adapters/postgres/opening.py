"""Opening engines in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.options import PostgresOptions


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PostgresEngine]:
    points = options.pop("points", None)
    async with PostgresEngine.open(PostgresOptions(url=url, **options), SystemClock(), OsRandomness(), points) as engine:
        yield engine
