"""What was altered in the tables shows, and what can heal heals."""

from __future__ import annotations

import asyncio

import pytest

from outlast.journal.audit import audit
from outlast.journal.blob import BlobRef
from outlast.journal.chain import genesis
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import NotFound, PayloadTooLarge, StoreCorrupt
from outlast.kernel.point import Place
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import applied, fill, key, note
from tests.servers.postgres import PostgresServer


async def test_a_damaged_blob_is_refused_and_mended_by_storing_it_again(site: Site, server: PostgresServer) -> None:
    async with opened(site) as engine:
        ref = await engine.blobs.put(b"content")
        server.execute(f"UPDATE {site.schema}.blob SET content = 'contemt'")
        with pytest.raises(StoreCorrupt):
            await engine.blobs.get(ref)
        assert await engine.blobs.put(b"content") == ref
        assert await engine.blobs.get(ref) == b"content"
        with pytest.raises(NotFound, match="64 hexadecimal"):
            await engine.blobs.get(BlobRef("../../etc/passwd", 1))


async def test_a_blob_of_sixteen_mebibytes_is_kept_and_one_over_the_bound_refused(site: Site) -> None:
    async with opened(site) as engine:
        content = b"\x00\xff0123456789abcd" * (1024 * 1024)
        assert await engine.blobs.get(await engine.blobs.put(content)) == content
        with pytest.raises(PayloadTooLarge, match="blob_bytes_max"):
            await engine.blobs.put(bytes(64 * 1024 * 1024 + 1))


async def test_a_damaged_snapshot_is_passed_over_listed_and_replaced(site: Site, server: PostgresServer) -> None:
    async with opened(site) as engine:
        store = engine.journal
        stream = key(store, "s", "session")
        snapshots = [Snapshot(stream, seq, bytes([seq]) * 32, 1, b"state%d" % seq) for seq in (3, 5, 9)]
        for snapshot in snapshots:
            await store.save(snapshot)
        server.execute(f"UPDATE {site.schema}.snapshot SET body = 'other' WHERE seq = 9")
        assert await store.load(stream) == snapshots[1]
        assert await store.damaged_snapshots() == [(stream, "9")]
        again = Snapshot(stream, 6, bytes(32), 1, b"state6")
        await store.save(again)
        assert await store.load(stream) == again
        assert await store.damaged_snapshots() == []
        rows = server.execute(f"SELECT seq FROM {site.schema}.snapshot ORDER BY seq")
        assert rows == [(5,), (6,)], "one before it is kept"


async def test_an_audit_finds_a_record_that_was_altered_behind_the_journal(site: Site, server: PostgresServer) -> None:
    async with opened(site) as engine:
        store = engine.journal
        good, bad, short = (key(store, name, "session") for name in ("good", "bad", "short"))
        await asyncio.gather(fill(store, good, 4), fill(store, bad, 4), fill(store, short, 4))
        report = await audit(store, engine.blobs)
        assert report.whole
        assert (report.streams, report.records) == (3, 12)
        server.execute(f"UPDATE {site.schema}.record SET body = replace(body, 'x1', 'y1') WHERE stream = '{bad}'")
        server.execute(f"DELETE FROM {site.schema}.record WHERE stream = '{short}' AND seq = 2")
        report = await audit(store, engine.blobs)
        assert sorted((flaw.damage, flaw.subject) for flaw in report.flaws) == [("chain", bad), ("chain", short)]


async def test_places_where_a_process_may_die_are_reached_around_the_commit(site: Site) -> None:
    reached: list[tuple[str, str]] = []

    class Listening:
        def reach(self, place: Place, subject: str = "") -> None:
            reached.append((place, subject))

    async with opened(site, points=Listening()) as engine:
        store = engine.journal
        stream = key(store, "a")
        applied(await store.append(note(stream, genesis(stream), "one")))
        await store.append(note(stream, genesis(stream), "late"))
        ref = await engine.blobs.put(b"content")
    assert reached == [
        ("commit.before", stream),
        ("commit.after", stream),
        ("commit.before", stream),
        ("blob.before", ref.sha256),
        ("blob.after", ref.sha256),
    ]
