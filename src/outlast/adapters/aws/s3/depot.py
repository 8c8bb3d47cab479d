"""A depot in a bucket: each object is written once (``If-None-Match: *``), with a checksum, and locked where asked.

A lock is S3 object lock in compliance mode: nobody can remove that version before its time, the account's owner
neither. The bucket must have been made with object lock. Whoever may delete objects can still put a delete marker above
a locked version, which hides it: `get` and `names` then do not see it, and removing the marker brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.s3.once import write_once
from outlast.adapters.aws.usage import Usage
from outlast.kernel.clock import Clock
from outlast.kernel.error import Conflict, NotFound, UsageError
from outlast.kernel.randomness import Randomness

read_timeout_s = 60.0
"""The longest silence of the service within one call."""
_list_max = 1000


class S3Depot:
    """A Depot. Close it when done."""

    def __init__(self, bucket: str, prefix: str, place: Place, clock: Clock, randomness: Randomness) -> None:
        """`prefix` is what all names begin with, without a slash at its end; it may be empty."""
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = Client("s3", place, read_timeout_s)
        self.usage = Usage()
        self._calls = Calls("s3", self._client, f"s3://{bucket}", self.usage, clock, randomness)

    @property
    def where(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    async def close(self) -> None:
        """Close its connections."""
        await self._client.closed()

    async def put(self, name: str, content: bytes, locked_until: float = 0.0) -> None:
        key, lock = self._object(name)["Key"], _lock(locked_until)
        if await write_once(self._calls, self._bucket, key, content, "application/octet-stream", **lock):
            return
        if await self.get(name) != content:
            raise Conflict(
                f"{name} is in {self.where} already and holds something else: another backup is being taken, or "
                "something else wrote there; nothing was overwritten"
            )
        await self.hold(name, len(content), locked_until)

    async def get(self, name: str) -> bytes:
        try:
            answer = await self._calls.many("GetObject", **self._object(name))
            return await self._calls.whole("GetObject", answer["Body"])
        except CallFailed as failed:
            if failed.kind != "absent":
                raise
            raise NotFound(f"{name} is not in {self.where}") from None

    async def hold(self, name: str, size: int, locked_until: float = 0.0) -> bool:
        try:
            found = await self._calls.many("HeadObject", **self._object(name))
        except CallFailed as failed:
            if failed.kind != "absent":
                raise
            return False
        if found["ContentLength"] != size:
            raise Conflict(
                f"{name} in {self.where} has {found['ContentLength']} bytes, {size} were expected: move it away"
            )
        until = found.get("ObjectLockRetainUntilDate")
        if locked_until and (until is None or until.timestamp() < locked_until):
            retention = {"Mode": "COMPLIANCE", "RetainUntilDate": _date(locked_until)}
            version = {"VersionId": found["VersionId"]} if "VersionId" in found else {}
            await self._calls.many("PutObjectRetention", **self._object(name), **version, Retention=retention)
        return True

    async def names(self, prefix: str = "") -> Sequence[str]:
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = await self._calls.many(
                "ListObjectsV2", Bucket=self._bucket, Prefix=self._prefix + prefix, MaxKeys=_list_max, **token
            )
            found += [str(one["Key"]).removeprefix(self._prefix) for one in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return sorted(found)
            token = {"ContinuationToken": str(answer["NextContinuationToken"])}

    async def remove(self, name: str) -> bool:
        """By its version: a bucket with versions would only hide it else."""
        try:
            found = await self._calls.many("HeadObject", **self._object(name))
            version = {"VersionId": found["VersionId"]} if "VersionId" in found else {}
            await self._calls.many("DeleteObject", **self._object(name), **version)
        except CallFailed as failed:
            if failed.kind == "absent":
                return True
            if "AccessDenied" not in str(failed):
                raise
            return False
        return True

    def _object(self, name: str) -> dict[str, Any]:
        if not name or "" in name.split("/"):
            raise UsageError(f"{name[:80]!r} is not the name of an object in a depot")
        return {"Bucket": self._bucket, "Key": self._prefix + name}


def _lock(until: float) -> dict[str, Any]:
    return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": _date(until)} if until else {}


def _date(at: float) -> datetime:
    return datetime.fromtimestamp(int(at) + 1, UTC)
