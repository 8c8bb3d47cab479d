"""Objects that are written once: whatever stands under a name is never overwritten."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.fault import CallFailed


async def write_once(calls: Calls, bucket: str, name: str, content: bytes, kind: str, **lock: Any) -> bool:
    """Write an object of the content type `kind`, with its checksum; False if there is one already, whatever it holds.

    `lock`: how long it is locked, as S3 calls it. Raises CallFailed.
    """
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    try:
        await calls.many(
            "PutObject", Bucket=bucket, Key=name, Body=content, IfNoneMatch="*", ChecksumSHA256=digest,
            ChecksumAlgorithm="SHA256", ContentType=kind, **lock,
        )  # fmt: skip
    except CallFailed as failed:
        if failed.kind != "refused":
            raise
        return False
    return True
