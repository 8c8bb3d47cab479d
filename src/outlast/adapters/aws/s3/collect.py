"""Removes blobs that nothing names any more. Safe beside writers: see `blob.py` for why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any

import msgspec

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.s3.blob import refresh_after_s
from outlast.kernel.clock import Clock
from outlast.kernel.error import UsageError

min_age_s = 7 * 24 * 3600.0
"""Blobs younger than a week are left alone: an append that names one may still be coming."""


class Collected(msgspec.Struct, frozen=True):
    """What a collection found: how many blobs there are, how many of them nothing names and how large those are; how
    many were removed, and how many could not be because they are locked.
    """

    blobs: int
    unnamed: int
    unnamed_bytes: int
    removed: int
    locked: int


async def collect(
    bucket: str, calls: Calls, clock: Clock, named: Collection[str], *, older_than_s: float = min_age_s,
    dry_run: bool = True,
) -> Collected:  # fmt: skip
    """Remove blobs that are older than `older_than_s` and not in `named`, which must be from before this call.

    Each is removed by the version that was seen. With `dry_run` nothing is. Raises UsageError for an age that is not
    safe, StoreUnavailable.
    """
    if older_than_s < 2 * refresh_after_s:
        raise UsageError(
            f"blobs cannot be collected after {older_than_s} s: a put leaves alone what is younger than "
            f"{refresh_after_s} s, so take at least twice that"
        )
    blobs = unnamed = size = removed = locked = 0
    async for version in _latest(bucket, calls):
        blobs += 1
        age_s = clock.now() - version["LastModified"].timestamp()
        if age_s <= older_than_s or version["Key"].rpartition("/")[2] in named:
            continue
        unnamed += 1
        size += int(version["Size"])
        if dry_run:
            continue
        try:
            await calls.many("DeleteObject", Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            removed += 1
        except CallFailed as failed:
            if "AccessDenied" not in str(failed):
                raise
            locked += 1
    return Collected(blobs, unnamed, size, removed, locked)


async def _latest(bucket: str, calls: Calls) -> AsyncIterator[dict[str, Any]]:
    where: dict[str, Any] = {"Bucket": bucket, "Prefix": "blobs/"}
    while True:
        answer = await calls.many("ListObjectVersions", **where)
        for version in answer.get("Versions", []):
            if version["IsLatest"]:
                yield version
        if not answer.get("IsTruncated"):
            return
        where |= {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
