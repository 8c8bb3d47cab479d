"""One of two hosts publishes what happened and lets ended runs go; it is killed whole, and the other one goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.blueprint.load import load
from outlast.bootstrap.auditing import audit_journal, removals_of
from outlast.bootstrap.backlog import backlog
from outlast.bootstrap.preparing import prepare_store
from outlast.journal.publication import Publication
from outlast.policy.resequence import Resequencer
from tests.crash.engines import Servers, credentials
from tests.crash.system import System

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

RUNS = 2


class Consumer:
    """Whoever listens behind the bus: a rule sends all of ours to a queue."""

    def __init__(self, servers: Servers, bus: str) -> None:
        events: Any = servers.client("events")
        self._sqs: Any = servers.client("sqs")
        self._queue = servers.queue("told")
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        events.create_event_bus(Name=bus)
        events.put_rule(Name=bus, EventBusName=bus, EventPattern=json.dumps({"source": ["outlast"]}))
        target = {"Id": "queue", "Arn": asked["Attributes"]["QueueArn"]}
        events.put_targets(Rule=bus, EventBusName=bus, Targets=[target])
        self._resequencer: Resequencer[Publication] = Resequencer()
        self.types: dict[str, list[str]] = {}
        """By run, in order."""

    async def listen(self) -> None:
        while True:
            answer = await asyncio.to_thread(
                self._sqs.receive_message, QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                each = msgspec.convert(json.loads(message["Body"])["detail"], Publication)
                for ready in self._resequencer.offer(time.monotonic(), each.stream, each.seq, each):
                    self.types.setdefault(ready.id, []).append(ready.type)
                await asyncio.to_thread(
                    self._sqs.delete_message, QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"]
                )


def publishing(servers: Servers, bus: str) -> str:
    return f'publish: {{eventbridge: {bus}, region: eu-central-1, endpoint_url: "{servers.address}"}}'


async def test_on_one_machine_events_are_published_as_they_come(
    short_dir: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in credentials.items():
        monkeypatch.setenv(variable, value)
    yaml = f"stores: {{journal: {{{publishing(servers, 'one-machine')}}}}}\nworkers: {{min: 1}}\n"
    consumer = Consumer(servers, "one-machine")
    async with System(short_dir, yaml=yaml, workers=1) as system:
        listening = asyncio.ensure_future(consumer.listen())
        try:
            await system.until(lambda: said_ready(system), 60, "the keeper serves")
            run = await system.start_run("bookings", tag="t", count=3, seconds=0.01)
            await system.settled(run)
            want = {run: [event.type for event in await system.control.events(run)]}
            await system.until(lambda: consumer.types == want, 60, "all events have arrived in order")
        finally:
            listening.cancel()


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_what_ended_long_enough_ago_goes_and_an_audit_misses_nothing(
    name: str, short_dir: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = "stores: {journal: {keep: 2s}}\nworkers: {min: 1}\n"
    if name == "postgres":
        engine = await servers.engine(name)
        for variable, value in engine.environment.items():
            monkeypatch.setenv(variable, value)
        yaml = engine.yaml.replace("journal: {", "journal: {keep: 2s, ", 1) + "workers: {min: 1}\n"
    async with System(short_dir, yaml=yaml, workers=1) as system:
        run = await system.start_run("bookings", tag="t", count=3, seconds=0.01)
        await system.settled(run)
        waits = await system.start_run("waits", seconds=600.0)

        async def is_gone() -> bool:
            return await system.platform.index.entry(run) is None

        await system.until(is_gone, 60, "the run is removed")
        assert await system.platform.index.entry(waits) is not None
        await system.stop()
    report = await audit_journal(short_dir)
    assert [flaw for flaw in report.flaws if flaw.grave] == []
    assert report.removed >= 1
    assert [removal.stream.partition("@")[0] for removal in await removals_of(short_dir, run)] == [f"run/{run}"]


def said_ready(system: System) -> bool:
    return any(event["type"] == "ChildReady" and event["kind"] == "keeper" for event in system.events())


async def test_what_happened_is_published_in_order_and_what_ended_goes_though_the_host_that_does_it_is_killed(
    short_dir: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    engine = await servers.engine("dynamodb")
    yaml = engine.yaml.replace("endpoint_url: ", "keep: 1s, archive: true, endpoint_url: ")
    yaml = yaml.replace("journal: {dynamodb", f"journal: {{{publishing(servers, 'decisions')}, dynamodb", 1)
    consumer = Consumer(servers, "decisions")
    s3: Any = servers.client("s3")
    async with contextlib.AsyncExitStack() as stack:
        systems: list[System] = []
        for number in range(2):
            home = short_dir / f"host{number}"
            home.mkdir()
            systems.append(System(home, yaml=yaml + "workers: {min: 1}\n", world=short_dir, workers=1))
        bucket = load(systems[0].home).stores.journal.dynamodb
        assert bucket is not None
        await prepare_store(systems[0].home, load(systems[0].home))
        await asyncio.gather(*(stack.enter_async_context(system) for system in systems))
        listening = asyncio.ensure_future(consumer.listen())
        stack.callback(listening.cancel)
        first = systems[0]

        def keepers() -> list[System]:
            return [system for system in systems if system.living("keeper")]

        await first.until(lambda: len(keepers()) == 1, 60, "one host has a keeper")
        runs = [await first.start_run("far_bookings", tag=f"a{n}", count=3, seconds=0.01) for n in range(RUNS)]
        await first.until(lambda: len(consumer.types) > 0, 60, "events arrive")
        (victim,) = keepers()
        (other,) = (system for system in systems if system is not victim)
        victim.kill_whole()
        runs += [await other.start_run("far_bookings", tag=f"b{n}", count=3, seconds=0.01) for n in range(RUNS)]
        await other.all_settled(runs)
        want = {run: [event.type for event in await other.control.events(run)] for run in runs}
        await other.until(lambda: consumer.types == want, 60, "all events have arrived in order")
        assert other.living("keeper")

        def archived() -> set[str]:
            found = s3.list_objects_v2(Bucket=bucket.bucket, Prefix="archived/run/")
            return {one["Key"].removeprefix("archived/run/").partition("@")[0] for one in found.get("Contents", ())}

        async def all_told() -> bool:
            found = await backlog(other.home, load(other.home))
            return not found.behind and (found.looked > 0 or archived() == set(runs))

        monkeypatch.setattr("outlast.bootstrap.backlog.young_s", 0.0)  # cursors are written now and then
        await other.until(all_told, 60, "no run that has ended is behind")
        await other.until(lambda: archived() == set(runs), 60, "what has ended is archived and told to go")
        await other.verify_chains()
