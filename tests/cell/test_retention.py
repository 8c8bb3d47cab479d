"""What may go goes, once and wholly, and what somebody may still need stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from outlast.adapters.memory.anchor import MemoryAnchors
from outlast.adapters.memory.store import MemoryStore
from outlast.agent.app import App
from outlast.agent.create import run_key
from outlast.agent.platform import Platform
from outlast.agent.run import Run
from outlast.cell.retention import Gone, Retention, RetentionBounds
from outlast.journal.audit import audit
from outlast.journal.index import HintPatch
from outlast.journal.publication import cursor_stream
from outlast.journal.reach import Swept
from outlast.journal.removal import Ended, Removal, removals
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import NotFound, StoreUnavailable
from tests.agent.desk import Desk

DAY_S = 86400.0
KEEP_S = 30 * DAY_S

app: App[None] = App("t")


@app.agent
async def quick(run: Run[None], text: str = "") -> str:
    return text


@app.agent
async def waits(run: Run[None]) -> str:
    return await run.signal("go", str)


@app.agent
async def parent(run: Run[None]) -> str:
    await run.child(quick, "of a child")
    return await run.signal("go", str)


@app.agent
async def again(run: Run[None], left: int) -> str:
    if left:
        run.continue_as_new(left - 1)
    return await run.signal("go", str)


class Later:
    """The system's clock, some time ahead."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.ahead_s = 0.0

    def now(self) -> float:
        return self._clock.now() + self.ahead_s

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(min(seconds, 0.001))


class Blobs:
    """Says what it is asked to sweep."""

    def __init__(self) -> None:
        self.named: list[set[str]] = []

    async def sweep(self, named: Any, older_than_s: float) -> Swept:
        self.named.append(set(named))
        return Swept(5, 2)


class House:
    def __init__(self, desk: Desk, **more: Any) -> None:
        self.desk = desk
        self.clock = Later(desk.clock)
        self.said: list[tuple[str, str]] = []
        self.blobs = Blobs()
        self.platform: Platform = dataclasses.replace(desk.control.platform, clock=self.clock)
        self.more = more

    def keeping(self, store: Any = None) -> Retention:
        return Retention(
            self.platform, store or self.desk.store, self.blobs, lambda *said: self.said.append(said), KEEP_S,
            **{"bounds": RetentionBounds(page=3), **self.more},
        )  # fmt: skip

    async def there(self) -> set[str]:
        return {entry.run for entry in await self.desk.store.list(limit=1000)}

    async def on_record(self) -> list[Removal]:
        return [removal async for removal in removals(self.desk.store)]


async def test_runs_that_ended_long_ago_go_with_all_that_is_theirs_and_it_is_on_record() -> None:
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d)
        runs = [await d.start("quick", f"{number}") for number in range(25)]
        open_one = await d.start("waits")
        for run in runs:
            await d.until(run)
        heads = {run_key(house.platform, run): await d.store.head(run_key(house.platform, run)) for run in runs}
        await d.store.save(Snapshot(cursor_stream(run_key(house.platform, runs[0])), 1, bytes(32), 1, b""))
        assert await house.keeping().walk() == Gone()
        house.clock.ahead_s = KEEP_S + 60
        assert await house.keeping().walk() == Gone(25, 0)
        assert await house.there() == {open_one}
        assert {one.partition("/")[0] for one in d.store.contents()} == {"run", "removal"}
        assert d.store.snapshots() == {}
        assert {one.stream: (one.seq, one.hash) for one in await house.on_record()} == {
            stream: (head.seq, head.hash.hex()) for stream, head in heads.items()
        }
        assert house.said == [("info", "25 runs that ended more than 30d ago were removed")]
        assert await house.keeping().walk() == Gone()
        report = await audit(d.store)
        assert (report.flaws, report.removed) == ([], 25)
        with pytest.raises(NotFound):
            await d.control.view(runs[0])
        await d.control.signal(open_one, "go", "on")
        assert (await d.until(open_one)).result == "on"


async def test_turns_of_sessions_children_of_open_parents_and_what_a_continued_run_became_stay() -> None:
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d)
        turn = await d.start("quick", "t", session="s")
        await d.until(turn)
        above = await d.start("parent")
        await d.until(above, "parked")
        first = await d.start("again", 2)
        await d.until(first)
        await d.wait_for(lambda: _parked(d, "again"))
        before = await house.there()
        assert len(before) == 6
        house.clock.ahead_s = KEEP_S + 60
        assert (await house.keeping().walk()).removed == 0
        assert await house.there() == before
        for entry in await d.store.list(limit=100):
            if entry.state == "parked":
                await d.control.signal(entry.run, "go", "on")
                await d.until(entry.run)
        house.clock.ahead_s = KEEP_S - 60
        assert (await house.keeping().walk()).removed == 0, "they ended just now"
        house.clock.ahead_s = 2 * KEEP_S
        while (await house.keeping().walk()).removed:
            pass
        assert await house.there() == {turn}


