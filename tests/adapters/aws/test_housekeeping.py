"""What must go goes, and what somebody may still need stays: sessions, children, archived and sealed blobs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.dynamodb.retention import Retention, grace_s
from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.housekeeping import Housekeeping
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.s3.collect import min_age_s
from outlast.adapters.aws.s3.owner import mark_table, tables_of
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.document import Document, Entry
from outlast.adapters.keyring.keyring import Keyring
from outlast.adapters.memory.anchor import MemoryAnchors
from outlast.journal.audit import audit
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.publication import cursor_stream
from outlast.journal.removal import removed_streams
from outlast.journal.sealed import sealed
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import StreamKey
from outlast.kernel.error import NotFound, StoreSealed
from tests.adapters.aws.opening import engine, options
from tests.adapters.aws.test_retention import DAY, Moved, a_run, moved
from tests.contracts.note import applied, everything, key, note

KEEP_S = 30 * DAY


class House:
    """A house with a clock that can be put forward."""

    def __init__(self, place: AwsOptions, opened: AwsEngine, *, store: Any = None, **more: Any) -> None:
        self.said: list[tuple[str, str]] = []
        self.opened = opened
        table, self.clock = moved(opened)
        del table
        self.keeping = Housekeeping(
            place, opened, store or opened.journal, self.clock, OsRandomness(), self.tell, KEEP_S, **more
        )
        self._collects_by(self.clock)

    def tell(self, level: str, line: str) -> None:
        self.said.append((level, line))

    def _collects_by(self, clock: Moved) -> None:
        partial: Any = self.opened._collecting
        self.opened._collecting = type(partial)(partial.func, *partial.args[:2], clock)

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.said]


async def is_told(opened: AwsEngine, name: str) -> bool:
    table = opened.table
    (record, *_) = await table.query(key(opened.journal, name), names="pk, sk, expires_at")
    return "expires_at" in record


async def end(opened: AwsEngine, name: str, at: float, **more: Any) -> str:
    """A run that ended at a time."""
    stream = key(opened.journal, name)
    hint = HintPatch(name, state="completed", created_at=at, updated_at=at, **more)
    applied(await opened.journal.append(note(stream, genesis(stream), "n", hint=hint)))
    return stream


async def test_runs_that_ended_long_ago_go_and_their_cursors_with_them(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house = House(place, opened)
        now = house.clock.now()
        old = await a_run(opened, "old", 31, now)
        await a_run(opened, "fresh", 29, now)
        cursor = Snapshot(cursor_stream(old), 5, bytes(32), 1, b"how far")
        await opened.journal.save(cursor)
        assert await house.keeping.walk() == 1
        assert await house.keeping.walk() == 0
        assert house.said == [("info", "1 runs that ended more than 30d ago will be gone in a day")]
        assert await opened.journal.load(cursor.stream) == cursor
        house.clock.ahead_s = grace_s + 2
        assert await opened.journal.read(old) == []
        assert await opened.journal.load(cursor.stream) is None


async def test_what_goes_is_on_record_first_and_an_audit_does_not_miss_it(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house, journal, anchors = House(place, opened), opened.journal, MemoryAnchors()
        old = await a_run(opened, "old", 31, house.clock.now())
        ends = {stream: await journal.head(stream) for stream in (old, key(journal, "old", "inbox"))}
        await anchors.note(ends.items())
        assert await house.keeping.walk() == 1
        found = await removed_streams(journal)
        assert {one.stream: (one.seq, one.hash) for one in found.values()} == {
            stream: (head.seq, head.hash.hex()) for stream, head in ends.items()
        }
        house.clock.ahead_s = grace_s + 2
        assert await journal.read(old) == []
        report = await audit(journal, anchors=anchors)
        assert [flaw for flaw in report.flaws if flaw.grave] == []
        assert (report.removed, report.anchors) == (2, 2)


async def test_what_somebody_may_still_need_is_neither_told_nor_on_record(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    asked: list[tuple[str, float]] = []

    async def may_go(entry: RunEntry, before: float) -> bool:
        asked.append((entry.run, before))
        return entry.run == "b"

    async with engine(place) as opened:
        house = House(place, opened, may_go=may_go)
        for name in ("a", "b"):
            await a_run(opened, name, 31, house.clock.now())
        assert await house.keeping.walk() == 1
        assert [await is_told(opened, name) for name in ("a", "b")] == [False, True]
        assert {StreamKey.parse(stream).id for stream in await removed_streams(opened.journal)} == {"b"}
        assert sorted(run for run, _ in asked) == ["a", "b"]
        assert all(abs(house.clock.now() - KEEP_S - before) < 60 for _, before in asked)


async def test_turns_of_sessions_and_children_of_open_parents_stay(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house = House(place, opened)
        long_ago = house.clock.now() - 31 * DAY
        await a_run(opened, "parent", None, house.clock.now())
        await end(opened, "turn", long_ago, session="s")
        await end(opened, "child", long_ago, parent="parent")
        await end(opened, "orphan", long_ago, parent="gone")
        assert await house.keeping.walk() == 1
        assert await is_told(opened, "orphan")
        assert not await is_told(opened, "turn")
        assert not await is_told(opened, "child")
        stream = key(opened.journal, "parent")
        head = await opened.journal.head(stream)
        hint = HintPatch("parent", state="completed", updated_at=house.clock.now())
        applied(await opened.journal.append(note(stream, head, "end", hint=hint)))
        assert await house.keeping.walk() == 1
        assert await is_told(opened, "child")
        assert not await is_told(opened, "parent")


async def test_more_runs_than_one_walk_takes_go_though_those_told_before_are_still_there(
    ministack: str, short_dir: Path
) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house = House(place, opened)
        for number in range(5):
            await end(opened, f"r{number}", house.clock.now() - 31 * DAY)
        retention = Retention(opened.table, opened.journal.lineage, house.clock, 30)
        assert [(await retention.walk(2)).told for _ in range(4)] == [2, 2, 1, 0]


async def test_what_goes_is_archived_first_and_the_blobs_that_the_archive_names_stay(
    ministack: str, short_dir: Path
) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house = House(place, opened, archive=True)
        journal = opened.journal
        named, unnamed = await opened.blobs.put(b"named"), await opened.blobs.put(b"unnamed")
        stream = key(journal, "old")
        hint = HintPatch("old", state="completed", created_at=1.0, updated_at=1.0)
        applied(await journal.append(note(stream, genesis(stream), "n", named.sha256, hint=hint)))
        records = await everything(journal, stream)
        assert await house.keeping.walk() == 1
        house.clock.ahead_s = min_age_s + grace_s
        assert await journal.read(stream) == []
        assert await opened.archive.read(stream) == records
        assert await house.keeping.collect()
        assert await opened.blobs.get(named) == b"named"
        with pytest.raises(NotFound):
            await opened.blobs.get(unnamed)
        assert house.lines[-1] == "1 of 2 blobs were removed, nothing named them"


async def test_a_run_that_cannot_be_archived_stays_and_is_said(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house = House(place, opened, archive=True)
        await end(opened, "damaged", 1.0)
        await end(opened, "whole", 1.0)
        at = {"pk": {"S": key(opened.journal, "damaged")}, "sk": {"S": "0000000000000001"}}
        await opened.calls["dynamodb"].once(
            "UpdateItem", TableName=place.table, Key=at, UpdateExpression="SET #h = :h",
            ExpressionAttributeNames={"#h": "hash"}, ExpressionAttributeValues={":h": {"B": bytes(32)}},
        )  # fmt: skip
        assert await house.keeping.walk() == 1
        assert await is_told(opened, "whole")
        assert not await is_told(opened, "damaged")
        assert re.match("run damaged stays, it cannot be archived: ", house.lines[0])


async def test_blobs_that_sealed_streams_name_are_found_with_the_keys_and_nothing_is_removed_without(
    ministack: str, short_dir: Path
) -> None:
    place = options(short_dir.name, ministack)
    document = Document([Entry("k1", bytes(range(64)))])
    async with engine(place) as opened:
        journal, blobs = sealed(opened.journal, opened.blobs, Keyring(lambda: document, "test"))
        ref = await blobs.put(b"large")
        stream = key(opened.journal, "r")
        applied(await journal.append(note(stream, genesis(stream), "n", ref.sha256)))
        for store, raises in ((None, True), (journal, False)):
            house = House(place, opened, store=store)
            house.clock.ahead_s = min_age_s + 60
            if raises:
                with pytest.raises(StoreSealed, match="is sealed"):
                    await house.keeping.collect()
            else:
                assert await house.keeping.collect()
            assert await blobs.get(ref) == b"large"


async def test_blobs_are_collected_once_a_day_whoever_does_it(ministack: str, short_dir: Path) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        one, two = House(place, opened), House(place, opened)
        assert await one.keeping.collect()
        assert not await two.keeping.collect()
        assert not await one.keeping.collect()
        two.clock.ahead_s = DAY + 1
        assert await two.keeping.collect()


async def test_a_bucket_that_another_table_uses_is_left_alone_and_that_is_said_once(
    ministack: str, short_dir: Path
) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place) as opened:
        house = House(place, opened)
        house.clock.ahead_s = min_age_s + 60
        ref = await opened.blobs.put(b"of the other table")
        await mark_table(opened.calls["s3"], place.bucket, "another")
        assert await tables_of(opened.calls["s3"], place.bucket) == ["another", place.table]
        for _ in range(2):
            assert not await house.keeping.collect()
        assert await opened.blobs.get(ref) == b"of the other table"
        assert len(house.lines) == 1
        assert "also used by table another" in house.lines[0]
