"""A DynamoDB that behaves across regions: one server for each, and between them what a global table does.

*Asynchronous*: each write is applied at home and delivered to the other region later, item by item, in any order; of
two writes to one item the later one wins, whoever saw what. *Strict* (multi-region strong consistency): a write is
applied in both regions before it is acknowledged; one that meets another region's write to the same item under way is
refused with ReplicatedWriteConflictException; now and then one is refused so that was applied all the same.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Literal

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.fault import CallFailed

Mode = Literal["asynchronous", "strict"]


class GlobalTable:
    """What connects the regions' calls."""

    def __init__(self, mode: Mode, seed: int) -> None:
        self.mode: Mode = mode
        self.chance = random.Random(seed)
        self.regions: list[RegionCalls] = []
        self.undelivered: list[tuple[RegionCalls, int, str, dict[str, Any]]] = []
        self.delivered = self.outrun = self.refused = 0
        self._now = 0
        self._written: dict[tuple[int, str], int] = {}
        self.under_way: dict[str, RegionCalls] = {}

    def other(self, region: RegionCalls) -> RegionCalls:
        return next(one for one in self.regions if one is not region)

    def wrote(self, region: RegionCalls, operation: str, parameters: dict[str, Any]) -> None:
        self._now += 1
        self._written[id(region), _key(parameters)] = self._now
        self.undelivered.append((region, self._now, operation, parameters))

    async def deliver(self, count: int) -> None:
        """Some of what is under way arrives, in no order."""
        for _ in range(min(count, len(self.undelivered))):
            home, at, operation, parameters = self.undelivered.pop(self.chance.randrange(len(self.undelivered)))
            there = self.other(home)
            place = (id(there), _key(parameters))
            if self._written.get(place, 0) > at:
                self.outrun += 1
                continue
            self._written[place] = at
            await there.apply(operation, parameters)
            self.delivered += 1


class RegionCalls(Calls):
    """The calls of one region's engine to a replicated table."""

    world: GlobalTable

    def join(self, world: GlobalTable) -> RegionCalls:
        self.world = world
        world.regions.append(self)
        return self

    async def once(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation not in ("PutItem", "DeleteItem"):
            return await super().once(operation, **parameters)
        if self.world.mode == "asynchronous":
            answer = await super().once(operation, **parameters)
            self.world.wrote(self, operation, parameters)
            return answer
        return await self._strictly(operation, parameters)

    async def apply(self, operation: str, parameters: dict[str, Any]) -> None:
        """What was done elsewhere is done here, whatever is here."""
        bare = {name: parameters[name] for name in ("TableName", "Item", "Key") if name in parameters}
        await super().once(operation, **bare)

    async def _strictly(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        world, place = self.world, _key(parameters)
        if world.under_way.get(place, self) is not self:
            world.refused += 1
            raise CallFailed("lost", "dynamodb answered 400 ReplicatedWriteConflictException: another region writes it")
        mine = place not in world.under_way
        world.under_way[place] = self
        try:
            answer = await super().once(operation, **parameters)
            await asyncio.sleep(world.chance.random() * 0.02)
            await world.other(self).apply(operation, parameters)
        finally:
            if mine:
                world.under_way.pop(place, None)
        if world.chance.random() < 0.2:
            world.refused += 1
            raise CallFailed("lost", "dynamodb answered 400 ReplicatedWriteConflictException: applied all the same")
        return answer


def _key(parameters: dict[str, Any]) -> str:
    at = parameters.get("Key") or parameters["Item"]
    return f"{at['pk']['S']}\n{at['sk']['S']}"
