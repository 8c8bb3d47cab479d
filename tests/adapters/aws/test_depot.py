"""A depot in a bucket passes the suite; what is locked stays until its time, and locks only grow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.s3.depot import S3Depot
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.error import StoreUnavailable, UsageError
from tests.contracts.depot import DepotContract

REGION = "eu-central-1"


def client(address: str) -> Any:
    from botocore.session import get_session

    return get_session().create_client("s3", region_name=REGION, endpoint_url=address)


def bucket(address: str, name: str) -> str:
    """A bucket with object lock."""
    name = "depot-" + name.lower().replace("_", "-") + "-x"
    s3 = client(address)
    if name not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(
            Bucket=name, ObjectLockEnabledForBucket=True, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    return name


@contextlib.asynccontextmanager
async def opened(address: str, directory: Path) -> AsyncIterator[S3Depot]:
    depot = S3Depot(bucket(address, directory.name), "a/b", Place(REGION, address), SystemClock(), OsRandomness())
    try:
        yield depot
    finally:
        await depot.close()


class TestOnMinistack(DepotContract):
    @pytest.fixture(autouse=True)
    def _address(self, ministack: str) -> None:
        self.address = ministack

    def opened(self, directory: Path) -> Any:
        return opened(self.address, directory)


class TestOnMoto(DepotContract):
    @pytest.fixture(autouse=True)
    def _address(self, moto: str) -> None:
        self.address = moto

    def opened(self, directory: Path) -> Any:
        return opened(self.address, directory)


@pytest.mark.parametrize("server", ["ministack", "moto"])
async def test_what_is_locked_is_not_removed_and_a_lock_only_grows(
    server: str, request: pytest.FixtureRequest, short_dir: Path
) -> None:
    address = request.getfixturevalue(server)
    soon, later = time.time() + 1000, time.time() + 5000
    async with opened(address, short_dir) as depot:
        await depot.put("x", b"locked", soon)
        await depot.put("y", b"free")
        assert not await depot.remove("x")
        assert await depot.remove("y")
        assert await depot.hold("x", 6, later)
        assert await depot.hold("x", 6, soon)
        found = client(address).head_object(Bucket=bucket(address, short_dir.name), Key="a/b/x")
        assert found["ObjectLockMode"] == "COMPLIANCE"
        assert abs(found["ObjectLockRetainUntilDate"].timestamp() - later) <= 2
        await depot.put("x", b"locked", later + 1000)
        found = client(address).head_object(Bucket=bucket(address, short_dir.name), Key="a/b/x")
        assert found["ObjectLockRetainUntilDate"].timestamp() >= later + 999
        assert await depot.get("x") == b"locked"


async def test_a_bucket_that_is_not_there_is_said(ministack: str) -> None:
    depot = S3Depot("not-here-at-all", "", Place(REGION, ministack), SystemClock(), OsRandomness())
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        await depot.put("x", b"y")
    with pytest.raises(UsageError, match="not the name"):
        await depot.put("/x", b"y")
    await depot.close()
