from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from outlast.agent.event import MailWake
from outlast.journal.chain import genesis, link
from outlast.journal.commit import Write
from outlast.journal.record import make_append
from outlast.journal.stream import Head
from outlast.simulation.disk import Disk, DiskFaults, FailedSync, FullDisk
from outlast.simulation.loop import Node, SimLoop
from outlast.simulation.seal import sealed
from outlast.simulation.world import World

STREAM = "inbox/run_1@0.local.simulated"


def play(story: Callable[[World, Disk, Node], Awaitable[None]], seed: int = 1) -> None:
    with sealed():
        _play(story, seed)


def _play(story: Callable[[World, Disk, Node], Awaitable[None]], seed: int) -> None:
    random = Random(seed)
    loop = SimLoop(random)
    world = World(seed, loop, random)

    async def run() -> None:
        writer = world.boot("writer-1", "writer", forever(), lambda: None)
        await story(world, Disk(world), writer)

    loop.run_until_complete(run())
    loop.close()


async def forever() -> None:
    await asyncio.sleep(1e6)


def a_write(text: str = "one", head: Head | None = None) -> Write:
    head = head or genesis(STREAM)
    append = make_append(STREAM, head, f"id-{text}", 1.0, [MailWake(text, text)])
    return Write(append, Head(append.head, link(head.hash, append.body)))


def test_what_was_committed_is_there() -> None:
    async def story(world: World, disk: Disk, writer: Node) -> None:
        await disk.commit(writer, [a_write()])
        assert disk.head(STREAM) == a_write().head

    play(story)


def test_a_full_disk_takes_nothing() -> None:
    async def story(world: World, disk: Disk, writer: Node) -> None:
        disk.faults = DiskFaults(full=1.0)
        with pytest.raises(FullDisk):
            await disk.commit(writer, [a_write()])
        assert disk.head(STREAM).seq == 0

    play(story)


def landings(fault: Callable[[World, Disk, Node], Awaitable[None]]) -> Counter[int]:
    """How often nothing (0), one or both of two writes of one commit are there, over many seeds."""
    found: Counter[int] = Counter()

    async def story(world: World, disk: Disk, writer: Node) -> None:
        await fault(world, disk, writer)
        await asyncio.sleep(1)
        found[disk.head(STREAM).seq] += 1

    for seed in range(40):
        play(story, seed)
    return found


def both() -> list[Write]:
    first = a_write("one")
    return [first, a_write("two", first.head)]


def test_after_a_failed_sync_all_or_nothing_is_there() -> None:
    async def fails(world: World, disk: Disk, writer: Node) -> None:
        disk.faults = DiskFaults(sync_fails=1.0)
        with pytest.raises(FailedSync):
            await disk.commit(writer, both())

    assert landings(fails).keys() == {0, 2}


def test_if_the_writer_dies_meanwhile_all_or_nothing_is_there() -> None:
    async def dies(world: World, disk: Disk, writer: Node) -> None:
        task = world.start(writer, disk.commit(writer, both()))
        await asyncio.sleep(0.0001)
        world.crash(writer, "fault")
        await asyncio.sleep(1)
        assert not task.done()

    assert landings(dies).keys() == {0, 2}


def test_a_number_is_given_away_once() -> None:
    async def story(world: World, disk: Disk, writer: Node) -> None:
        await disk.commit(writer, [a_write("one")])
        with pytest.raises(FailedSync):  # as a transaction that breaks a unique key
            await disk.commit(writer, [a_write("two")])  # of a writer that did not look
        assert disk.head(STREAM) == a_write("one").head

    play(story)
