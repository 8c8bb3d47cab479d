"""The queue in memory passes the suite of queues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.queue import MemoryQueue
from tests.contracts.queue import RECEIVES_MAX, QueueContract


class TestMemoryQueue(QueueContract):
    @asynccontextmanager
    async def opened(self, hidden_s: float) -> AsyncIterator[MemoryQueue]:
        clock = SystemClock()
        dead = MemoryQueue("dead", clock)
        yield MemoryQueue("queue", clock, hidden_s=hidden_s, dead_letters=dead, receives_max=RECEIVES_MAX)
