from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from outlast.journal.blob import BlobRef
from outlast.kernel.error import StoreCorrupt, StoreUnavailable
from outlast.simulation.blob import SimBlobs
from outlast.simulation.disk import Disk, DiskFaults
from outlast.simulation.loop import Node, SimLoop
from outlast.simulation.seal import sealed
from outlast.simulation.world import AtPoint, World

CONTENT = b'"' + b"x" * 1000 + b'"'
REF = BlobRef.of(CONTENT)
Story = Callable[[World, Disk, Node, SimBlobs], Awaitable[None]]


def play(story: Story, seed: int = 1) -> None:
    with sealed():
        random = Random(seed)
        loop = SimLoop(random)
        world = World(seed, loop, random)
        disk = Disk(world)

        async def run() -> None:
            worker = world.boot("worker-1", "worker", forever(), lambda: None)
            await story(world, disk, worker, SimBlobs(world, worker, disk))

        loop.run_until_complete(run())
        loop.close()


async def forever() -> None:
    await asyncio.sleep(1e6)


def test_a_blob_is_whole_and_durable_when_its_put_returns() -> None:
    async def story(world: World, disk: Disk, worker: Node, blobs: SimBlobs) -> None:
        assert await blobs.put(CONTENT) == REF
        assert await blobs.get(REF) == CONTENT
        assert 0 < disk.blob_at[REF.sha256] <= world.loop.time()
        assert (world.reached["blob.before"], world.reached["blob.after"]) == (1, 1)

    play(story)


def test_a_torn_put_fails_and_what_it_left_is_never_given_as_whole() -> None:
    async def story(world: World, disk: Disk, worker: Node, blobs: SimBlobs) -> None:
        disk.faults = DiskFaults(blob_torn=1.0)
        with pytest.raises(StoreUnavailable, match="in part"):
            await blobs.put(CONTENT)
        with pytest.raises(StoreCorrupt):
            await blobs.get(REF)
        assert REF.sha256 not in disk.blob_at
        disk.faults = DiskFaults()
        await blobs.put(CONTENT)
        assert await blobs.get(REF) == CONTENT

    play(story)


@pytest.mark.parametrize("chance", [0.0001, 0.00012])
def test_a_rotten_blob_is_refused_until_it_is_restored(chance: float) -> None:
    sizes: set[int] = set()

    async def story(world: World, disk: Disk, worker: Node, blobs: SimBlobs) -> None:
        await blobs.put(CONTENT)
        disk.rot_blob(chance)
        sizes.add(len(disk.blob_contents()[REF.sha256]))
        assert world.bit["rotten blob"] == 1
        with pytest.raises(StoreCorrupt):
            await blobs.get(REF)
        disk.restore()
        assert await blobs.get(REF) == CONTENT

    play(story)
    assert sizes == ({len(CONTENT) // 2} if chance * 7919 % 1.0 >= 0.7 else {len(CONTENT)})


def test_a_node_that_dies_before_its_put_stores_nothing() -> None:
    async def story(world: World, disk: Disk, worker: Node, blobs: SimBlobs) -> None:
        world.at_points.append(AtPoint("blob.before", "crash"))
        put = world.start(worker, blobs.put(CONTENT))
        await asyncio.sleep(1)
        assert not put.done()
        assert disk.blob_contents() == {}

    play(story)
