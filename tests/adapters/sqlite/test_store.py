"""SQLite in this process passes the suites of its ports, and says clearly what is wrong with a database."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.anchor import SqliteAnchors
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.lone import lone_after, lone_run
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.blob import BlobRef
from outlast.journal.chain import genesis
from outlast.journal.stream import StreamKey
from outlast.journal.writer import StreamWriter
from outlast.kernel.point import NoPoints
from tests.contracts.anchor_store import AnchorStoreContract
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.event_store import EventStoreContract
from tests.contracts.note import Noted
from tests.contracts.run_index import RunIndexContract
from tests.contracts.shrinking import ShrinkingContract
from tests.contracts.snapshot_store import SnapshotStoreContract
from tests.contracts.swept_blobs import SweptBlobsContract


class InProcess:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SqliteStore]:
        store = SqliteStore.open(directory / "journal.sqlite", OsRandomness())
        try:
            yield store
        finally:
            store.close()


class TestSqliteStreams(InProcess, EventStoreContract):
    pass


class TestSqliteIndex(InProcess, RunIndexContract):
    pass


class TestSqliteSnapshots(InProcess, SnapshotStoreContract):
    pass


class TestSqliteShrinking(InProcess, ShrinkingContract):
    pass


class InFiles:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[FileBlobs]:
        yield FileBlobs(directory / "blobs", OsRandomness())


class TestFileBlobs(InFiles, BlobStoreContract):
    pass


class TestSweptFileBlobs(InFiles, SweptBlobsContract):
    async def age(self, blobs: FileBlobs, ref: BlobRef, by_s: float) -> None:
        path = blobs._path(ref)
        then = path.stat().st_mtime - by_s
        os.utime(path, (then, then))


async def test_a_put_between_the_look_of_a_sweep_and_its_removal_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FileBlobs(tmp_path / "blobs", OsRandomness())
    ref = await blobs.put(b"again")
    path = blobs._path(ref)
    os.utime(path, (1.0, 1.0))
    real, puts = Path.unlink, []

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            puts.append(threading.Thread(target=blobs._put, args=(b"again",)))
            puts[0].start()
            puts[0].join(0.3)  # long enough, if nothing kept it waiting
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    await blobs.sweep(set(), 60.0)
    puts[0].join(5.0)
    assert await blobs.get(ref) == b"again"


class TestSqliteAnchors(AnchorStoreContract):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SqliteAnchors]:
        anchors = SqliteAnchors.open(directory / "anchors.sqlite")
        try:
            yield anchors
        finally:
            anchors.close()


async def write(store: SqliteStore, ids: Sequence[str], count: int) -> tuple[dict[str, list[bool]], int]:
    """Append `count` times to each stream, in turns; which were durable at once, and the turns that others had."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def writer_of(id: str) -> StreamWriter:
        stream = str(StreamKey("run", id, store.lineage))
        return StreamWriter(store, stream, genesis(stream), id, SystemClock(), NoPoints(), 5.0, lambda: None)

    writers = {id: writer_of(id) for id in ids}
    at_once: dict[str, list[bool]] = {id: [] for id in ids}
    neighbour = asyncio.create_task(others())
    for _ in range(count):
        futures = [(id, writer.append(Noted("x"), alone=True)) for id, writer in writers.items()]
        for id, future in futures:
            at_once[id].append(future.done())
        await asyncio.gather(*(future for _, future in futures))
    neighbour.cancel()
    for id, writer in writers.items():
        assert len(await store.read(str(StreamKey("run", id, store.lineage)))) == count == writer.head.seq
    return at_once, turns


async def test_a_lone_stream_is_committed_at_once_but_lets_others_have_their_turn(tmp_path: Path) -> None:
    async with InProcess().opened(tmp_path) as store:
        at_once, turns = await write(store, ["a"], 80)
    assert not any(at_once["a"][:lone_after]), "first it must be alone for a while"
    assert at_once["a"][lone_after:].count(False) == (80 - lone_after) // lone_run
    assert turns >= (80 - lone_after) // lone_run


async def test_streams_that_take_turns_share_their_commits(tmp_path: Path) -> None:
    async with InProcess().opened(tmp_path) as store:
        at_once, _ = await write(store, ["a", "b", "c"], 60)
    assert not any(done for answers in at_once.values() for done in answers)
