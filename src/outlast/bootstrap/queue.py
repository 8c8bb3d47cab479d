"""Opens the queues that the blueprint names, and lets agents read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from outlast.agent.control import Control
from outlast.blueprint.schema import Blueprint
from outlast.cell.intake import Intake, IntakeBounds
from outlast.cell.queue import Queue
from outlast.cell.redrive import Redriven, redrive
from outlast.kernel.error import ConfigurationError, NotFound


@asynccontextmanager
async def open_queue(blueprint: Blueprint, name: str) -> AsyncGenerator[Queue]:
    """A queue with its dead letters. Raises NotFound, ConfigurationError."""
    said = blueprint.queues.get(name)
    if said is None:
        known = ", ".join(blueprint.queues) or "none"
        raise NotFound(f"queue {name[:128]!r} is not in outlast.yaml (known: {known})")
    if said.sqs is None or said.dead_letters is None:
        raise ConfigurationError(f"queues.{name} has no address: write sqs: and dead_letters: to read it here")
    from outlast.adapters.aws.client import Place
    from outlast.adapters.aws.sqs import SqsQueue

    place = Place(said.region, said.endpoint_url)
    dead = SqsQueue(said.dead_letters, place, hidden_s=said.visibility)
    queue = SqsQueue(said.sqs, place, hidden_s=said.visibility, dead_letters=dead)
    try:
        yield queue
    finally:
        await queue.close()
        await dead.close()


async def read_queues(control: Control, blueprint: Blueprint, pool: str, complain: Callable[[str], None]) -> None:
    """Until cancelled: what waits in queues becomes runs of the agents of a pool. Any number of workers may."""
    app = control.app
    if app is None:
        return
    async with asyncio.TaskGroup() as group:
        for name, agent in blueprint.agents.items():
            if agent.reads is None or blueprint.queues[agent.reads.queue].sqs is None:
                continue  # a queue without an address is only described
            if (app.agents[name].pool or "default") == pool:
                group.create_task(_read(control, blueprint, name, complain))


async def _read(control: Control, blueprint: Blueprint, agent: str, complain: Callable[[str], None]) -> None:
    reads = blueprint.agents[agent].reads
    assert reads is not None
    async with open_queue(blueprint, reads.queue) as queue:
        await Intake(control, agent, queue, complain, IntakeBounds(attempts=reads.attempts)).run()


async def depths(blueprint: Blueprint) -> list[dict[str, Any]]:
    """Of each queue with an address: about how many wait, are under way, are dead letters, and who reads it."""
    found: list[dict[str, Any]] = []
    for name, said in blueprint.queues.items():
        if said.sqs is None:
            continue
        async with open_queue(blueprint, name) as queue:
            depth = await queue.depth()
            dead = await queue.dead_letters.depth() if queue.dead_letters is not None else None
        agents = [key for key, agent in blueprint.agents.items() if agent.reads and agent.reads.queue == name]
        found.append({
            "queue": name, "waiting": depth.waiting, "under_way": depth.under_way,
            "dead": 0 if dead is None else dead.waiting + dead.under_way, "agents": agents,
        })  # fmt: skip
    return found


async def redrive_queue(blueprint: Blueprint, name: str, count_max: int) -> Redriven:
    """Dead letters back into their queue. Raises NotFound, QueueUnavailable."""
    async with open_queue(blueprint, name) as queue:
        return await redrive(queue, count_max)
