from __future__ import annotations

import asyncio
from random import Random

from outlast.model.endpoint import Completion, EndpointError, Message, ModelRequest
from outlast.simulation.endpoint import model
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import SimLoop
from outlast.simulation.pool.writer import PooledWriter, fallback_model
from outlast.simulation.seal import sealed
from outlast.simulation.world import World


async def forever() -> None:
    await asyncio.sleep(1e6)


def test_each_process_asks_through_its_own_pool_and_is_told_when_the_fallback_answers() -> None:
    with sealed():
        random = Random(1)
        loop = SimLoop(random)
        world = World(1, loop, random)
        writer = PooledWriter(world, Ledger())

        async def ask(count: int) -> list[Completion]:
            found: list[Completion] = []
            for number in range(count):
                try:
                    found.append(await writer.complete(ModelRequest([Message("user", f"say a/{number}")], 5.0)))
                except EndpointError:
                    continue
            return found

        async def run() -> list[Completion]:
            nodes = [world.boot(f"worker-{number}", "worker", forever(), lambda: None) for number in (1, 2)]
            first = await world.start(nodes[0], ask(40))
            world.crash(nodes[0], "fault")
            return first + await world.start(nodes[1], ask(40))

        answers = loop.run_until_complete(run())
        loop.close()
    assert {(answer.model, answer.degraded) for answer in answers} == {(model, False), (fallback_model, True)}
    assert len(answers) > 60
