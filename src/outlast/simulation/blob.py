"""The simulated blob store: puts that tear, blobs that rot, nodes that die in the middle of a put."""

from __future__ import annotations

from outlast.journal.blob import BlobRef
from outlast.kernel.error import StoreUnavailable
from outlast.simulation.disk import Disk
from outlast.simulation.loop import Node
from outlast.simulation.world import SimPoints, World


class SimBlobs:
    """A node's BlobStore."""

    def __init__(self, world: World, node: Node, disk: Disk) -> None:
        self._world = world
        self._node = node
        self._disk = disk
        self._points = SimPoints(world, node)

    async def put(self, content: bytes) -> BlobRef:
        world, ref = self._world, BlobRef.of(content)
        self._points.reach("blob.before", ref.sha256)
        await world.pause(self._node, 0.0002, 0.002)
        self._may_fail()
        if world.random.random() < self._disk.faults.blob_torn:
            world.bit["torn blob"] += 1
            world.note(f"torn blob {ref.sha256[:16]}")
            self._disk.tear_blob(content)
            raise StoreUnavailable("the blob was written in part (simulated)")
        await self._disk.put_blob(content)
        self._points.reach("blob.after", ref.sha256)
        await self._node.acting()
        return ref

    async def get(self, ref: BlobRef) -> bytes:
        await self._world.pause(self._node, 0.0001, 0.001)
        self._may_fail()
        return await self._disk.blobs.get(ref)

    def _may_fail(self) -> None:
        if self._world.random.random() < self._disk.faults.read_fails:
            self._world.bit["failed blob"] += 1
            raise StoreUnavailable("the blob store did not answer (simulated)")
