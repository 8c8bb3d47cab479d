"""The tally in memory passes the suite of tallies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.tally import MemoryTally
from tests.contracts.tally import TallyContract


class TestMemoryTally(TallyContract):
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[MemoryTally]:
        yield MemoryTally(SystemClock())
