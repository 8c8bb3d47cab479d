"""Opt-in: the engine on a real AWS account, in tables and buckets of its own that are deleted afterwards.

``make aws-proof REGION=eu-central-1`` with credentials of the standard chain that may do what the role ``preparer`` may
do, and delete what they made. **It has not been run on AWS yet**; ``ENDPOINT=`` tries the checks on an emulator. The
suite of the index is left out: secondary indexes lag there, and its tests expect to find at once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.dynamodb.presence import DynamoPresence
from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Preparation
from outlast.adapters.aws.s3.blob import S3Blobs
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.point import NoPoints
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.presence import PresenceContract
from tests.contracts.snapshot_store import SnapshotStoreContract

REGION = os.environ.get("AWS_PROOF_REGION", "")
ENDPOINT = os.environ.get("AWS_PROOF_ENDPOINT") or None

pytestmark = [
    pytest.mark.skipif(not REGION, reason="opt-in, needs an AWS account: make aws-proof REGION=…"),
    pytest.mark.timeout(900),
]

_made: dict[Path, AwsOptions] = {}


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[AwsEngine]:
    """The engine of a test; the same again if the test opens it again."""
    if directory not in _made:
        name = f"outlast-proof-{os.urandom(6).hex()}"
        _made[directory] = AwsOptions(name, name, REGION, ENDPOINT)
    ways = SystemClock(), OsRandomness(), NoPoints()
    async with AwsEngine.open(_made[directory], *ways, preparation=Preparation(deletion_protection=False)) as engine:
        yield engine


@pytest.fixture(autouse=True)
def _deleted() -> Any:
    """What a test made is gone after it."""
    yield
    from botocore.session import get_session

    for made in _made.values():
        clients: Any = [
            get_session().create_client(service, region_name=REGION, endpoint_url=ENDPOINT)
            for service in ("dynamodb", "s3")
        ]
        tables, objects = clients
        tables.delete_table(TableName=made.table)
        for page in objects.get_paginator("list_object_versions").paginate(Bucket=made.bucket):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                objects.delete_object(Bucket=made.bucket, Key=one["Key"], VersionId=one["VersionId"])
        objects.delete_bucket(Bucket=made.bucket)
    _made.clear()


class Journal:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[Any]:
        async with opened(directory) as engine:
            yield engine.journal


class TestStreams(Journal, EventStoreContract):
    pass


class TestSnapshots(Journal, SnapshotStoreContract):
    pass


class TestBlobs(BlobStoreContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[S3Blobs]:
        async with opened(directory) as engine:
            yield engine.blobs


class TestPresence(PresenceContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[DynamoPresence]:
        async with opened(directory) as engine:
            yield engine.presence
