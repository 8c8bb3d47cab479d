"""A whole journal is copied byte for byte, wherever a copy breaks off; into another history it is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.publisher import MemoryPublisher
from outlast.adapters.memory.store import MemoryStore
from outlast.agent.app import App
from outlast.agent.disclosure import KINDS as TOLD
from outlast.agent.run import Run
from outlast.cell.outbox import Outbox, OutboxBounds
from outlast.journal.audit import KINDS, audit
from outlast.journal.chain import genesis
from outlast.journal.copy import Copy
from outlast.journal.lineage import Lineage
from outlast.journal.stream import Append, Outcome, Unknown
from outlast.kernel.error import Conflict, StoreCorrupt
from tests.agent.desk import Desk, desk
from tests.contracts.note import fill, note

app: App[None] = App("t")


@app.tool(effect="pure")
async def long_text(n: int) -> str:
    return f"{n}" * 80_000


@app.agent(session_ttl="1h")
async def talk(run: Run[None], text: str) -> int:
    lengths = await run.gather(*(long_text(n) for n in range(3)))
    await run.signal("go")
    return sum(map(len, lengths)) + len(text)


class Dies(Exception):
    pass


class Mortal:
    """A target whose process dies at the n-th append, before or behind it."""

    def __init__(self, behind: MemoryStore, at: int, applied: bool) -> None:
        self._behind = behind
        self._left = at
        self._applied = applied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def append(self, append: Append) -> Outcome:
        self._left -= 1
        if self._left == 0:
            if self._applied:
                await self._behind.append(append)
            raise Dies
        return await self._behind.append(append)


async def worked(d: Desk) -> str:
    run = await d.start("talk", {"text": "x" * 70_000}, session="s")
    await d.until(run, "parked")
    other = await d.start("talk", "short", session="s")
    await d.control.signal(run, "go")
    await d.until(run)
    await d.until(other, "parked")
    return other


async def contents(store: Any) -> dict[str, Any]:
    streams = [stream for kind in KINDS for stream in await store.streams(kind)]
    return {stream: await store.read(stream) for stream in streams}


def copy(d: Desk, target: Any, blobs: MemoryBlobs) -> Copy:
    return Copy(d.store, target, d.blobs, blobs, SystemClock())


async def test_everything_arrives_and_open_runs_are_found_there() -> None:
    async with desk(app) as d:
        waiting = await worked(d)
        target, blobs = MemoryStore(d.store.lineage), MemoryBlobs()
        copied = await copy(d, target, blobs).run()
        assert await contents(target) == await contents(d.store)
        assert copied.blobs >= 4
        assert copied.there == 0
        report = await audit(target, blobs)
        assert report.flaws == []
        assert await target.entry(waiting) == await d.store.entry(waiting)


@pytest.mark.parametrize("applied", [False, True])
async def test_a_copy_that_broke_off_anywhere_goes_on_there(applied: bool) -> None:
    async with desk(app) as d:
        await worked(d)
        whole = (await copy(d, MemoryStore(d.store.lineage), MemoryBlobs()).run()).records
        for at in range(1, whole + 1):
            target, blobs = MemoryStore(d.store.lineage), MemoryBlobs()
            with pytest.raises(Dies):
                await copy(d, Mortal(target, at, applied), blobs).run()
            again = await copy(d, target, blobs).run()
            assert (again.there, again.records) == (at - (not applied), whole - at + (not applied))
            assert await contents(target) == await contents(d.store)
            assert (await audit(target, blobs)).whole


async def published(d: Desk, store: MemoryStore, publisher: MemoryPublisher, rounds: int) -> None:
    """Publish at most so many batches of what a store holds, as an outbox that has just been started."""
    platform = dataclasses.replace(d.control.platform, store=store, index=store, snapshots=store)
    outbox = Outbox(platform, publisher, d.reports.append, OutboxBounds(sweep_rest_s=0.0))
    await outbox.sweep()
    while rounds and outbox._news:
        await outbox.round()
        rounds -= 1
    await outbox.save()


@pytest.mark.parametrize("rounds", [0, 1, 100])
async def test_what_was_published_before_a_move_is_not_published_again_and_nothing_is_skipped(rounds: int) -> None:
    async with desk(app) as d:
        await worked(d)
        publisher = MemoryPublisher()
        await published(d, d.store, publisher, rounds)
        target, blobs = MemoryStore(d.store.lineage), MemoryBlobs()
        with pytest.raises(Dies):
            await copy(d, Mortal(target, 5, True), blobs).run()
        done = await copy(d, target, blobs).run()
        assert done.cursors == len([one for one in d.store.snapshots() if one.startswith("outbox/")])
        before = len(publisher.published)
        await published(d, target, publisher, 1000)
        told = [(each.stream, each.seq) for each in publisher.published]
        assert len(told) == len(set(told)), "nothing twice"
        ends = {stream: (await target.head(stream)).seq for kind in TOLD for stream in await target.streams(kind)}
        assert sorted(told) == sorted((stream, seq) for stream, end in ends.items() for seq in range(1, end + 1))
        assert (before == 0) == (rounds == 0)
        assert (len(told) == before) == (rounds == 100)


async def test_a_cursor_that_was_damaged_is_none() -> None:
    async with desk(app) as d:
        await worked(d)

        class Damaged(MemoryStore):
            async def load(self, stream: str) -> Any:
                raise StoreCorrupt("damaged")

        source = Damaged(d.store.lineage)
        source._streams, source._entries = d.store._streams, d.store._entries
        target = MemoryStore(d.store.lineage)
        done = await Copy(source, target, d.blobs, MemoryBlobs(), SystemClock()).run()
        assert (done.cursors, target.snapshots()) == (0, {})
        assert await contents(target) == await contents(d.store)


async def test_an_unknown_outcome_is_settled() -> None:
    async with desk(app) as d:
        await worked(d)
        target = MemoryStore(d.store.lineage)

        class Lossy(Mortal):
            async def append(self, append: Append) -> Outcome:
                await self._behind.append(append)
                self._left -= 1
                return Unknown("lost") if self._left % 2 else await self._behind.append(append)

        await copy(d, Lossy(target, 0, True), MemoryBlobs()).run()
        assert await contents(target) == await contents(d.store)


async def test_another_lineage_is_refused() -> None:
    async with desk(app) as d:
        with pytest.raises(Conflict, match="lineage"):
            await copy(d, MemoryStore(Lineage(0, "mars", "abcdef")), MemoryBlobs()).run()


@pytest.mark.parametrize("events", [1, 500])
async def test_another_history_under_the_same_key_is_refused(events: int) -> None:
    async with desk(app) as d:
        await worked(d)
        stream = (await d.store.streams("session"))[0]
        target = MemoryStore(d.store.lineage)
        await target.append(note(stream, genesis(stream), "alien"))
        if events > 1:
            await fill(target, stream, events)
        with pytest.raises(Conflict, match="another history"):
            await copy(d, target, MemoryBlobs()).run()


async def test_a_damaged_source_is_not_copied_further() -> None:
    async with desk(app) as d:
        await worked(d)
        stream = (await d.store.streams("session"))[0]
        records = d.store._streams[stream]
        records[0] = msgspec.structs.replace(records[0], body=records[0].body.replace(b"run_", b"nur_", 1))
        target = MemoryStore(d.store.lineage)
        with pytest.raises(StoreCorrupt):
            await copy(d, target, MemoryBlobs()).run()
        assert await target.read(stream) == []
