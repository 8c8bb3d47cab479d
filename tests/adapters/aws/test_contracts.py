"""The engine passes the suites of its ports, on each server that stands in for AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outlast.adapters.aws.dynamodb.journal import DynamoJournal
from outlast.adapters.aws.dynamodb.presence import DynamoPresence
from outlast.adapters.aws.s3.blob import S3Blobs
from tests.adapters.aws.opening import engine, options
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.presence import PresenceContract
from tests.contracts.run_index import RunIndexContract
from tests.contracts.snapshot_store import SnapshotStoreContract


class OnMinistack:
    address: str

    @pytest.fixture(autouse=True)
    def _server(self, ministack: str) -> None:
        self.address = ministack


class OnMoto:
    address: str

    @pytest.fixture(autouse=True)
    def _server(self, moto: str) -> None:
        self.address = moto


class Journal:
    address: str

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[DynamoJournal]:
        async with engine(options(directory.name, self.address)) as opened:
            yield opened.journal


class Blobs:
    address: str

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[S3Blobs]:
        async with engine(options(directory.name, self.address)) as opened:
            yield opened.blobs


class Hosts:
    address: str

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[DynamoPresence]:
        async with engine(options(directory.name, self.address)) as opened:
            yield opened.presence


class TestStreamsOnMinistack(OnMinistack, Journal, EventStoreContract):
    pass


class TestIndexOnMinistack(OnMinistack, Journal, RunIndexContract):
    pass


class TestSnapshotsOnMinistack(OnMinistack, Journal, SnapshotStoreContract):
    pass


class TestPresenceOnMinistack(OnMinistack, Hosts, PresenceContract):
    pass


class TestBlobsOnMinistack(OnMinistack, Blobs, BlobStoreContract):
    pass


class TestStreamsOnMoto(OnMoto, Journal, EventStoreContract):
    pass


class TestIndexOnMoto(OnMoto, Journal, RunIndexContract):
    pass


class TestSnapshotsOnMoto(OnMoto, Journal, SnapshotStoreContract):
    pass


class TestPresenceOnMoto(OnMoto, Hosts, PresenceContract):
    pass


class TestBlobsOnMoto(OnMoto, Blobs, BlobStoreContract):
    pass
