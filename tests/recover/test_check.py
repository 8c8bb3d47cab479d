"""Every kind of damage to a depot is found, and named; what is whole is called whole."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.depot import MemoryDepot
from outlast.adapters.memory.store import MemoryStore
from outlast.kernel.error import NotFound, StoreCorrupt
from outlast.recover.catalog import Catalog, Chain
from outlast.recover.check import Check
from outlast.recover.manifest import Index, mark_name, read_index, write_index
from outlast.recover.segment import read_segment, write_segment
from tests.agent.desk import desk
from tests.contracts.note import fill, key
from tests.recover.shop import Shop, take

_made: dict[str, bytes] = {}


@pytest.fixture
async def depot() -> MemoryDepot:
    """A full backup and two increments, with blobs."""
    depot = MemoryDepot()
    if not _made:
        async with desk(Shop().app) as d:
            await d.until(await d.start("shop"), "parked")
            await take(d.store, d.blobs, depot, configuration=b"name: shop\n", segment_bytes_max=700)
            for count in (4, 3):
                await fill(d.store, key(d.store, "x"), count)
                await fill(d.store, key(d.store, "y"), count)
                await take(d.store, d.blobs, depot)
        _made.update(depot.objects)
    depot.objects = dict(_made)
    return depot


async def grave(depot: MemoryDepot) -> list[str]:
    report = await Check(depot).run()
    assert report.whole == (not [flaw for flaw in report.flaws if flaw.grave])
    return [f"{flaw.subject} {flaw.message}" for flaw in report.flaws if flaw.grave]


async def test_what_is_whole_is_whole(depot: MemoryDepot) -> None:
    report = await Check(depot).run()
    assert report.flaws == []
    assert (report.backups, report.blobs) == (3, 2)
    assert report.segments >= 4
    assert report.events >= 20


async def test_a_flipped_bit_anywhere_is_found_and_named(depot: MemoryDepot) -> None:
    chance = random.Random(7)
    for name, content in _made.items():
        for _ in range(3):
            at = chance.randrange(len(content))
            flipped = bytearray(content)
            flipped[at] ^= 1 << chance.randrange(8)
            depot.objects = {**_made, name: bytes(flipped)}
            found = await grave(depot)
            assert any(name.rpartition("/")[2] in line for line in found), (name, at, found)


@pytest.mark.parametrize("harm", [lambda content: content[:-1], lambda content: content + b"\n", lambda content: b""])
async def test_a_shortened_or_lengthened_object_is_found(depot: MemoryDepot, harm: Callable[[bytes], bytes]) -> None:
    for name, content in _made.items():
        depot.objects = {**_made, name: harm(content)}
        found = await grave(depot)
        assert any(name.rpartition("/")[2] in line for line in found), (name, found)


async def test_a_missing_object_is_found(depot: MemoryDepot) -> None:
    newest = (await Catalog.read(depot)).check_found(depot)
    for name in _made:
        depot.objects = {other: content for other, content in _made.items() if other != name}
        report = await Check(depot).run()
        about = [f"{flaw.subject} {flaw.message}" for flaw in report.flaws]
        if name == newest.name:  # then it is no backup: its segments are left
            assert report.whole
            assert "its manifest is gone" in about[0]
        elif name.endswith("manifest.json"):
            assert any("on which it stands, is missing" in line for line in about) or name == mark_name
        else:
            assert not report.whole
            assert any(name.rpartition("/")[2] in line and "missing" in line for line in about), (name, about)


async def test_a_stream_under_another_name_is_found_even_if_every_checksum_fits() -> None:
    """Whoever can write a segment anew with its index and manifest cannot give a history to another stream."""
    store, depot = MemoryStore(), MemoryDepot()
    await fill(store, key(store, "a"), 3)
    await take(store, MemoryBlobs(), depot)
    name = next(name for name in depot.objects if name.endswith(".segment"))
    title, pieces = read_segment(name, depot.objects[name])
    swapped = [
        msgspec.structs.replace(piece, extent=msgspec.structs.replace(piece.extent, stream=key(store, "b")))
        for piece in pieces
    ]
    with pytest.raises(Exception, match="another one's"):
        read_segment(name, write_segment(title, swapped))
    depot.objects[name] = write_segment(title, swapped)
    assert any(name in line for line in await grave(depot))


async def test_two_segments_that_changed_places_are_found(depot: MemoryDepot) -> None:
    one, other = [name for name in sorted(_made) if name.endswith(".segment")][:2]
    depot.objects[one], depot.objects[other] = depot.objects[other], depot.objects[one]
    found = await grave(depot)
    assert {line.split()[0] for line in found} == {one, other}


async def test_one_backup_can_be_looked_at_alone_with_what_it_stands_on(depot: MemoryDepot) -> None:
    catalog = await Catalog.read(depot)
    second = catalog.backups[1]
    report = await Check(depot).run([second.id])
    assert report.backups == 2
    with pytest.raises(NotFound, match="there is no backup"):
        await Check(depot).run([f"{second.series}/9"])


async def test_an_index_that_was_changed_is_not_restored_from(depot: MemoryDepot) -> None:
    catalog = await Catalog.read(depot)
    newest = catalog.check_found(depot)
    index = read_index(newest, depot.objects[newest.index.name])
    fewer = Index(index.extents[1:], index.blobs)
    depot.objects[newest.index.name] = write_index(fewer)
    with pytest.raises(StoreCorrupt, match="index"):
        await Chain.read(depot, catalog.chain(newest))


async def test_parts_that_do_not_follow_each_other_make_no_chain(depot: MemoryDepot) -> None:
    catalog = await Catalog.read(depot)
    full, second, third = catalog.backups
    indexes = [read_index(one, depot.objects[one.index.name]) for one in (full, second, third)]
    chain = Chain([full])
    chain.add(full, indexes[0])
    with pytest.raises(StoreCorrupt, match="does not follow event"):
        chain.add(third, indexes[2])
    whole = Chain([full])
    for backup, index in zip(catalog.backups, indexes, strict=True):
        whole.add(backup, index)
    swapped = msgspec.structs.replace(indexes[2].extents[0], before="00" * 32)
    chain.add(second, indexes[1])
    with pytest.raises(StoreCorrupt, match="does not follow event"):
        chain.add(third, Index((swapped,), ()))
