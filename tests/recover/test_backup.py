"""A backup is a verified prefix of every stream, taken while the journal grows, and goes on where it was broken off."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.depot import MemoryDepot
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.journal.blob import Payload
from outlast.journal.lineage import Lineage
from outlast.journal.record import make_append
from outlast.journal.stream import Head
from outlast.kernel.error import Conflict, NotFound, StoreCorrupt
from outlast.recover.catalog import Catalog
from outlast.recover.check import Check
from outlast.recover.manifest import Manifest, segment_name
from outlast.recover.segment import Title, make_piece, write_segment
from outlast.recover.survey import survey
from tests.agent.desk import Desk, desk
from tests.contracts.note import fill, key
from tests.recover.shop import Shop, contents_of, cut, everything, take


async def worked(d: Desk, runs: int = 2) -> list[str]:
    found = [await d.start("shop", session=f"s{number % 2}") for number in range(runs)]
    await d.until(found[0], "parked")
    await d.control.signal(found[0], "go", 7)
    await d.until(found[0], "completed")
    for run in found[1:]:
        await d.until(run, "parked")
    await d.wait_for(lambda: not d.workers[0].runs, "all is at rest")
    return found


async def held(depot: Any, backup: Manifest | None = None) -> Any:
    return await everything(await cut(depot, None, backup))


async def test_it_holds_every_record_as_it_is_stored_and_every_blob() -> None:
    async with desk(Shop().app) as d:
        await worked(d)
        depot = MemoryDepot()
        taken = await take(d.store, d.blobs, depot)
        assert await held(depot) == await everything(d.store)
        assert (taken.kind, taken.number, taken.forked) == ("full", 1, "")
        assert taken.events == sum(
            len(records) and records[-1].seq + records[-1].count - 1 for records in (await everything(d.store)).values()
        )
        assert taken.blobs == 1
        assert (await Check(depot).run()).flaws == []


async def test_the_next_one_copies_only_what_came_since() -> None:
    store, depot, blobs = MemoryStore(), MemoryDepot(), MemoryBlobs()
    await fill(store, key(store, "a"), 10)
    await fill(store, key(store, "b"), 10)
    await take(store, blobs, depot)
    await fill(store, key(store, "b"), 5)
    await fill(store, key(store, "c"), 2)
    second = await take(store, blobs, depot)
    assert (second.kind, second.number, second.streams, second.events) == ("increment", 2, 2, 7)
    third = await take(store, blobs, depot)
    assert (third.events, third.segments) == (0, ())
    assert await held(depot) == await everything(store)
    whole = await take(store, blobs, depot, full=True)
    assert (whole.kind, whole.number, whole.events) == ("full", 4, 27)
    assert await held(depot, second) == await held(depot, whole) == await everything(store)


async def test_large_streams_take_several_segments() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    await fill(store, key(store, "a"), 40, size=1000)
    await fill(store, key(store, "b"), 3, size=10)
    taken = await take(store, MemoryBlobs(), depot, segment_bytes_max=5000)
    assert len(taken.segments) > 5
    assert await held(depot) == await everything(store)
    assert (await Check(depot).run()).flaws == []


class Growing:
    """A journal that grows whenever it is looked at."""

    times = 60
    prefix = "new"

    def __init__(self, behind: MemoryStore) -> None:
        self._behind = behind
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def _grow(self) -> None:
        self._count += 1
        if self._count > self.times:
            return
        await fill(self._behind, key(self._behind, f"{self.prefix}{self._count:03d}"), 2)
        await fill(self._behind, key(self._behind, "a"), 1)

    async def head(self, stream: str) -> Any:
        await self._grow()
        return await self._behind.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Any:
        await self._grow()
        return await self._behind.read(stream, after, limit)


async def test_taken_while_the_journal_grows_it_is_a_prefix_of_every_stream() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    for name in ("a", "b", "c"):
        await fill(store, key(store, name), 3)
    before = await everything(store)
    for _ in range(4):
        await take(Growing(store), MemoryBlobs(), depot)
    found, now = await held(depot), await everything(store)
    assert all(now[stream][: len(records)] == records for stream, records in found.items())
    assert all(found[stream][: len(records)] == records for stream, records in before.items())
    assert (await Check(depot).run()).flaws == []
    await take(store, MemoryBlobs(), depot)
    assert await held(depot) == await everything(store)


class Dies(BaseException):
    pass


class Mortal:
    """A depot whose user dies at the n-th put, before or behind it."""

    def __init__(self, behind: MemoryDepot, at: int, stored: bool) -> None:
        self._behind = behind
        self._left = at
        self._stored = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def put(self, name: str, content: bytes, locked_until: float = 0.0) -> None:
        self._left -= 1
        if self._left == 0:
            if self._stored:
                await self._behind.put(name, content, locked_until)
            raise Dies
        await self._behind.put(name, content, locked_until)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("earlier", [0, 1])
async def test_killed_anywhere_it_is_whole_or_not_there_and_the_next_one_goes_on(stored: bool, earlier: int) -> None:
    async with desk(Shop().app) as d:
        await worked(d, 4)
    for name in range(20):
        await fill(d.store, key(d.store, f"x{name}"), 3, size=300)
    bounds: dict[str, Any] = {"segment_bytes_max": 3000}
    puts = 0
    while True:
        puts += 1
        depot = MemoryDepot()
        for number in range(earlier):
            await take(d.store, d.blobs, depot)
            await fill(d.store, key(d.store, f"y{puts}.{number}"), 9, size=900)
        try:
            await take(d.store, d.blobs, Mortal(depot, puts, stored), **bounds)
        except Dies:
            pass
        else:
            break
        listed = await Catalog.read(depot)
        done = [one for one in listed.backups if one.number == earlier + 1]
        assert not done or stored
        assert (await Check(depot).run()).whole
        left = [name for name in depot.objects if name.endswith(".segment")]
        await fill(d.store, key(d.store, f"later{puts}"), 1)
        again = await take(d.store, d.blobs, depot, **bounds)
        assert again.forked == ""
        assert len({one.series for one in (await Catalog.read(depot)).backups}) == 1
        assert set(left) <= set(depot.objects)
        assert await held(depot) == await everything(d.store)
        assert (await Check(depot).run()).flaws == []
    assert puts > 6


async def test_of_two_at_once_one_is_refused_and_nothing_is_spoiled() -> None:
    store, depot, blobs = MemoryStore(), MemoryDepot(), MemoryBlobs()
    await fill(store, key(store, "a"), 10)
    await take(store, blobs, depot)
    await fill(store, key(store, "a"), 10)
    outcomes = await asyncio.gather(
        take(Growing(store), blobs, depot), take(Growing(store), blobs, depot), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["Conflict", "Manifest"]
    assert any(isinstance(one, Conflict) for one in outcomes)
    assert (await Check(depot).run()).flaws == []
    await take(store, blobs, depot)
    assert await held(depot) == await everything(store)


async def test_a_journal_that_lost_its_end_begins_a_new_series_and_says_why() -> None:
    store, depot, blobs = MemoryStore(), MemoryDepot(), MemoryBlobs()
    await fill(store, key(store, "a"), 10)
    first = await take(store, blobs, depot)
    del store._streams[key(store, "a")][7:]
    second = await take(store, blobs, depot)
    assert (second.kind, second.number) == ("full", 1)
    assert second.series != first.series
    assert "ends at event 7, the newest backup has 10" in second.forked
    await fill(store, key(store, "a"), 10, size=2)  # longer than before, with another history
    assert (await take(store, blobs, depot)).series == second.series
    del store._streams[key(store, "a")]
    assert "not in the journal any more" in (await take(store, blobs, depot)).forked
    assert (await Check(depot).run()).flaws == []


async def test_another_history_of_the_same_length_is_noticed() -> None:
    store, other, depot = MemoryStore(), MemoryStore(), MemoryDepot()
    for one, size in ((store, 1), (other, 2)):
        await fill(one, key(one, "a"), 10, size=size)
    await take(store, MemoryBlobs(), depot)
    assert "another history" in (await take(other, MemoryBlobs(), depot)).forked
    await fill(store, key(store, "a"), 1)
    back = await take(store, MemoryBlobs(), depot)
    assert (back.kind, back.forked) == ("increment", ""), "each of the two goes on with its own"


async def test_a_journal_that_lets_runs_go_goes_on_with_its_series() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    for name in ("a", "b"):
        await fill(store, key(store, name), 3)
    first = await take(store, MemoryBlobs(), depot)
    del store._streams[key(store, "a")]
    second = await take(store, MemoryBlobs(), depot, lets_go=True)
    assert (second.series, second.kind) == (first.series, "increment")
    assert set(await held(depot)) == {key(store, "b")}
    assert set(await held(depot, first)) == {key(store, "a"), key(store, "b")}


async def test_journals_of_other_lineages_share_a_depot() -> None:
    depot = MemoryDepot()
    stores = [MemoryStore(Lineage(0, "local", nonce)) for nonce in ("aaaa", "bbbb")]
    for store in stores:
        await fill(store, key(store, "a"), 3)
    taken = [await take(store, MemoryBlobs(), depot) for store in (*stores, *stores)]
    assert [one.kind for one in taken] == ["full", "full", "increment", "increment"]
    assert [one.forked for one in taken] == [""] * 4


async def test_damage_in_the_journal_is_not_backed_up() -> None:
    async with desk(Shop().app) as d:
        await worked(d)
        stream = (await d.store.streams("session"))[0]
        records = d.store._streams[stream]
        records[0] = type(records[0])(records[0].seq, records[0].count, records[0].body + b" ", records[0].hash)
        depot = MemoryDepot()
        with pytest.raises(StoreCorrupt):
            await take(d.store, d.blobs, depot)
        assert (await Catalog.read(depot)).backups == []


async def test_a_blob_that_is_missing_is_said() -> None:
    async with desk(Shop().app) as d:
        await worked(d)
        with pytest.raises(NotFound, match="names it"):
            await take(d.store, MemoryBlobs(), MemoryDepot())


async def test_a_run_that_appears_meanwhile_is_taken_with_its_first_record_alone() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    await fill(store, key(store, "a"), 3)

    class Late(Growing):
        prefix = "New"  # comes before "a": that page has been read already

        async def _grow(self) -> None:
            if not self._count:
                await super()._grow()

    await take(Late(store), MemoryBlobs(), depot)
    found = await held(depot)
    assert [record.seq for record in found[key(store, "New001")]] == [1]
    assert (await contents_of(depot)).chain.newest.streams_in_all == 2


async def test_what_an_attempt_left_of_another_history_is_not_gone_on_with() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    await fill(store, key(store, "a"), 3)
    await take(store, MemoryBlobs(), depot)
    await fill(store, key(store, "a"), 4)
    with pytest.raises(Dies):
        await take(store, MemoryBlobs(), Mortal(depot, 2, stored=True))  # behind its segment
    assert len([name for name in depot.objects if name.endswith(".segment")]) == 2
    del store._streams[key(store, "a")][5:]
    await fill(store, key(store, "a"), 4, size=2)
    taken = await take(store, MemoryBlobs(), depot)
    assert "another history" in taken.forked
    assert await held(depot) == await everything(store)
    assert (await Check(depot).run()).whole


async def test_what_is_left_must_go_on_from_the_backup_before_it() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    stream = key(store, "a")
    await fill(store, stream, 3)
    first = await take(store, MemoryBlobs(), depot)
    await fill(store, stream, 6)
    records = await store.read(stream, 5)
    piece = make_piece(stream, 1, Head(5, store._streams[stream][4].hash), records)
    name = segment_name(first.series, 2, 1)
    depot.objects[name] = write_segment(Title(first.series, 2, 1, False), [piece])
    taken = await take(store, MemoryBlobs(), depot)
    assert "does not go on from the backup before it" in taken.forked
    assert await held(depot) == await everything(store)


class Eventful(Growing):
    """Behind each look a run begins as a turn of a session, and a letter comes to a run, which reads it."""

    times = 40

    async def _grow(self) -> None:
        self._count += 1
        if self._count > self.times:
            return
        store, name = self._behind, f"{'Az'[self._count % 2]}{self._count:03d}"
        await self._append("run", name, ev.RunParked("new", 0.0))
        await self._append("session", "s", ev.TurnQueued(name))
        await self._append("inbox", "a", ev.MailWake(f"{self._count}", "x"))
        number = store.end(key(store, "a", "inbox")).seq
        await self._append("run", "a", ev.SignalConsumed("1", "go", "id", number, Payload(msgspec.Raw(b"1"))))

    async def _append(self, kind: str, name: str, event: Any) -> None:
        store = self._behind
        stream = key(store, name, kind)
        head = store.end(stream)
        await store.append(make_append(stream, head, f"{kind}{self._count}", 1.0, [event]))


async def test_what_a_stream_names_is_there_too() -> None:
    store = MemoryStore()
    source: Any = Eventful(store)
    await source._grow()
    ends = await survey(source)
    turns = ends[key(store, "s", "session")].seq
    queued = [
        event.run
        for record in store._streams[key(store, "s", "session")][:turns]
        for event in ev.SESSION.read(key(store, "s", "session"), record).events
        if isinstance(event, ev.TurnQueued)
    ]
    assert queued
    assert all(key(store, run) in ends for run in queued), "a session's runs"
    read = store._streams[key(store, "a")][ends[key(store, "a")].seq - 1]
    (event,) = ev.RUN.read(key(store, "a"), read).events
    assert isinstance(event, ev.SignalConsumed)
    assert ends[key(store, "a", "inbox")].seq >= event.mail, "the letters that a run has read"
