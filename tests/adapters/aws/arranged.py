"""What templates arrange on AWS, made on an emulator."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.sqs import SqsQueue
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.identity import new_id
from tests.adapters.aws.emulator import ask


@asynccontextmanager
async def new_queue(place: Place, hidden_s: float = 30.0, receives_max: int = 100) -> AsyncIterator[SqsQueue]:
    """A queue with dead letters, as a template would make it."""
    name = new_id("queue", SystemClock(), OsRandomness())
    dead_url = ask("sqs", place, "create_queue", QueueName=f"{name}-dead")["QueueUrl"]
    told = ask("sqs", place, "get_queue_attributes", QueueUrl=dead_url, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": told["Attributes"]["QueueArn"], "maxReceiveCount": receives_max}
    attributes = {"RedrivePolicy": json.dumps(redrive)}
    url = ask("sqs", place, "create_queue", QueueName=name, Attributes=attributes)["QueueUrl"]
    dead = SqsQueue(dead_url, place)
    queue = SqsQueue(url, place, hidden_s=hidden_s, dead_letters=dead)
    try:
        yield queue
    finally:
        await queue.close()
        await dead.close()
