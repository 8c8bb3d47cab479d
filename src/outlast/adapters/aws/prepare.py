"""Make table and bucket, for tests and small installations. What is there already is left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.s3.owner import mark_table
from outlast.adapters.aws.usage import Usage
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreUnavailable
from outlast.kernel.randomness import Randomness

_active_tries_max = 120
_active_every_s = 0.5
_noncurrent_days = 30
_read_timeout_s = 30.0


class Preparation(msgspec.Struct, frozen=True):
    """What is made, and what guards the data against mistakes. Tests switch deletion protection off."""

    deletion_protection: bool = True
    point_in_time_recovery: bool = True
    expiry: bool = True
    """Let DynamoDB remove expired items; switch it off where it cannot (strongly consistent global tables)."""
    bucket: bool = True
    """Make the bucket too."""
    stream: bool = False
    """Let the table tell which keys changed: for who publishes its events (`dynamodb/growth.py`)."""
    object_lock: bool = False
    """Make a new bucket with object lock, for retention rules of your own."""


async def prepare(
    options: AwsOptions, clock: Clock, randomness: Randomness, preparation: Preparation | None = None
) -> None:
    """Make what is lacking: the table with its indexes, billed on demand, and the bucket, versioned, closed to the
    public, encrypted. Any number of times. Raises StoreUnavailable.

    Needs rights that workers should not have (`permission.py`).
    """
    place = Place(options.region, options.endpoint_url)
    clients = {service: Client(service, place, _read_timeout_s) for service in ("dynamodb", "s3")}
    try:
        await prepare_with(clients, options, clock, randomness, preparation or Preparation())
    finally:
        for client in clients.values():
            await client.closed()


async def prepare_with(
    clients: Mapping[str, Client], options: AwsOptions, clock: Clock, randomness: Randomness, preparation: Preparation,
    usage: Usage | None = None,
) -> None:  # fmt: skip
    """As `prepare`, with clients that are there. `usage` counts."""
    usage = usage or Usage()
    for service, make in (("dynamodb", _prepare_table), ("s3", _prepare_bucket)):
        if service == "s3" and not preparation.bucket:
            continue
        where = f"{service} in {options.region}"
        await make(Calls(service, clients[service], where, usage, clock, randomness), options, preparation, clock)


def table_definition(table: str, preparation: Preparation) -> dict[str, Any]:
    """The table as CreateTable takes it."""
    names = {"pk", "sk"} | {name for keys in layout.INDEXES.values() for name in keys}
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": _keys(*keys),
                "Projection": {"ProjectionType": "ALL" if index in layout.WHOLE else "KEYS_ONLY"},
            }
            for index, keys in layout.INDEXES.items()
        ],
        "SSESpecification": {"Enabled": True},
        "DeletionProtectionEnabled": preparation.deletion_protection,
    }


def _keys(hash_name: str, range_name: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_name, "KeyType": "HASH"},
        {"AttributeName": range_name, "KeyType": "RANGE"},
    ]


async def _prepare_table(calls: Calls, options: AwsOptions, preparation: Preparation, clock: Clock) -> None:
    status = await _status(calls, options.table)
    if status is None:
        await calls.many("CreateTable", **table_definition(options.table, preparation))
    for _ in range(_active_tries_max):
        if await _status(calls, options.table) == "ACTIVE":
            break
        await clock.sleep(_active_every_s)
    else:
        raise StoreUnavailable(f"table {options.table} is still not active: look at it in the console")
    if preparation.point_in_time_recovery:
        await calls.many(
            "UpdateContinuousBackups",
            TableName=options.table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )
    if preparation.expiry:
        found = await calls.many("DescribeTimeToLive", TableName=options.table)
        if found["TimeToLiveDescription"]["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
            await calls.many(
                "UpdateTimeToLive",
                TableName=options.table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
            )
    if preparation.stream:
        told = (await calls.many("DescribeTable", TableName=options.table))["Table"]
        if not told.get("StreamSpecification", {}).get("StreamEnabled"):
            await calls.many(
                "UpdateTable",
                TableName=options.table,
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
            )


async def _status(calls: Calls, table: str) -> str | None:
    try:
        answer = await calls.many("DescribeTable", TableName=table)
    except CallFailed as failed:
        if "ResourceNotFoundException" in str(failed):
            return None
        raise
    indexes = answer["Table"].get("GlobalSecondaryIndexes", [])
    if any(index.get("IndexStatus", "ACTIVE") != "ACTIVE" for index in indexes):
        return "CREATING"
    return str(answer["Table"]["TableStatus"])


async def _prepare_bucket(calls: Calls, options: AwsOptions, preparation: Preparation, clock: Clock) -> None:
    bucket = options.bucket
    try:
        await calls.many("HeadBucket", Bucket=bucket)  # if it is there it may have rules of its own
    except CallFailed as failed:
        if failed.kind != "absent":
            raise
        await _make_bucket(calls, options, preparation)
    await mark_table(calls, bucket, options.table)


async def _make_bucket(calls: Calls, options: AwsOptions, preparation: Preparation) -> None:
    bucket = options.bucket
    where = {} if options.region == "us-east-1" else {
        "CreateBucketConfiguration": {"LocationConstraint": options.region}
    }  # fmt: skip
    await calls.many("CreateBucket", Bucket=bucket, ObjectLockEnabledForBucket=preparation.object_lock, **where)
    await calls.many(
        "PutPublicAccessBlock",
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    await calls.many("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    await calls.many(
        "PutBucketEncryption",
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
        },
    )
    await calls.many(
        "PutBucketLifecycleConfiguration",
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "old versions",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": _noncurrent_days},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
            ]
        },
    )
