"""Whoever publishes hears of every stream that grew, in whatever process, and of nothing else that the table holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.dynamodb import growth as growths
from outlast.adapters.aws.dynamodb.growth import Growth
from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import prepare
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.cell.presence import HostBeat
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.lineage import Lineage
from outlast.journal.stream import Notice, StreamKey
from tests.adapters.aws.opening import TABLE_ONLY, engine, options
from tests.contracts.note import applied, key, note

WITH_STREAM = msgspec.structs.replace(TABLE_ONLY, stream=True)


class Hearing:
    """One follower of a table, and what it heard."""

    def __init__(self, place: AwsOptions, opened: AwsEngine, room: int = 1_000) -> None:
        self.heard: list[Notice] = []
        self.said: list[str] = []
        self.room = room
        self.asked_for_room = 0
        self.growth = Growth(
            place.table, opened.calls["dynamodb"], Place(place.region, place.endpoint_url), opened.journal,
            opened.journal.lineage, SystemClock(), self.ring, self.left, self.said.append,
        )  # fmt: skip

    def left(self) -> int:
        self.asked_for_room += 1
        return self.room

    def ring(self, notices: Sequence[Notice]) -> None:
        assert len(notices) <= self.room
        self.heard += notices

    @property
    def streams(self) -> list[str]:
        return [notice.stream for notice in self.heard]

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.growth.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_records_of_every_process_are_heard_of_and_nothing_else(
    ministack: str, short_dir: Path, until: Any
) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place, preparation=WITH_STREAM) as opened, engine(place, preparation=None) as elsewhere:
        hearing = Hearing(place, opened)
        run, inbox = key(elsewhere.journal, "r"), key(elsewhere.journal, "r", "inbox")
        hint = HintPatch("r", state="ready", created_at=1.0)
        head = applied(await elsewhere.journal.append(note(run, genesis(run), "n", hint=hint)))
        async with hearing.following():
            await until(lambda: run in hearing.streams, 20)
            applied(await elsewhere.journal.append(note(inbox, genesis(inbox), "mail")))
            applied(await elsewhere.journal.append(note(run, head, "more")))
            await elsewhere.presence.beat(HostBeat("h", 1))
            await until(lambda: hearing.streams.count(run) == 2 and inbox in hearing.streams, 20)
        assert {(notice.stream, notice.seq) for notice in hearing.heard} == {(run, 1), (run, 2), (inbox, 1)}
        assert hearing.said == []


async def test_another_follower_goes_on_where_this_one_stopped_and_what_it_writes_itself_keeps_it_not_busy(
    ministack: str, short_dir: Path, until: Any
) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place, preparation=WITH_STREAM) as opened:
        run = key(opened.journal, "r")
        head = applied(await opened.journal.append(note(run, genesis(run), "n")))
        first = Hearing(place, opened)
        async with first.following():
            await until(lambda: run in first.streams, 20)
        applied(await opened.journal.append(note(run, head, "more")))
        puts = opened.usage.calls["dynamodb:PutItem"]
        second = Hearing(place, opened)
        async with second.following():
            await until(lambda: second.heard, 20)
        assert [notice.seq for notice in second.heard] == [2]
        assert opened.usage.calls["dynamodb:PutItem"] - puts <= 2, "a mark each few seconds, and one at the end"


async def test_no_more_is_handed_on_than_there_is_room_for(ministack: str, short_dir: Path, until: Any) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place, preparation=WITH_STREAM) as opened:
        for name in ("a", "b", "c"):
            run = key(opened.journal, name)
            applied(await opened.journal.append(note(run, genesis(run), "n")))
        hearing = Hearing(place, opened, room=0)
        async with hearing.following():
            await until(lambda: hearing.asked_for_room > 2, 20)
            assert hearing.heard == []
            hearing.room = 3
            await until(lambda: len(hearing.heard) == 3, 20)


async def test_a_table_without_a_stream_is_said_once_and_looked_at_again(
    ministack: str, short_dir: Path, until: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(growths, "look_again_s", 0.05)
    place = options(short_dir.name, ministack)
    async with engine(place, preparation=TABLE_ONLY) as opened:
        run = key(opened.journal, "r")
        hearing = Hearing(place, opened)
        async with hearing.following():
            asked = opened.usage.calls["dynamodb:DescribeTable"]
            await until(lambda: opened.usage.calls["dynamodb:DescribeTable"] > asked + 3, 20)
            assert hearing.said == [
                f"table {place.table} has no stream, so events are found late, by looking: run `outlast store prepare`"
            ]
            await prepare(place, SystemClock(), OsRandomness(), WITH_STREAM)
            applied(await opened.journal.append(note(run, genesis(run), "n")))
            await until(lambda: run in hearing.streams, 20)


async def test_what_another_region_writes_into_the_table_is_not_ours_to_publish(
    ministack: str, short_dir: Path, until: Any
) -> None:
    place = options(short_dir.name, ministack)
    async with engine(place, preparation=WITH_STREAM) as opened:
        lineage = msgspec.structs.replace(opened.journal.lineage, region="elsewhere")
        theirs, ours = str(StreamKey("run", "r", Lineage.parse(str(lineage)))), key(opened.journal, "r")
        for stream in (theirs, ours):
            record = {"pk": {"S": stream}, "sk": {"S": "0000000000000001"}}
            await opened.calls["dynamodb"].once("PutItem", TableName=place.table, Item=record)
        hearing = Hearing(place, opened)
        async with hearing.following():
            await until(lambda: ours in hearing.streams, 20)
        assert theirs not in hearing.streams
