"""Ended streams are archived once, verified when written and when read, and never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.aws.s3.archive import Archive
from outlast.journal.stream import Head
from outlast.kernel.error import NotFound, StoreCorrupt, UsageError
from tests.adapters.aws.opening import engine, options
from tests.contracts.note import applied, everything, fill, key, note


async def test_an_archived_stream_is_read_back_record_for_record(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal = opened.journal
        archive = Archive(opened.blobs._bucket, opened.blobs._calls, segment_bytes_max=2_000)
        for name in ("b", "a", "c"):
            stream = key(journal, name)
            head = await fill(journal, stream, 9, 500)
            head = applied(await journal.append(note(stream, head, "end", "one", "äöü € \u2028")))
            archived = await archive.store(journal, stream)
            assert archived.head == head
            assert len(archived.segments) > 2
            assert await archive.read(stream) == await everything(journal, stream)
            assert await archive.store(journal, stream) == archived, "again is the same"
        streams = [key(journal, name) for name in ("a", "b", "c")]
        assert await archive.streams("run") == streams
        assert await archive.streams("run", after=streams[0], limit=1) == [streams[1]]
        assert await archive.streams("inbox") == []
        with pytest.raises(NotFound):
            await archive.read(key(journal, "d"))
        with pytest.raises(UsageError, match="no events"):
            await archive.store(journal, key(journal, "d"))


async def test_a_stream_that_grew_is_not_archived_over_another(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal = opened.journal
        archive = opened.archive
        stream = key(journal, "r")
        head: Head = await fill(journal, stream, 2)
        await archive.store(journal, stream)
        await fill(journal, stream, 1)
        with pytest.raises(StoreCorrupt, match="nothing was overwritten"):
            await archive.store(journal, stream)
        assert (await archive.find(stream)).head == head
        assert len(await archive.read(stream)) == 2


async def test_a_segment_that_was_changed_or_lost_is_noticed(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal, calls, bucket = opened.journal, opened.blobs._calls, opened.blobs._bucket
        archive = Archive(bucket, calls)
        stream = key(journal, "r")
        await fill(journal, stream, 3)
        await archive.store(journal, stream)
        name = f"segments/{stream}/{1:016d}"
        written = await archive._get(name)
        assert written is not None
        for changed in (written.replace(b"x1", b"x9"), written.split(b"\n")[0], b"junk"):
            await calls.once("PutObject", Bucket=bucket, Key=name, Body=changed)
            with pytest.raises(StoreCorrupt):
                await archive.read(stream)
        await calls.once("DeleteObject", Bucket=bucket, Key=name)
        with pytest.raises(StoreCorrupt, match="lost its segment"):
            await archive.read(stream)