async def _parked(d: Desk, agent: str) -> bool:
    return bool(await d.store.list(state="parked", agent=agent))


async def test_nothing_goes_that_was_not_wholly_published() -> None:
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d, published=True)
        runs = [await d.start("quick", "q") for _ in range(3)]
        for run in runs:
            await d.until(run)
        for run, lacking in zip(runs[:2], (0, 1), strict=True):
            stream = run_key(house.platform, run)
            head = await d.store.head(stream)
            await d.store.save(Snapshot(cursor_stream(stream), head.seq - lacking, head.hash, 1, stream.encode()))
        house.clock.ahead_s = KEEP_S + 60
        assert await house.keeping().walk() == Gone(1, 2)
        assert await house.there() == set(runs[1:])


async def test_an_index_that_is_wrong_removes_nothing() -> None:
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d)
        run = await d.start("waits")
        await d.until(run, "parked")
        house.clock.ahead_s = KEEP_S + 60
        d.store.patch(HintPatch(run, state="completed", updated_at=1.0))
        fresh = await d.start("quick", "q")
        await d.until(fresh)
        house.clock.ahead_s = KEEP_S - 3600
        d.store.patch(HintPatch(fresh, created_at=1.0, updated_at=1.0))
        assert await house.keeping().walk() == Gone(0, 2)
        assert await d.store.read(run_key(house.platform, fresh)), "it ended just now, whatever the index says"
        assert (await d.control.view(run)).state == "running"


class Breaks:
    """A journal that dies before a removal, or right after it."""

    def __init__(self, behind: MemoryStore, *, after: bool) -> None:
        self._behind = behind
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def remove(self, runs: Sequence[Ended]) -> None:
        if self._after:
            await self._behind.remove(runs)
        raise StoreUnavailable("the process dies here")


async def test_few_runs_go_at_once_and_a_large_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.cell.retention.removed_events_max", 8)
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d, bounds=RetentionBounds(page=100))
        runs = [await d.start("quick", "q") for _ in range(7)]
        for run in runs:
            await d.until(run)
        size = (await d.store.head(run_key(house.platform, runs[0]))).seq
        batches: list[int] = []

        class Counting(Breaks):
            async def remove(self, runs: Sequence[Ended]) -> None:
                batches.append(sum(head.seq for run in runs for _, head in run.heads))
                await self._behind.remove(runs)

        house.clock.ahead_s = KEEP_S + 60
        assert (await house.keeping(Counting(d.store, after=True)).walk()).removed == 7
        assert sum(batches) == 7 * size
        assert max(batches) <= max(8, size)


@pytest.mark.parametrize("after", [False, True])
async def test_a_walk_that_breaks_off_is_made_good_by_the_next_and_no_audit_is_alarmed(after: bool) -> None:
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d)
        runs = [await d.start("quick", "q") for _ in range(5)]
        for run in runs:
            await d.until(run)
        house.clock.ahead_s = KEEP_S + 60
        anchors = MemoryAnchors()
        await anchors.note([(stream, d.store.end(stream)) for stream in d.store.contents()])
        with pytest.raises(StoreUnavailable):
            await house.keeping(Breaks(d.store, after=after)).walk()
        assert (await audit(d.store, anchors=anchors)).flaws == []
        assert len(await house.on_record()) == 3, "the first page, before anything went"
        await house.keeping().walk()
        assert await house.there() == set()
        report = await audit(d.store, anchors=anchors)
        assert (report.flaws, report.anchors, report.removed) == ([], 5, 5)
        assert {one.stream for one in await house.on_record()} == {run_key(house.platform, run) for run in runs}


async def test_blobs_are_collected_once_a_day_and_those_that_are_named_are_spared() -> None:
    async with Desk(app, {}) as d:
        await d.hire()
        house = House(d)
        run = await d.start("quick", "x" * 100_000)
        await d.until(run)
        assert await house.keeping().collect()
        assert not await house.keeping().collect()
        house.clock.ahead_s = DAY_S + 1
        assert await house.keeping().collect()
        assert all(len(named) >= 1 for named in house.blobs.named)
        for named in house.blobs.named:
            assert _stored(d) <= named
        assert house.said[0] == ("info", "2 of 5 blobs were removed, nothing named them")


def _stored(d: Desk) -> set[str]:
    return {ref.sha256 for ref in d.blobs.contents()}
