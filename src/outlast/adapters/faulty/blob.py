"""A BlobStore in front of another one, that fails before or after it has stored."""

from __future__ import annotations

from outlast.adapters.faulty.plan import Dice, FaultPlan
from outlast.journal.blob import BlobRef, BlobStore
from outlast.kernel.error import StoreUnavailable


class FaultyBlobs:
    """What it acknowledges is stored; what it refuses may be."""

    def __init__(self, behind: BlobStore, plan: FaultPlan) -> None:
        self._behind = behind
        self._plan = plan
        self._dice = Dice(plan)

    @property
    def faults(self) -> Dice:
        """What was dealt so far."""
        return self._dice

    async def put(self, content: bytes) -> BlobRef:
        if self._dice.hit("full", self._plan.full) or self._dice.hit("lost_request", self._plan.lost_request):
            raise StoreUnavailable("the blob cannot be stored now (a fault on purpose); try again")
        ref = await self._behind.put(content)
        if self._dice.hit("lost_answer", self._plan.lost_answer):
            raise StoreUnavailable("the answer was lost (a fault on purpose); try again")
        return ref

    async def get(self, ref: BlobRef) -> bytes:
        if self._dice.hit("unreadable", self._plan.unreadable):
            raise StoreUnavailable("the blob cannot be read now (a fault on purpose); try again")
        return await self._behind.get(ref)
