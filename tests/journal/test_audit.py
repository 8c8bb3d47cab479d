"""The audit finds what was lost, cut, altered or exchanged, and nothing where nothing was."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.anchor import SqliteAnchors, beside
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.audit import Report, audit
from outlast.journal.blob import BlobStore, Payload, store_payload
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import ConfigurationError, StoreError
from tests.contracts.note import applied, fill, key, note


class Valued(msgspec.Struct, frozen=True, tag_field="type", tag="valued"):
    value: Payload
    v: int = 1


class Place:
    """A journal with three runs, an inbox, a session with a snapshot, and blobs."""

    def __init__(self, directory: Path) -> None:
        self.journal = directory / "journal.sqlite"
        self.blobs = FileBlobs(directory / "blobs", OsRandomness())
        self.blob_files = directory / "blobs"

    async def make(self) -> None:
        store = SqliteStore.open(self.journal, OsRandomness())
        for name in ("a", "b", "c"):
            stream = key(store, name)
            head = applied(
                await store.append(note(stream, await store.head(stream), "first", hint=HintPatch(name, mail=0)))
            )
            for index in range(12):
                head = applied(await store.append(note(stream, head, f"n{index}", "x" * 200)))
        await self.with_blob(store, key(store, "a"), self.blobs)
        inbox = key(store, "a", "inbox")
        for index in range(3):
            patch = HintPatch("a", mail=index + 1)
            applied(await store.append(note(inbox, await store.head(inbox), f"m{index}", hint=patch)))
        session = key(store, "s", "session")
        head = await fill(store, session, 5)
        await store.save(Snapshot(session, head.seq, head.hash, 1, b"{}"))
        store.close()

    async def with_blob(self, store: SqliteStore, stream: str, blobs: BlobStore) -> None:
        payload = await store_payload(b'"' + b"x" * 100_000 + b'"', blobs)
        event = Valued(payload)
        applied(await store.append(make_append(stream, await store.head(stream), "blob", 1.0, [event])))

    def change(self, *statements: str) -> None:
        connection = apsw.Connection(str(self.journal))
        for statement in statements:
            connection.execute(statement)
        connection.close()

    async def audit(self, progress: Callable[[Report], None] | None = None) -> Report:
        reader = SqliteReader.open(self.journal)
        anchors = SqliteAnchors.open_readable(beside(self.journal))
        try:
            return await audit(reader, self.blobs, anchors, progress=progress, inspect=reader.inspect)
        finally:
            anchors.close()
            reader.close()

    async def damages(self) -> set[str]:
        return {flaw.damage for flaw in (await self.audit()).flaws}


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    await place.make()
    return place


async def test_a_whole_journal_has_no_flaw(place: Place) -> None:
    seen: list[int] = []
    report = await place.audit(lambda report: seen.append(report.streams))
    assert report.flaws == []
    assert report.whole
    assert (report.streams, report.records, report.events) == (5, 3 * 13 + 1 + 3 + 5, 3 * 13 + 1 + 3 + 5)
    assert (report.blobs, report.snapshots, report.anchors, report.runs) == (1, 1, 5, 3)
    assert seen[-1] == 5


LAST_OF_A = "(SELECT max(id) FROM record WHERE stream = 1)"


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        (f"DELETE FROM record WHERE id = {LAST_OF_A}", "truncated"),
        ("DELETE FROM record WHERE stream = 1", "truncated"),
        ("DELETE FROM record WHERE stream = 1 AND seq = 3", "chain"),
        ("UPDATE record SET body = replace(body, 'n2', 'n3') WHERE stream = 1 AND seq = 4", "chain"),
        ("UPDATE record SET hash = zeroblob(32) WHERE stream = 1 AND seq = 4", "chain"),
        ("UPDATE record SET count = 2 WHERE stream = 1 AND seq = 4", "chain"),
        ("UPDATE record SET body = CAST(x'ff00' AS BLOB) WHERE stream = 1 AND seq = 4", "chain"),
        ("UPDATE record SET stream = 99 WHERE stream = 1 AND seq = 4", "file"),
        ("UPDATE stream SET key = replace(key, 'run/a', 'run/z') WHERE id = 1", "truncated"),
        ("UPDATE stream SET key = 'run/nonsense' WHERE id = 1", "record"),
        ("DELETE FROM stream WHERE id = 1", "truncated"),
        ("UPDATE snapshot SET hash = zeroblob(32)", "snapshot"),
        ("DELETE FROM run WHERE run = 'b'", "index"),
        ("UPDATE run SET mail = 1 WHERE run = 'a'", "index"),
        ("DROP TABLE run", "unreadable"),
        ("DROP TABLE record", "file"),
    ],
)
async def test_what_was_done_to_it_shows(place: Place, statement: str, damage: str) -> None:
    place.change(statement)
    assert damage in await place.damages()


async def test_hints_and_snapshots_are_not_grave(place: Place) -> None:
    place.change("UPDATE snapshot SET hash = zeroblob(32)", "DELETE FROM run")
    report = await place.audit()
    assert len(report.flaws) == 5
    assert report.whole


async def test_a_forged_history_shows_against_anchors_kept_elsewhere(place: Place) -> None:
    kept = beside(place.journal).read_bytes()
    place.change("DELETE FROM record WHERE stream = 2 AND seq = 13")
    store = SqliteStore.open(place.journal, OsRandomness())
    stream = key(store, "b")
    applied(await store.append(note(stream, await store.head(stream), "forged")))
    store.close()
    beside(place.journal).write_bytes(kept)
    assert await place.damages() == {"diverged"}


async def test_missing_and_damaged_blobs_show(place: Place) -> None:
    (file,) = [path for path in place.blob_files.rglob("*") if path.is_file()]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"!")
    assert await place.damages() == {"blob"}
    file.unlink()
    assert await place.damages() == {"blob"}


async def test_missing_anchors_are_said(place: Place) -> None:
    beside(place.journal).write_bytes(b"nonsense" * 1000)
    reader = SqliteReader.open(place.journal)
    anchors = SqliteAnchors.open_readable(beside(place.journal))
    report = await audit(reader, None, anchors)
    assert [flaw.subject for flaw in report.flaws] == ["anchors"]
    anchors.close()
    reader.close()


async def test_no_damage_makes_it_stumble(place: Place) -> None:
    whole = place.journal.read_bytes()
    chance = random.Random(11)
    found = 0
    for round_ in range(40):
        damaged = bytearray(whole)
        for _ in range(1 + round_ % 10):
            start = chance.randrange(len(damaged))
            damaged[start : start + 64] = bytes(chance.randrange(256) for _ in range(len(damaged[start : start + 64])))
        place.journal.write_bytes(damaged)
        try:
            report = await place.audit()
        except (StoreError, ConfigurationError):
            found += 1  # it does not even open, and says so
        else:
            found += bool(report.flaws)
            if not report.flaws:  # the damage fell into unused bytes
                assert (report.streams, report.records, report.blobs) == (5, 48, 1)
    assert found > 20
