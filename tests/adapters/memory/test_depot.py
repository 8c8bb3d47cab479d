"""The depot in memory passes the suite."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from outlast.adapters.memory.depot import MemoryDepot
from tests.contracts.depot import DepotContract

_depots: dict[Path, MemoryDepot] = {}


class TestMemoryDepot(DepotContract):
    @contextlib.asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[MemoryDepot]:
        yield _depots.setdefault(directory, MemoryDepot())
