"""The publisher in memory passes the suite of publishers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from outlast.adapters.memory.publisher import MemoryPublisher
from outlast.journal.publication import Publication
from tests.contracts.publisher import Hear, PublisherContract


class TestMemoryPublisher(PublisherContract):
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[MemoryPublisher, Hear]]:
        publisher = MemoryPublisher()

        async def hear() -> Sequence[Publication]:
            return publisher.published

        yield publisher, hear
