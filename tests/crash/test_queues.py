"""DynamoDB with an SQS queue as its doorbell, and an agent that is fed by another: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.crash.engines import Servers, credentials
from tests.crash.system import System

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

MESSAGES = 12


@pytest.fixture
async def world(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A blueprint, and the addresses of its queues."""
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    engine = await servers.engine("dynamodb")
    made = {name: servers.queue(name) for name in ("bell", "documents", "dead")}
    yaml = engine.yaml.replace("endpoint_url:", f'queue: "{made["bell"]}", endpoint_url:')
    where = f'region: eu-central-1, endpoint_url: "{servers.address}", visibility: 5s'
    yaml += f'queues: {{documents: {{sqs: "{made["documents"]}", dead_letters: "{made["dead"]}", {where}}}}}\n'
    yaml += "agents: {booking: {reads: {queue: documents, attempts: 2}}}\n"
    return {"yaml": yaml, **made}


async def test_messages_become_runs_while_workers_are_killed(
    short_dir: Path, world: dict[str, str], servers: Servers
) -> None:
    async with System(short_dir, yaml=world["yaml"]) as system:
        sqs: Any = servers.client("sqs")
        for n in range(MESSAGES):
            sqs.send_message(QueueUrl=world["documents"], MessageBody=json.dumps({"tag": "m", "n": n}))
        sqs.send_message(QueueUrl=world["documents"], MessageBody="this is no booking")
        await system.until(lambda: len(system.attempts()) > 2, 60, "messages are taken")
        os.kill(next(iter(system.ready_workers().values())), signal.SIGKILL)
        await system.until(lambda: len(system.attempts()) == MESSAGES, 120, "all bookings are made")
        await system.until(lambda: waiting(sqs, world["dead"]) == 1, 120, "what is no booking is a dead letter")
        entries = await system.platform.index.list(agent="booking")
        await system.all_settled([entry.run for entry in entries])
        assert system.attempts() == {("m", n): 1 for n in range(MESSAGES)}
        assert len(entries) == MESSAGES


def waiting(sqs: Any, url: str) -> int:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])
