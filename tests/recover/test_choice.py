"""Which backup an instant is restored from, and when an operator's word is not enough."""

from __future__ import annotations

import pytest

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.depot import MemoryDepot
from outlast.adapters.memory.store import MemoryStore
from outlast.journal.lineage import Lineage
from outlast.kernel.error import Conflict, NotFound, UsageError
from outlast.recover.catalog import Catalog
from outlast.recover.choice import choose, instant_text, parse_instant
from tests.contracts.note import fill, key
from tests.recover.shop import take


class Watch:
    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("latest", None),
        ("1795712416.655617", 1795712416.655617),
        ("2026-11-26T17:00:16.655617Z", 1795712416.655617),
        ("2026-11-26T18:00:16.655617+01:00", 1795712416.655617),
    ],
)
def test_instants_are_read_with_their_zone(text: str, at: float | None) -> None:
    assert parse_instant(text) == at
    assert parse_instant(instant_text(at)) == at


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-26", "2026-11-26T17:00:16", "17:00Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="with its zone"):
        parse_instant(text)


async def days(depot: MemoryDepot) -> MemoryStore:
    """At 10 a full backup, at 20 an increment, at 30 a full one."""
    store = MemoryStore()
    for at in (10.0, 20.0, 30.0):
        await fill(store, key(store, "a"), 1)
        await take(store, MemoryBlobs(), depot, clock=Watch(at), full=at != 20.0)
    return store


async def test_the_first_that_was_begun_after_the_instant_holds_it() -> None:
    depot = MemoryDepot()
    with pytest.raises(NotFound, match="no complete backup"):
        await choose(depot, await Catalog.read(depot), None)
    store = await days(depot)
    catalog = await Catalog.read(depot)
    for at, number in ((None, 3), (5.0, 1), (10.0, 1), (10.5, 2), (20.0, 2), (29.0, 3), (30.0, 3)):
        chosen = await choose(depot, catalog, at)
        assert chosen.backup.number == number
        assert chosen.known[key(store, "a")].seq == 3, "what came later is known by the last one"
    with pytest.raises(UsageError, match="after the newest backup"):
        await choose(depot, catalog, 30.5)
    second = catalog.backups[1]
    with pytest.raises(UsageError, match="holds everything up to"):
        await choose(depot, catalog, 25.0, second.id)
    assert (await choose(depot, catalog, 15.0, second.id)).chain.heads()[key(store, "a")].seq == 2


async def test_nothing_later_is_refused_where_something_later_is_there_or_cannot_be_known() -> None:
    depot = MemoryDepot()
    store = await days(depot)
    first = (await Catalog.read(depot)).backups[0]
    last = (await Catalog.read(depot)).backups[2]
    assert await choose(depot, await Catalog.read(depot), None, nothing_later=True)
    depot.objects[last.index.name] += b" "
    with pytest.raises(Conflict, match="what came later is not known"):
        await choose(depot, await Catalog.read(depot), None, first.id, nothing_later=True)
    store._streams[key(store, "a")].pop()
    await take(store, MemoryBlobs(), depot, clock=Watch(40.0))
    with pytest.raises(Conflict, match="went on otherwise"):
        await choose(depot, await Catalog.read(depot), None, first.id, nothing_later=True)


async def test_of_several_journals_one_must_be_named() -> None:
    depot = MemoryDepot()
    await days(depot)
    other = MemoryStore(Lineage(0, "local", "other"))
    await fill(other, key(other, "a"), 1)
    taken = await take(other, MemoryBlobs(), depot, clock=Watch(50.0))
    with pytest.raises(UsageError, match="backups of 2 journals"):
        await choose(depot, await Catalog.read(depot), None)
    assert (await choose(depot, await Catalog.read(depot), None, taken.id)).backup.id == taken.id
