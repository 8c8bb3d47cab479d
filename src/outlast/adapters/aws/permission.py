"""Least privilege: what each role must be allowed, from the calls that this package makes.

`OPERATIONS` names every call. The tests record what the adapters ask of a server and compare it with these names, so a
call that is not here, or a right that nothing uses, is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from outlast.adapters.aws.option import AwsOptions
from outlast.kernel.error import UsageError

Role = Literal["worker", "keeper", "follower", "publisher", "witness", "safekeeper", "pruner", "preparer"]
"""worker: whoever runs agents, serves or reads · keeper: who archives streams, collects blobs and removes runs after
their retention · follower: who hears from the table what grew · publisher: who publishes events · witness: who
anchors the ends of streams in a bucket, and reads them · safekeeper: who takes, tries and restores backups in a
bucket, and can remove none · pruner: who removes old ones · preparer: who makes table and bucket, once."""

Scope = Literal["table", "indexes", "stream", "bucket", "objects", "bus", "anchors", "witness", "backups", "depot"]

OPERATIONS: Mapping[Role, Mapping[str, tuple[tuple[str, Scope], ...]]] = {
    "worker": {
        "dynamodb:GetItem": (("dynamodb:GetItem", "table"),),
        "dynamodb:BatchGetItem": (("dynamodb:BatchGetItem", "table"),),
        "dynamodb:Query": (("dynamodb:Query", "table"), ("dynamodb:Query", "indexes")),
        "dynamodb:PutItem": (("dynamodb:PutItem", "table"),),
        "dynamodb:DeleteItem": (("dynamodb:DeleteItem", "table"),),
        # without s3:ListBucket, S3 says of an object that is not there that access is denied
        "s3:GetObject": (("s3:GetObject", "objects"), ("s3:ListBucket", "bucket")),
        "s3:HeadObject": (("s3:GetObject", "objects"), ("s3:ListBucket", "bucket")),
        "s3:PutObject": (("s3:PutObject", "objects"),),
        "s3:CopyObject": (("s3:GetObject", "objects"), ("s3:PutObject", "objects")),
    },
    "keeper": {
        "dynamodb:GetItem": (("dynamodb:GetItem", "table"),),
        "dynamodb:Query": (("dynamodb:Query", "table"), ("dynamodb:Query", "indexes")),
        "dynamodb:BatchGetItem": (("dynamodb:BatchGetItem", "table"),),
        "dynamodb:UpdateItem": (("dynamodb:UpdateItem", "table"),),
        "dynamodb:DescribeTimeToLive": (("dynamodb:DescribeTimeToLive", "table"),),
        "dynamodb:PutItem": (("dynamodb:PutItem", "table"),),
        "dynamodb:DeleteItem": (("dynamodb:DeleteItem", "table"),),
        "s3:PutObject": (("s3:PutObject", "objects"),),
        "s3:GetObject": (("s3:GetObject", "objects"), ("s3:ListBucket", "bucket")),
        "s3:ListObjectsV2": (("s3:ListBucket", "bucket"),),
        "s3:ListObjectVersions": (("s3:ListBucketVersions", "bucket"),),
        "s3:DeleteObject": (("s3:DeleteObjectVersion", "objects"),),
    },
    "follower": {
        "dynamodb:DescribeTable": (("dynamodb:DescribeTable", "table"),),
        "dynamodbstreams:DescribeStream": (("dynamodb:DescribeStream", "stream"),),
        "dynamodbstreams:GetShardIterator": (("dynamodb:GetShardIterator", "stream"),),
        "dynamodbstreams:GetRecords": (("dynamodb:GetRecords", "stream"),),
    },
    "publisher": {"events:PutEvents": (("events:PutEvents", "bus"),)},
    "witness": {
        "s3:PutObject": (("s3:PutObject", "anchors"), ("s3:PutObjectRetention", "anchors")),
        "s3:GetObject": (
            ("s3:GetObject", "anchors"), ("s3:GetObjectVersion", "anchors"), ("s3:ListBucket", "witness"),
        ),
        "s3:ListObjectVersions": (("s3:ListBucketVersions", "witness"),),
    },
    "safekeeper": {
        "s3:PutObject": (("s3:PutObject", "backups"), ("s3:PutObjectRetention", "backups")),
        "s3:PutObjectRetention": (("s3:PutObjectRetention", "backups"),),
        "s3:GetObject": (("s3:GetObject", "backups"), ("s3:ListBucket", "depot")),
        "s3:HeadObject": (
            ("s3:GetObject", "backups"), ("s3:GetObjectRetention", "backups"), ("s3:ListBucket", "depot"),
        ),
        "s3:ListObjectsV2": (("s3:ListBucket", "depot"),),
    },
    "pruner": {
        "s3:HeadObject": (("s3:GetObject", "backups"), ("s3:ListBucket", "depot")),
        "s3:DeleteObject": (("s3:DeleteObject", "backups"), ("s3:DeleteObjectVersion", "backups")),
    },
    "preparer": {
        "dynamodb:DescribeTable": (("dynamodb:DescribeTable", "table"),),
        "dynamodb:CreateTable": (("dynamodb:CreateTable", "table"),),
        "dynamodb:UpdateContinuousBackups": (("dynamodb:UpdateContinuousBackups", "table"),),
        "dynamodb:DescribeTimeToLive": (("dynamodb:DescribeTimeToLive", "table"),),
        "dynamodb:UpdateTimeToLive": (("dynamodb:UpdateTimeToLive", "table"),),
        "dynamodb:UpdateTable": (("dynamodb:UpdateTable", "table"),),
        "s3:HeadBucket": (("s3:ListBucket", "bucket"),),
        "s3:PutObject": (("s3:PutObject", "objects"),),
        "s3:CreateBucket": (("s3:CreateBucket", "bucket"),),
        "s3:PutPublicAccessBlock": (("s3:PutBucketPublicAccessBlock", "bucket"),),
        "s3:PutBucketVersioning": (("s3:PutBucketVersioning", "bucket"),),
        "s3:PutBucketEncryption": (("s3:PutEncryptionConfiguration", "bucket"),),
        "s3:PutBucketLifecycleConfiguration": (("s3:PutLifecycleConfiguration", "bucket"),),
    },
}
"""For each role: the calls it makes, and of each call the IAM actions it takes and on what."""


def policy(
    options: AwsOptions, account: str, role: Role | Sequence[Role] = "worker", partition: str = "aws", bus: str = "",
    anchors: str = "", backups: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """An IAM policy document for one role or several together, on one table and one bucket; `account` has 12 digits.

    `bus` is the ARN of the event bus of a publisher (`bus_arn`), `anchors` the ``BUCKET/PREFIX`` of a witness,
    `backups` those of a safekeeper. Raises UsageError.
    """
    _check_account(account)
    table = f"arn:{partition}:dynamodb:{options.region}:{account}:table/{options.table}"
    bucket = f"arn:{partition}:s3:::{options.bucket}"
    resources: dict[str, str | list[str]] = {
        "table": table, "indexes": f"{table}/index/*", "stream": f"{table}/stream/*", "bucket": bucket,
        "objects": f"{bucket}/*", "bus": bus, **_of_witness(anchors, partition),
        **_of_depots(backups, partition),
    }  # fmt: skip
    return _document([role] if isinstance(role, str) else role, resources)


def publisher_policy(bus: str) -> dict[str, Any]:
    """An IAM policy document for who publishes to an event bus and does nothing else on AWS."""
    return _document(["publisher"], {"bus": bus})


def witness_policy(anchors: str, partition: str = "aws") -> dict[str, Any]:
    """An IAM policy document for who anchors below ``BUCKET/PREFIX`` and does nothing else on AWS."""
    return _document(["witness"], _of_witness(anchors, partition))


def backup_policy(
    backups: Sequence[str], roles: Sequence[Role] = ("safekeeper",), partition: str = "aws"
) -> dict[str, Any]:
    """An IAM policy document for who keeps backups below each ``BUCKET/PREFIX`` and does nothing else on AWS."""
    return _document(roles, _of_depots(backups, partition))


def _of_depots(backups: Sequence[str], partition: str) -> dict[str, list[str]]:
    arn = f"arn:{partition}:s3:::"
    buckets = sorted({place.partition("/")[0] for place in backups})
    return {"backups": [f"{arn}{place}*" for place in backups], "depot": [arn + name for name in buckets]}


def _of_witness(anchors: str, partition: str) -> dict[str, str]:
    arn = f"arn:{partition}:s3:::"
    return {"anchors": f"{arn}{anchors}*", "witness": f"{arn}{anchors.partition('/')[0]}"} if anchors else {}


def bus_arn(bus: str, region: str, account: str, partition: str = "aws") -> str:
    """The ARN of an event bus, given by its name or ARN; `account` has 12 digits. Raises UsageError."""
    if bus.startswith("arn:"):
        return bus
    _check_account(account)
    return f"arn:{partition}:events:{region}:{account}:event-bus/{bus}"


def _check_account(account: str) -> None:
    if not (account.isdigit() and len(account) == 12):
        raise UsageError(f"account {account[:20]!r} is not one: expected 12 digits")


def _document(roles: Sequence[Role], resources: Mapping[str, str | list[str]]) -> dict[str, Any]:
    allowed: dict[Scope, set[str]] = {}
    for role in roles:
        for grants in OPERATIONS[role].values():
            for action, scope in grants:
                allowed.setdefault(scope, set()).add(action)
    if "bus" in allowed and not resources["bus"]:
        raise UsageError("a policy of a publisher needs the ARN of its event bus")
    if "anchors" in allowed and "anchors" not in resources:
        raise UsageError("a policy of a witness needs the bucket and prefix of its anchors")
    if "backups" in allowed and not resources.get("backups"):
        raise UsageError("a policy for backups needs the bucket and prefix where they lie")
    statements = [
        {"Sid": scope.capitalize(), "Effect": "Allow", "Action": sorted(actions), "Resource": resources[scope]}
        for scope, actions in sorted(allowed.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements}
