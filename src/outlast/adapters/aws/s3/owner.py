"""Which tables keep their blobs in a bucket: one small object each, so that nobody collects what another one needs."""

from __future__ import annotations

from outlast.adapters.aws.call import Calls

_prefix = "tables/"
_tables_max = 1000


async def mark_table(calls: Calls, bucket: str, table: str) -> None:
    """Say that a table keeps its blobs here; any number of times. Raises StoreUnavailable."""
    await calls.many("PutObject", Bucket=bucket, Key=_prefix + table, Body=b"", ContentType="text/plain")


async def tables_of(calls: Calls, bucket: str) -> list[str]:
    """The tables that said so, 1,000 at most, in text order. Raises StoreUnavailable."""
    answer = await calls.many("ListObjectsV2", Bucket=bucket, Prefix=_prefix, MaxKeys=_tables_max)
    return [str(one["Key"]).removeprefix(_prefix) for one in answer.get("Contents", [])]
