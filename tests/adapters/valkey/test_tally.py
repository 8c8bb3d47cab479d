"""A real server passes the suite of tallies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.valkey.connection import Connection, ValkeyPlace
from outlast.adapters.valkey.tally import ValkeyTally
from tests.adapters.valkey.server import PASSWORD, Server, server
from tests.contracts.tally import TallyContract

pytest.importorskip("valkey")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("valkey")) as started:
        yield started


class TestValkeyTally(TallyContract):
    @pytest.fixture(autouse=True)
    def _there(self, alone: Server) -> None:
        alone.cli("flushall")
        self.server = alone

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ValkeyTally]:
        connection = Connection(ValkeyPlace((self.server.node,), timeout_s=2.0), SystemClock(), lambda: PASSWORD)
        yield ValkeyTally(connection)
        await connection.close()
