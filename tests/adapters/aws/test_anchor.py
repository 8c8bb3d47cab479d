"""Anchored heads in a bucket: nothing is overwritten, what is missing shows, locked ones stay."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.s3.anchor import S3Anchors
from outlast.adapters.aws.usage import Usage
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.journal.anchor import LoggedAnchors
from outlast.journal.lineage import Lineage
from outlast.kernel.error import StoreCorrupt, StoreUnavailable
from tests.contracts.anchor_log import STREAM, AnchorLogContract, head
from tests.servers.microburst import Faults

LINEAGE = Lineage(0, "local", "abcd")
_writers = count(1)


class Bucket:
    """A bucket of its own, made when it is first used."""

    def __init__(self, address: str, name: str, *, locked: bool = False) -> None:
        self.name = re.sub(r"[^a-z0-9]", "0", name.lower())[-40:].rjust(6, "b")
        self.client = Client("s3", Place("eu-central-1", address), 20.0)
        self.usage = Usage()
        self.calls = Calls("s3", self.client, "s3", self.usage, SystemClock(), OsRandomness())
        self.locked = locked

    async def make(self) -> None:
        try:
            await self.calls.once(
                "CreateBucket", Bucket=self.name, ObjectLockEnabledForBucket=self.locked,
                CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
            )  # fmt: skip
        except CallFailed as failed:
            if "Already" not in str(failed):
                raise

    def log(self, **more: Any) -> S3Anchors:
        return S3Anchors(self.name, self.calls, SystemClock(), LINEAGE, f"w{next(_writers)}", **more)

    async def names(self) -> list[str]:
        answer = await self.calls.many("ListObjectsV2", Bucket=self.name)
        return [one["Key"] for one in answer.get("Contents", [])]

    async def known(self) -> tuple[dict[str, int], list[str]]:
        anchors = LoggedAnchors([self.log()])
        found = await anchors.all()
        return {stream: end.seq for stream, end in found.items()}, anchors.faults


@asynccontextmanager
async def bucket(address: str, directory: Path, **more: Any) -> AsyncIterator[Bucket]:
    made = Bucket(address, str(directory), **more)
    try:
        await made.make()
        yield made
    finally:
        await made.client.closed()


class _OnServer(AnchorLogContract):
    address: str

    @asynccontextmanager
    async def log(self, directory: Path) -> AsyncIterator[S3Anchors]:
        async with bucket(self.address, directory) as opened:
            yield opened.log()


class TestMinistack(_OnServer):
    @pytest.fixture(autouse=True)
    def _server(self, ministack: str) -> None:
        self.address = ministack


class TestMoto(_OnServer):
    @pytest.fixture(autouse=True)
    def _server(self, moto: str) -> None:
        self.address = moto


async def test_a_segment_that_is_missing_or_changed_shows(ministack: str, short_dir: Path) -> None:
    async with bucket(ministack, short_dir) as place:
        log = place.log()
        for number in range(1, 5):
            await log.write([(STREAM, head(number))])
        names = await place.names()
        assert await place.known() == ({STREAM: 4}, [])
        kept = await log._get(names[1])
        await place.calls.once("DeleteObject", Bucket=place.name, Key=names[1])
        found, faults = await place.known()
        assert found == {STREAM: 4}
        assert [fault for fault in faults if "segment 2 is missing" in fault]
        assert kept is not None
        await place.calls.once("PutObject", Bucket=place.name, Key=names[1], Body=kept.replace(b",2,", b",3,"))
        _, faults = await place.known()
        assert len(faults) == 1
        assert "altered or removed" in faults[0]


async def test_nobody_overwrites_and_a_lost_answer_is_sent_again_as_it_was(faults: Faults, short_dir: Path) -> None:
    async with bucket(faults.address, short_dir) as place:
        log = place.log()
        await log.write([(STREAM, head(1))])
        faults.set({"operation": "PutObject", "error": {"code": "SlowDown", "status": 503}})
        with pytest.raises(StoreUnavailable):
            await log.write([(STREAM, head(2))])
        faults.set()
        await log.write([(STREAM, head(3))])
        assert await place.known() == ({STREAM: 3}, [])
        assert len(await place.names()) == 3, "what could not be sent came first"
        again = log
        again._number, again._before = 2, "x" * 64
        with pytest.raises(StoreCorrupt, match="nothing was overwritten"):
            await again.write([(STREAM, head(9))])
        assert await place.known() == ({STREAM: 3}, [])


@pytest.mark.parametrize("server", ["ministack", "moto"])
async def test_a_locked_segment_cannot_be_deleted_hidden_or_replaced(
    server: str, request: pytest.FixtureRequest, short_dir: Path
) -> None:
    async with bucket(request.getfixturevalue(server), short_dir, locked=True) as place:
        await place.log(lock_s=3600.0).write([(STREAM, head(1))])
        (name,) = await place.names()
        answer = await place.calls.once("ListObjectVersions", Bucket=place.name)
        (version,) = answer["Versions"]
        with pytest.raises(CallFailed, match="AccessDenied"):
            await place.calls.once("DeleteObject", Bucket=place.name, Key=name, VersionId=version["VersionId"])
        await place.calls.once("DeleteObject", Bucket=place.name, Key=name)  # puts a marker in front of it
        assert await place.names() == []
        assert await place.known() == ({STREAM: 1}, []), "it is read all the same"
        await place.calls.once("PutObject", Bucket=place.name, Key=name, Body=b"{}", ChecksumAlgorithm="SHA256")
        assert await place.known() == ({STREAM: 1}, []), "what was put over it is not"


async def test_more_than_one_page_of_names_is_read(
    ministack: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.adapters.aws.s3.anchor._list_max", 3)
    async with bucket(ministack, short_dir) as place:
        for _ in range(3):
            log = place.log()
            for number in range(1, 8):
                await log.write([(STREAM, head(number))])
        anchors = LoggedAnchors([place.log()])
        assert await anchors.all() == {STREAM: head(7)}
        assert (anchors.segments, anchors.faults) == (21, [])
