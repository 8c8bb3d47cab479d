"""Blobs in a bucket, under the hash of their content. A put of what is there makes it young again.

The collector (`collect.py`) removes blobs that are old and that nothing names, by the very version that it saw. So a
put must end with a version that is younger than `refresh_after_s`: it writes the object if there is none
(``If-None-Match: *``), else it looks how old it is and copies it onto itself if it is too old. A copy is a new version:
the collector's removal of the old one does not touch it, and if the removal came first, there is nothing to copy and
the put begins again. Object lock is no obstacle: locked versions stay, a new one may stand above them.
"""

from __future__ import annotations

import base64
from email.utils import parsedate_to_datetime
from typing import Any

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.fault import CallFailed
from outlast.journal.blob import BlobRef, check_content
from outlast.kernel.error import NotFound, StoreUnavailable
from outlast.kernel.point import Points

refresh_after_s = 24 * 3600.0
"""A blob that is put again becomes young if it is older than a day; what is younger than a week is never collected."""
_rounds_max = 4


def object_key(sha256: str) -> str:
    """Where a blob stands in its bucket."""
    return f"blobs/{sha256[:2]}/{sha256}"


class S3Blobs:
    """A BlobStore."""

    def __init__(self, bucket: str, calls: Calls, points: Points, refresh_after_s: float = refresh_after_s) -> None:
        self._bucket = bucket
        self._calls = calls
        self._points = points
        self._refresh_after_s = refresh_after_s

    async def put(self, content: bytes) -> BlobRef:
        ref = BlobRef.of(content)
        self._points.reach("blob.before", ref.sha256)
        for _ in range(_rounds_max):
            if await self._write(ref, content) or await self._refresh(ref):
                self._points.reach("blob.after", ref.sha256)
                return ref
        raise StoreUnavailable(f"blob {ref.sha256[:16]} is written and removed over and over: try again")

    async def get(self, ref: BlobRef) -> bytes:
        try:
            answer = await self._calls.many("GetObject", Bucket=self._bucket, Key=object_key(ref.sha256))
            content = await self._body(answer)
        except CallFailed as failed:
            if failed.kind == "absent":
                raise NotFound(f"blob {ref.sha256[:16]} of {ref.size} bytes is not in bucket {self._bucket}") from None
            raise
        return check_content(ref, content)

    async def _body(self, answer: dict[str, Any]) -> bytes:
        return await self._calls.whole("GetObject", answer["Body"])

    async def _write(self, ref: BlobRef, content: bytes) -> bool:
        """False if there is one."""
        digest = base64.b64encode(bytes.fromhex(ref.sha256)).decode()
        try:
            await self._calls.many(
                "PutObject", Bucket=self._bucket, Key=object_key(ref.sha256), Body=content, IfNoneMatch="*",
                ChecksumSHA256=digest, ContentType="application/octet-stream",
            )  # fmt: skip
        except CallFailed as failed:
            if failed.kind != "refused":
                raise
            return False
        return True

    async def _refresh(self, ref: BlobRef) -> bool:
        """Make sure that it is young; False if it is gone."""
        where = {"Bucket": self._bucket, "Key": object_key(ref.sha256)}
        try:
            found = await self._calls.many("HeadObject", **where)
            size = found.get("ContentLength", ref.size)
            if size != ref.size:
                raise StoreUnavailable(
                    f"blob {ref.sha256[:16]} in bucket {self._bucket} has {size} bytes, {ref.size} were expected: "
                    "something else has written there; remove that object"
                )
            if _age_s(found) <= self._refresh_after_s:
                return True
            await self._calls.many(
                "CopyObject", **where, CopySource=where, MetadataDirective="REPLACE", ChecksumAlgorithm="SHA256",
                ContentType="application/octet-stream",
            )  # fmt: skip
        except CallFailed as failed:
            if failed.kind != "absent":
                raise
            return False
        return True


def _age_s(found: dict[str, Any]) -> float:
    """How old an object is by the clock of the server that answered."""
    said = found["ResponseMetadata"]["HTTPHeaders"].get("date")
    if said is None:
        return float("inf")
    return (parsedate_to_datetime(said) - found["LastModified"]).total_seconds()
