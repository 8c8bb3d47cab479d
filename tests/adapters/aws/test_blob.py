"""Blobs are young after a put, collected only when nothing names them, and checked when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.s3.blob import object_key
from outlast.adapters.aws.s3.collect import collect, min_age_s
from outlast.adapters.host.clock import SystemClock
from outlast.journal.blob import BlobRef
from outlast.journal.chain import genesis
from outlast.journal.reach import named_in
from outlast.kernel.error import NotFound, StoreCorrupt, StoreUnavailable, UsageError
from tests.adapters.aws.opening import UNGUARDED, engine, options
from tests.contracts.note import applied, key, note


class Later(SystemClock):
    """A collector that comes later."""

    def now(self) -> float:
        return super().now() + min_age_s + 60


def calls_of(opened: AwsEngine) -> Calls:
    return opened.blobs._calls


async def versions(opened: AwsEngine, ref: BlobRef) -> list[dict[str, Any]]:
    answer = await calls_of(opened).once(
        "ListObjectVersions", Bucket=opened.blobs._bucket, Prefix=object_key(ref.sha256)
    )
    return answer.get("Versions", [])


async def test_a_put_of_what_is_old_makes_it_young_by_a_new_version(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        ref = await opened.blobs.put(b"content")
        assert await opened.blobs.put(b"content") == ref
        assert len(await versions(opened, ref)) == 1, "young enough: nothing was written"
        opened.blobs._refresh_after_s = -1.0
        assert await opened.blobs.put(b"content") == ref
        assert len(await versions(opened, ref)) == 2
        assert await opened.blobs.get(ref) == b"content"


async def test_what_nothing_names_is_collected_and_the_rest_stays(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal, bucket, calls = opened.journal, opened.blobs._bucket, calls_of(opened)
        kept, gone = await opened.blobs.put(b"kept"), await opened.blobs.put(b"gone")
        stream = key(journal, "r")
        applied(await journal.append(note(stream, genesis(stream), "n", f'{{"blob":{{"sha256":"{kept.sha256}"}}}}')))
        named = await named_in(journal)
        assert named == {kept.sha256}
        young = await collect(bucket, calls, SystemClock(), named, dry_run=False)
        assert (young.blobs, young.unnamed, young.removed) == (2, 0, 0)
        dry = await collect(bucket, calls, Later(), named)
        assert (dry.blobs, dry.unnamed, dry.unnamed_bytes, dry.removed) == (2, 1, 4, 0)
        assert await opened.blobs.get(gone) == b"gone"
        done = await collect(bucket, calls, Later(), named, dry_run=False)
        assert (done.removed, done.locked) == (1, 0)
        with pytest.raises(NotFound):
            await opened.blobs.get(gone)
        assert await opened.blobs.get(kept) == b"kept"
        assert await opened.blobs.put(b"gone") == gone
        assert await opened.blobs.get(gone) == b"gone"
        with pytest.raises(UsageError, match="take at least"):
            await collect(bucket, calls, SystemClock(), named, older_than_s=60)
        assert (await opened.collect()).blobs == 2
        assert opened.retention is None, "nobody asked for one"


async def test_a_put_beside_the_collector_keeps_its_blob(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        ref = await opened.blobs.put(b"content")
        opened.blobs._refresh_after_s = -1.0
        calls = calls_of(opened)
        many = calls.many

        async def put_first(operation: str, **parameters: Any) -> dict[str, Any]:
            if operation == "DeleteObject":
                calls.many = many
                await opened.blobs.put(b"content")
            return await many(operation, **parameters)

        calls.many = put_first
        done = await collect(opened.blobs._bucket, calls, Later(), set(), dry_run=False)
        assert done.removed == 1
        assert await opened.blobs.get(ref) == b"content", "the collector removed the version it saw, not the new one"


async def test_a_blob_that_is_not_what_was_written_is_corrupt(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        ref = await opened.blobs.put(b"content")
        where = {"Bucket": opened.blobs._bucket, "Key": object_key(ref.sha256)}
        await calls_of(opened).once("PutObject", **where, Body=b"contend")
        with pytest.raises(StoreCorrupt, match="not what was written"):
            await opened.blobs.get(ref)
        await calls_of(opened).once("PutObject", **where, Body=b"another size")
        with pytest.raises(StoreUnavailable, match="something else has written"):
            await opened.blobs.put(b"content")


async def test_a_locked_blob_may_be_put_again_and_is_never_collected(ministack: str, short_dir: Path) -> None:
    import msgspec

    locked = msgspec.structs.replace(UNGUARDED, object_lock=True)
    async with engine(options(short_dir.name, ministack), preparation=locked) as opened:
        calls, bucket = calls_of(opened), opened.blobs._bucket
        ref = await opened.blobs.put(b"locked")
        await calls.once(
            "PutObjectLegalHold", Bucket=bucket, Key=object_key(ref.sha256), LegalHold={"Status": "ON"}
        )
        assert await opened.blobs.put(b"locked") == ref
        done = await collect(bucket, calls, Later(), set(), dry_run=False)
        assert (done.unnamed, done.removed, done.locked) == (1, 0, 1)
        assert await opened.blobs.get(ref) == b"locked"
