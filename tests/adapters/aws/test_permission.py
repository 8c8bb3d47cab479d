"""The policy documents allow the calls that are made, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.dynamodb.growth import Growth
from outlast.adapters.aws.dynamodb.lineage import lineage_of
from outlast.adapters.aws.dynamodb.retention import Retention
from outlast.adapters.aws.eventbridge import EventBridge
from outlast.adapters.aws.housekeeping import Housekeeping
from outlast.adapters.aws.permission import OPERATIONS, backup_policy, bus_arn, policy, witness_policy
from outlast.adapters.aws.prepare import Preparation, prepare_with
from outlast.adapters.aws.s3.archive import Archive
from outlast.adapters.aws.s3.collect import collect
from outlast.adapters.aws.usage import Usage
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.cell.presence import HostBeat
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Head
from outlast.kernel.error import UsageError
from tests.adapters.aws.opening import UNGUARDED, engine, options
from tests.adapters.aws.proxy import faulty
from tests.adapters.aws.test_anchor import bucket
from tests.adapters.aws.test_blob import Later
from tests.adapters.aws.test_depot import opened as depot
from tests.contracts.note import applied, key, note
from tests.contracts.publisher import publication


async def test_a_workers_policy_is_what_a_worker_calls(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal, blobs = opened.journal, opened.blobs
        stream = key(journal, "r")
        hint = HintPatch("r", agent="desk", session="s", created_at=1.0)
        head = applied(await journal.append(note(stream, genesis(stream), "n", hint=hint)))
        blobs._refresh_after_s = -1.0
        for seq in (1, 2, 3):
            await journal.save(Snapshot(stream, seq, head.hash, 1, b"x" * 100_000))
        await asyncio.gather(
            journal.load(stream), journal.read(stream), journal.streams("run"), journal.entry("r"), journal.due(9.0),
            journal.next_wake(9.0), journal.owned(), journal.list(session="s"), journal.counts(),
            opened.presence.beat(HostBeat("h", 1)), opened.presence.all(), blobs.put(b"x"), blobs.put(b"x" * 100_000),
        )  # fmt: skip
        await opened.presence.leave("h")
        assert set(opened.usage.calls) == set(OPERATIONS["worker"])


async def test_a_witness_policy_is_what_a_witness_calls(ministack: str, short_dir: Path) -> None:
    async with bucket(ministack, short_dir) as place:
        place.usage.calls.clear()
        await place.log().write([("run/r@0.local.abcd", Head(1, bytes(32)))])
        await place.known()
        assert set(place.usage.calls) == set(OPERATIONS["witness"])
    document = witness_policy("outlast-anchors/anchors/")
    resources = {statement["Resource"] for statement in document["Statement"]}
    assert resources == {"arn:aws:s3:::outlast-anchors/anchors/*", "arn:aws:s3:::outlast-anchors"}
    with pytest.raises(UsageError, match="needs the bucket"):
        policy(options("p", "http://127.0.0.1"), "1" * 12, "witness")


async def test_who_keeps_backups_can_remove_none_and_who_prunes_writes_none(ministack: str, short_dir: Path) -> None:
    async with depot(ministack, short_dir) as place:
        later = SystemClock().now() + 600
        await place.put("one", b"1")
        await place.put("one", b"1", later)
        await place.get("one")
        await place.hold("one", 1, later + 600)
        await place.names()
        assert set(place.usage.calls) == set(OPERATIONS["safekeeper"])
        await place.put("two", b"2")
        place.usage.calls.clear()
        assert await place.remove("two")
        assert set(place.usage.calls) == set(OPERATIONS["pruner"])
    document = backup_policy(["vault/desk/", "vault/other/"])
    granted = {statement["Sid"]: statement for statement in document["Statement"]}
    assert granted["Backups"]["Resource"] == ["arn:aws:s3:::vault/desk/*", "arn:aws:s3:::vault/other/*"]
    assert granted["Depot"] == {
        "Sid": "Depot", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::vault"],
    }  # fmt: skip
    assert not any("Delete" in action for action in granted["Backups"]["Action"])
    with pytest.raises(UsageError, match="where they lie"):
        policy(options("p", "http://127.0.0.1"), "1" * 12, "safekeeper")


async def test_a_keepers_policy_is_what_a_keeper_calls(ministack: str, short_dir: Path) -> None:
    clock, usage = SystemClock(), Usage()
    async with engine(options(short_dir.name, ministack)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        hint = HintPatch("r", state="completed", updated_at=1.0, created_at=1.0)
        applied(await journal.append(note(stream, genesis(stream), "n", hint=hint)))
        await opened.blobs.put(b"x")
        table = journal._streams._table
        for calls in (table._calls, opened.blobs._calls):
            calls.usage = usage
        for now in (clock, Later()):
            table._clock = now
            archive = Archive(opened.blobs._bucket, opened.blobs._calls)
            if now is clock:
                await archive.store(journal, stream)
                await archive.read(stream)
                await archive.streams("run")
            await lineage_of(table, "eu-central-1", OsRandomness())
            await Retention(table, journal.lineage, now, 1, by_table=False).walk()
        await collect(opened.blobs._bucket, opened.blobs._calls, Later(), set(), dry_run=False)
        opened.calls = {"dynamodb": table._calls, "s3": opened.blobs._calls}
        house = Housekeeping(
            options(short_dir.name, ministack), opened, journal, clock, OsRandomness(), lambda level, line: None, 1e9
        )
        await house.walk()
        await house.collect()
        assert set(usage.calls) == set(OPERATIONS["keeper"])


async def test_the_policies_of_a_follower_and_a_publisher_are_what_they_call(
    ministack: str, short_dir: Path, until: Any
) -> None:
    place = options(short_dir.name, ministack)
    heard: list[str] = []
    async with (
        engine(place, preparation=Preparation(deletion_protection=False, stream=True)) as opened,
        faulty(Place(place.region, ministack), 0) as (proxy, through),
    ):
        opened.usage.calls.clear()
        growth = Growth(
            place.table, opened.calls["dynamodb"], through, opened.journal, opened.journal.lineage, SystemClock(),
            lambda notices: heard.extend(notice.stream for notice in notices), lambda: 1_000, print,
        )  # fmt: skip
        stream = key(opened.journal, "r")
        applied(await opened.journal.append(note(stream, genesis(stream), "n")))
        following = asyncio.ensure_future(growth.run())
        try:
            await until(lambda: stream in heard, 20)
        finally:
            following.cancel()
            await asyncio.wait([following])
        asked = {f"dynamodb:{name}" for name in ("DescribeTable",) if opened.usage.calls[f"dynamodb:{name}"]}
        assert asked | {f"dynamodbstreams:{name}" for name in proxy.asked} == set(OPERATIONS["follower"])
        proxy.asked.clear()
        publisher = EventBridge("default", through)
        await publisher.publish([publication(1)])
        await publisher.close()
        assert {f"events:{name}" for name in proxy.asked} == set(OPERATIONS["publisher"])


async def test_a_preparers_policy_is_what_preparing_calls(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    clients = {service: Client(service, Place(place.region, ministack), 30.0) for service in ("dynamodb", "s3")}
    usage = Usage()
    try:
        for preparation in (UNGUARDED, msgspec.structs.replace(UNGUARDED, stream=True), UNGUARDED):
            await prepare_with(clients, place, SystemClock(), OsRandomness(), preparation, usage)
        made = Calls("dynamodb", clients["dynamodb"], "", Usage(), SystemClock(), OsRandomness())
        table = (await made.once("DescribeTable", TableName=place.table))["Table"]
        bucket = Calls("s3", clients["s3"], "", Usage(), SystemClock(), OsRandomness())
        versioning = await bucket.once("GetBucketVersioning", Bucket=place.bucket)
        assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
        closed = await bucket.once("GetPublicAccessBlock", Bucket=place.bucket)
    finally:
        for client in clients.values():
            await client.closed()
    assert set(usage.calls) == set(OPERATIONS["preparer"])
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {
        "open", "state", "agent", "session", "newest",
    }  # fmt: skip
    assert versioning["Status"] == "Enabled"
    assert all(closed["PublicAccessBlockConfiguration"].values())


def test_a_policy_names_one_table_one_bucket_and_no_wildcard_action() -> None:
    bus = bus_arn("outlast-x1", "eu-central-1", "123456789012")
    for role in OPERATIONS:
        place = options("x1", "http://127.0.0.1:1")
        anchors, backups = "outlast-x1-anchors/a/", ["outlast-x1-b/c/"]
        document = policy(place, "123456789012", role, bus=bus, anchors=anchors, backups=backups)
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement["Action"]
            assert not any("*" in action for action in statement["Action"])
            assert "outlast-x1" in str(statement["Resource"])
    indexes = policy(options("x1", "http://127.0.0.1:1"), "123456789012")["Statement"]
    assert {"arn:aws:dynamodb:eu-central-1:123456789012:table/outlast-x1/index/*", "arn:aws:s3:::outlast-x1/*"} <= {
        statement["Resource"] for statement in indexes
    }
    with pytest.raises(UsageError, match="12 digits"):
        policy(options("x1", "http://127.0.0.1:1"), "mine")


def test_several_roles_make_one_document_and_a_publisher_needs_a_bus() -> None:
    place, account = options("x1", "http://127.0.0.1:1"), "123456789012"
    bus = bus_arn("decisions", "eu-central-1", account)
    assert bus == "arn:aws:events:eu-central-1:123456789012:event-bus/decisions"
    assert bus_arn(bus, "", "") == bus
    document = policy(place, account, ["worker", "follower", "publisher"], bus=bus)
    found = {statement["Sid"]: statement for statement in document["Statement"]}
    assert found["Bus"] == {"Sid": "Bus", "Effect": "Allow", "Action": ["events:PutEvents"], "Resource": bus}
    assert found["Stream"]["Resource"].endswith(":table/outlast-x1/stream/*")
    assert {"dynamodb:DescribeTable", "dynamodb:PutItem"} <= set(found["Table"]["Action"])
    with pytest.raises(UsageError, match="event bus"):
        policy(place, account, "publisher")
