"""The model that simulated agents ask, behind a pool in each of their processes."""

from __future__ import annotations

from outlast.model.endpoint import Completion, ModelRequest
from outlast.model.member import Target
from outlast.model.pool import Pool
from outlast.model.pooled import PooledEndpoint
from outlast.simulation.endpoint import SimEndpoint, model
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import Node, current_node
from outlast.simulation.world import SimClock, SimRandomness, World

fallback_model = "gpt-4.1-mini"
"""What is asked when neither endpoint of the model itself answers: another price, too."""


class PooledWriter:
    """Implements `model.endpoint.Endpoint`: each node asks through a pool of its own, as each process does."""

    name = "writer"

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._ledger = ledger
        self._pools: dict[Node, PooledEndpoint] = {}

    async def complete(self, request: ModelRequest) -> Completion:
        node = current_node.get()
        assert node is not None
        if node not in self._pools:
            self._pools[node] = self._pool(node)
        return await self._pools[node].complete(request)

    async def close(self) -> None:
        for pooled in self._pools.values():
            await pooled.close()

    def _pool(self, node: Node) -> PooledEndpoint:
        world, ledger = self._world, self._ledger
        clock, randomness = SimClock(world, node), SimRandomness(world)
        spare = Pool("spare", [Target("spare", model=fallback_model)], clock, randomness)
        targets = [Target("one", model=model), Target("two", model=model)]
        pool = Pool("writer", targets, clock, randomness, fallback=spare)
        one = SimEndpoint(world, ledger, fails=0.4, breaks_off=0.1, stalls=0.1, name="one")
        two = SimEndpoint(world, ledger, fails=0.2, breaks_off=0.2, slow=0.2, name="two")
        three = SimEndpoint(world, ledger, name="spare", says=fallback_model)
        by_name = {endpoint.name: endpoint for endpoint in (one, two, three)}
        return PooledEndpoint(pool, {member: by_name[member.name] for member in pool.everybody})
