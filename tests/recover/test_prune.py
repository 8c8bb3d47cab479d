"""What nothing asks for is removed; never what is locked, nor what something kept stands on."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.depot import MemoryDepot
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.journal.blob import Payload
from outlast.journal.record import make_append
from outlast.recover.catalog import Catalog
from outlast.recover.check import Check
from outlast.recover.prune import Pruned, doomed, prune, settle_s
from outlast.recover.prune import keep_s as keep_default_s
from tests.contracts.note import fill, key
from tests.recover.shop import cut, everything, take

DAY = 86400.0


class Watch:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 1000 * DAY

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


async def name_blob(store: MemoryStore, blobs: MemoryBlobs, run: str, content: bytes) -> None:
    stream = key(store, run)
    event = ev.RunCreated("a", Payload(blob=await blobs.put(content)), "d", "p", 0.0)
    await store.append(make_append(stream, await store.head(stream), f"{run}{len(content)}", 1.0, [event]))


async def days(depot: MemoryDepot, watch: Watch, count: int, **how: Any) -> tuple[MemoryStore, MemoryBlobs]:
    """A full backup a day, an increment each noon; each day's first run names a blob and is let go the next day."""
    store, blobs = MemoryStore(), MemoryBlobs()
    await name_blob(store, blobs, "shared", b"named by every full one")
    for day in range(count):
        await fill(store, key(store, "a"), 2)
        store._streams.pop(key(store, f"run{day - 1}"), None)
        await name_blob(store, blobs, f"run{day}", bytes(100 + day))
        await take(store, blobs, depot, clock=watch, full=True, lets_go=True, **how)
        watch.at += DAY / 2
        await fill(store, key(store, "a"), 1)
        await take(store, blobs, depot, clock=watch, lets_go=True, **how)
        watch.at += DAY / 2
        depot.now = watch.at
    return store, blobs


async def test_chains_that_are_older_than_asked_for_go_and_the_rest_stays_whole() -> None:
    depot, watch = MemoryDepot(), Watch()
    store, _ = await days(depot, watch, 10)
    listed = (await Catalog.read(depot)).backups
    dry = await prune(depot, watch, 3 * DAY)
    assert dry.dry_run
    assert len((await Catalog.read(depot)).backups) == 20
    pruned = await prune(depot, watch, 3 * DAY, dry_run=False)
    assert pruned.backups == dry.backups
    kept = (await Catalog.read(depot)).backups
    assert len(kept) + len(pruned.backups) == 20
    oldest = min(one.begun_at for one in kept)
    assert watch.at - 4 * DAY <= oldest <= watch.at - 3 * DAY, "every instant of three days has what it needs"
    assert kept[-1].id == listed[-1].id
    report = await Check(depot).run()
    assert report.flaws == []
    assert await everything(await cut(depot)) == await everything(store)
    again = await prune(depot, watch, 3 * DAY, dry_run=False)
    assert (again.backups, again.objects) == ([], 0)


async def test_blobs_go_a_day_later_and_only_those_that_nothing_kept_names() -> None:
    depot, watch = MemoryDepot(), Watch()
    await days(depot, watch, 10)
    blobs = len(await depot.names("blobs/"))
    await prune(depot, watch, 3 * DAY, dry_run=False)
    assert len(await depot.names("blobs/")) == blobs
    watch.at += settle_s + 1
    pruned = await prune(depot, watch, 3 * DAY, dry_run=False)
    assert pruned.blobs >= 6
    assert len(await depot.names("blobs/")) == blobs - pruned.blobs
    watch.at += settle_s + 1
    await prune(depot, watch, 3 * DAY, dry_run=False)
    assert (await Check(depot).run()).flaws == []


async def test_what_is_locked_stays_however_old_it_is() -> None:
    depot, watch = MemoryDepot(), Watch()
    await days(depot, watch, 6, lock_s=30 * DAY)
    assert (await prune(depot, watch, DAY, dry_run=False)).backups == []
    watch.at += 31 * DAY
    depot.now = watch.at
    assert len((await prune(depot, watch, DAY, dry_run=False)).backups) == 10, "all but the newest chain"


async def test_a_depot_that_keeps_a_lock_the_manifest_does_not_know_keeps_the_backup() -> None:
    depot, watch = MemoryDepot(), Watch()
    await days(depot, watch, 6)
    first = (await Catalog.read(depot)).backups[0]
    depot.locks[first.name] = watch.at + DAY
    pruned = await prune(depot, watch, DAY, dry_run=False)
    assert first.id in pruned.locked
    assert first.id not in pruned.backups
    assert (await Check(depot).run([first.id])).flaws == []


async def test_leftovers_of_attempts_go_once_a_later_backup_is_there() -> None:
    store, depot, watch = MemoryStore(), MemoryDepot(), Watch()
    await fill(store, key(store, "a"), 3)
    first = await take(store, MemoryBlobs(), depot, clock=watch)
    left = f"{first.series}/0000002/000001.segment"
    depot.objects[left] = depot.objects[first.segments[0].name]
    assert (await prune(depot, watch, DAY, dry_run=False)).objects == 0, "it may be being taken"
    watch.at += 1
    second = await take(store, MemoryBlobs(), depot, clock=watch)
    assert second.series != first.series, "what was left does not fit"
    assert (await prune(depot, watch, DAY, dry_run=False)).objects == 1
    assert left not in depot.objects


backup = st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 60), st.integers(0, 2))


@settings(max_examples=200, deadline=None)
@given(st.lists(backup, min_size=1, max_size=20), st.integers(1, 40))
async def test_the_plan_keeps_what_it_must(written: list[tuple[bool, int, int, int]], keep_days: int) -> None:
    depot = MemoryDepot()
    store = MemoryStore()
    await fill(store, key(store, "a"), 1)
    template = await take(store, MemoryBlobs(), depot)
    numbers, at = [0, 0, 0], 0.0
    made = []
    for full, gap, lock, series in written:
        at += gap * DAY / 4
        numbers[series] += 1
        made.append(
            msgspec.structs.replace(
                template,
                series=f"series_{series}",
                lineage="ab"[series // 2],
                number=numbers[series],
                kind="full" if full or numbers[series] == 1 else "increment",
                begun_at=at,
                locked_until=at + lock * DAY if lock % 3 == 0 else 0.0,
            )
        )
    catalog = Catalog(made)
    now = at + DAY
    going = doomed(catalog.backups, now, keep_days * DAY)
    kept = Catalog([one for one in made if one not in going])
    assert kept.backups
    for one in kept.backups:
        kept.chain(one)  # raises if something it stands on is gone
    assert all(one.locked_until <= now for one in going)
    for one in going:  # what is removed is as old as that, and the same journal has a later one
        assert one.begun_at < now - keep_days * DAY
        assert any(one.begun_at <= other.begun_at and one.lineage == other.lineage for other in kept.backups)
    for lineage in {one.lineage for one in made}:
        assert Catalog([one for one in made if one.lineage == lineage]).newest() in kept.backups


def test_the_default_is_35_days() -> None:
    assert keep_default_s == 35 * DAY
    assert Pruned().backups == []
