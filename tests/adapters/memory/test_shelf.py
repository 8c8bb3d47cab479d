"""The shelf in memory passes the suite of shelves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.shelf import MemoryShelf
from tests.contracts.shelf import ShelfContract


class TestMemoryShelf(ShelfContract):
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[MemoryShelf]:
        yield MemoryShelf(SystemClock())
