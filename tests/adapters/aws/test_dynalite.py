"""The streams' suite on dynalite: a third opinion on conditional writes. It has neither S3 nor recovery."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.dynamodb.journal import DynamoJournal
from outlast.adapters.aws.dynamodb.lineage import lineage_of
from outlast.adapters.aws.dynamodb.table import Table
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.prepare import table_definition
from outlast.adapters.aws.usage import Usage
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.kernel.point import NoPoints
from tests.adapters.aws.opening import UNPROTECTED
from tests.contracts.event_store import EventStoreContract

_unknown = ("SSESpecification", "DeletionProtectionEnabled")  # what dynalite does not know


class TestStreamsOnDynalite(EventStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, dynalite: str) -> None:
        self.address = dynalite

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[DynamoJournal]:
        clock, randomness = SystemClock(), OsRandomness()
        client = Client("dynamodb", Place("eu-central-1", self.address), 10.0, 32)
        try:
            calls = Calls("dynamodb", client, "dynalite", Usage(), clock, randomness)
            definition = table_definition(directory.name, UNPROTECTED)
            try:
                await calls.once("CreateTable", **{k: v for k, v in definition.items() if k not in _unknown})
            except CallFailed as failed:
                assert "ResourceInUseException" in str(failed)
            while (await calls.once("DescribeTable", TableName=directory.name))["Table"]["TableStatus"] != "ACTIVE":
                await clock.sleep(0.02)
            table = Table(directory.name, calls, clock)
            lineage = await lineage_of(table, "local", randomness)
            journal = DynamoJournal(table, lineage, MemoryBlobs(), clock, NoPoints())
            yield journal
            await journal.close()
        finally:
            await client.closed()
