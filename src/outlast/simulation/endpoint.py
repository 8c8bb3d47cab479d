"""A model endpoint that fails, stalls, answers nonsense, as chance wants."""

from __future__ import annotations

import asyncio

from outlast.model.endpoint import Completion, EndpointUnavailable, ModelRequest, Usage
from outlast.simulation.loop import current_node
from outlast.simulation.world import World


class SimEndpoint:
    """Answers with what it was asked; `fails`, `stalls` and `nonsense` are chances."""

    def __init__(self, world: World, fails: float = 0.2, stalls: float = 0.1, nonsense: float = 0.1) -> None:
        self._world = world
        self._fails = fails
        self._stalls = stalls
        self._nonsense = nonsense

    @property
    def name(self) -> str:
        return "simulated"

    async def complete(self, request: ModelRequest) -> Completion:
        node = current_node.get()
        assert node is not None
        await self._world.pause(node, 0.05, 0.5)
        chance = self._world.random.random()
        if chance < self._fails:
            raise EndpointUnavailable("the endpoint failed (simulated)", 0.1 if chance < self._fails / 2 else None)
        if chance < self._fails + self._stalls:
            await asyncio.sleep(request.timeout_s)
            raise EndpointUnavailable("the endpoint stalled (simulated)")
        if chance < self._fails + self._stalls + self._nonsense:
            return Completion("{]", "simulated", Usage(1, 1), "stop")
        return Completion(request.messages[-1].content, "simulated", Usage(5, 5))

    async def close(self) -> None:
        return None
