"""Buckets of S3: versions, replication, locks, and whether a stack empties them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.assessment.template.network import Network
from outlast.assessment.template.resource import Resource, count, items, references, true
from outlast.assessment.template.sketch import Part, Sketch

critical = "that its data is critical is assumed"
_kept_for_ever = "3650d"
"""How long versions are kept that no rule removes."""


def _bucket(sketch: Sketch, network: Network, bucket: Resource) -> None:
    part = sketch.add(bucket, "stores", kind="blobs", data="critical", aws="s3")
    part.note(critical)
    for noun in ("bucket_versions", "bucket_life", "bucket_copies", "bucket_lock", "bucket_logs"):
        sketch.own(part, *(one for one in sketch.of(noun) if bucket in sketch.resources_at(one, "bucket")))
    own = [one for one in part.resources if one.id != bucket.id]
    versions = [bucket.get("VersioningConfiguration.Status", "versioning.enabled")]
    versions += [one.get("versioning_configuration.status") for one in own]
    if any(true(one) for one in versions):
        part.backup["versions"] = _versions(part, bucket, own)
    _emptied(part, bucket)
    _copies(sketch, part, bucket, own)
    for one in (bucket, *own):
        rule = one.get(
            "ObjectLockConfiguration.Rule.DefaultRetention", "object_lock_configuration.rule.default_retention"
        )
        rule = rule or (one.get("rule.default_retention") if "lock" in one.type else None)
        days = next((days for days in map(_retention, items(rule)) if days), None)
        if days:
            part.body["lock"] = f"{days}d"


def _retention(rule: dict[str, Any]) -> int | None:
    known = {key.lower(): value for key, value in rule.items()}
    years = count(known.get("years"))
    return count(known.get("days")) or (years * 365 if years else None)


def _emptied(part: Part, bucket: Resource) -> None:
    tags = [(str(tag.get("Key")), str(tag.get("Value"))) for tag in items(bucket.get("Tags"))]
    if true(bucket.get("force_destroy")) or ("aws-cdk:auto-delete-objects", "true") in tags:
        part.body["delete_protection"] = False
        part.note("it is emptied and deleted with its stack, however full it is")


def _versions(part: Part, bucket: Resource, own: list[Resource]) -> str:
    rules = items(bucket.get("LifecycleConfiguration.Rules", "lifecycle_rule"))
    for one in own:
        rules += items(one.get("rule")) if "lifecycle" in one.type else []
    for rule in rules:
        for key in ("NoncurrentVersionExpiration", "noncurrent_version_expiration"):
            for inner in items(rule.get(key)):
                days = next(
                    (count(value) for name, value in inner.items() if "days" in name.lower() and count(value)), None
                )
                if days:
                    return f"{days}d"
        days = count(rule.get("NoncurrentVersionExpirationInDays"))
        if days:
            return f"{days}d"
    part.note("no rule removes earlier versions: taken as kept for ten years")
    return _kept_for_ever


def _copies(sketch: Sketch, part: Part, bucket: Resource, own: list[Resource]) -> None:
    rules = [*items(bucket.get("ReplicationConfiguration.Rules", "replication_configuration.rules"))]
    for one in own:
        rules += items(one.get("rule")) if "replication" in one.type else []
    for rule in rules:
        found = [one for one in map(sketch.resource, references(rule)) if one is not None]
        targets = [one for one in found if one.type in ("AWS::S3::Bucket", "aws_s3_bucket") and one.id != bucket.id]
        regions = [one.region for one in targets if one.region and one.region != bucket.region]
        part.copies += regions or (["vault"] if not targets else [])
        if not targets:
            part.note("it is replicated to a bucket outside of these templates: taken as in another account")
        if regions:
            timed = "ReplicationTime" in str(rule) or "replication_time" in str(rule)
            part.body["across_regions"] = {"within": "15m"} if timed else "eventual"


def _vectors(sketch: Sketch, network: Network, bucket: Resource) -> None:
    part = sketch.add(bucket, "stores", kind="vector", aws="s3")
    part.note("what its data is worth is not known: say it in data:")


READERS: dict[str, Callable[[Sketch, Network, Resource], None]] = {"bucket": _bucket, "vector_bucket": _vectors}
