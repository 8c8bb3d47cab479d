from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import msgspec

from outlast.agent import event as ev
from outlast.journal.blob import BlobRef, Payload
from outlast.journal.chain import link
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.stream import Head
from outlast.simulation.aftermath import examine
from outlast.simulation.disk import Disk
from outlast.simulation.loop import SimLoop
from outlast.simulation.world import World

STREAM = "run/run_1@0.local.simulated"
CONTENT = b'"' + b"x" * 70_000 + b'"'


def left(spoil: Callable[[Disk], None] = lambda disk: None) -> list[str]:
    """What is said of a disk with one run, whose result is a blob, and its anchor."""
    random = Random(1)
    loop = SimLoop(random)
    disk = Disk(World(1, loop, random))
    loop.close()
    events = (
        ev.RunCreated("a", Payload(msgspec.Raw(b"{}")), "d", "main", 0.0),
        ev.RunCompleted(Payload(blob=BlobRef.of(CONTENT))),
    )

    async def play() -> list[str]:
        await disk.blobs.put(CONTENT)
        for event in events:
            head = disk.head(STREAM)
            append = make_append(STREAM, head, f"a{head.seq}", 1.0, [event], HintPatch("run_1", state="completed"))
            disk.store.put(append, Head(append.head, link(head.hash, append.body)))
        await disk.anchors.note([(STREAM, disk.head(STREAM))])
        spoil(disk)
        return await examine(disk)

    return asyncio.run(play())


def test_nothing_is_said_of_what_is_whole() -> None:
    assert left() == []


def test_damage_that_was_not_healed_is_said() -> None:
    assert any("blob" in line for line in left(lambda disk: disk.blobs.damage(BlobRef.of(CONTENT), CONTENT[:-1])))


def test_a_history_that_was_cut_short_is_said() -> None:
    def cut(disk: Disk) -> None:
        records = disk.contents()[STREAM]
        assert isinstance(records, list)
        records.pop()

    assert any("truncated" in line for line in left(cut))


def test_damaged_anchors_are_no_fault_of_the_journal() -> None:
    def damage(disk: Disk) -> None:
        disk.anchors.damaged = True

    assert left(damage) == []
