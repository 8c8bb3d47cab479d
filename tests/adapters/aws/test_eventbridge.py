"""EventBridge passes the suite of publishers: what it is given comes out of a queue behind a rule."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.eventbridge import EventBridge
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.cell.outbox import Outbox, OutboxBounds
from outlast.journal.publication import Publication, PublisherUnavailable
from outlast.kernel.identity import new_id
from outlast.policy.resequence import Resequencer
from outlast.policy.retry import Retry
from tests.adapters.aws.emulator import CREDENTIALS, ask, emulator
from tests.adapters.aws.proxy import FAULTS, faulty
from tests.agent.desk import Desk
from tests.contracts.publisher import Hear, PublisherContract, arrived, publication
from tests.servers.process import free_port

app: App[None] = App("t")


@app.agent
async def count(run: Run[None], number: int) -> int:
    return await run.step(add, number, effect="pure")


async def add(number: int) -> int:
    return number + 1


@pytest.fixture(scope="module")
def ministack() -> Iterator[Place]:
    with emulator("ministack") as place:
        yield place


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def bus(place: Place, pattern: object) -> tuple[str, Hear]:
    """A bus whose rule sends what fits the pattern to a queue, and all that has come out of it."""
    name = new_id("bus", SystemClock(), OsRandomness())
    ask("events", place, "create_event_bus", Name=name)
    url = ask("sqs", place, "create_queue", QueueName=name)["QueueUrl"]
    arn = ask("sqs", place, "get_queue_attributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    ask("events", place, "put_rule", Name=name, EventBusName=name, EventPattern=json.dumps(pattern))
    ask("events", place, "put_targets", Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    found: list[Publication] = []

    async def hear() -> Sequence[Publication]:
        received = ask("sqs", place, "receive_message", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in received.get("Messages", ()):
            event = json.loads(message["Body"])
            assert event["source"] == "outlast"
            found.append(msgspec.convert(event["detail"], Publication))
            assert event["detail-type"] == found[-1].type
            ask("sqs", place, "delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    return name, hear


class TestEventBridge(PublisherContract):
    @pytest.fixture(autouse=True)
    def _there(self, ministack: Place) -> None:
        self.place = ministack

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[EventBridge, Hear]]:
        name, hear = bus(self.place, {"source": ["outlast"]})
        publisher = EventBridge(name, self.place)
        yield publisher, hear
        await publisher.close()

    async def test_what_is_too_large_carries_a_reference(self) -> None:
        async with self.opened() as (publisher, hear):
            large = publication(2, text="x" * 300_000)
            assert list(await publisher.publish([publication(1), large, publication(3)])) == ["sent"] * 3
            found = {each.seq: each for each in await arrived(hear, 3)}
        assert (found[2].data, found[2].omitted_bytes) == ({}, 300_011)
        assert found[2] == msgspec.structs.replace(large, data={}, omitted_bytes=300_011)

    async def test_large_ones_go_in_several_requests(self) -> None:
        async with faulty(self.place, 0) as (proxy, place):
            name, _ = bus(self.place, {"source": ["outlast"]})
            publisher = EventBridge(name, place)
            await publisher.publish([publication(seq, text="x" * 100_000) for seq in range(1, 6)])
            await publisher.close()
        assert proxy.counts["none"] == 3

    async def test_a_rule_picks_by_type(self) -> None:
        name, hear = bus(self.place, {"source": ["outlast"], "detail-type": [{"prefix": "run."}]})
        publisher = EventBridge(name, self.place)
        ended = msgspec.structs.replace(publication(2), type="run.completed")
        await publisher.publish([publication(1), ended])
        assert await arrived(hear, 1) == [ended]
        await publisher.close()

    @pytest.mark.timeout(600)
    async def test_through_throttling_failures_and_lost_calls_every_event_arrives(self) -> None:
        desk = Desk(app, {})
        async with desk:
            await desk.hire()
            runs = [await desk.start("count", [number]) for number in range(60)]
            for run in runs:
                await desk.until(run)
        expected = {
            (stream, event.seq)
            for stream in await desk.store.streams("run")
            for event in await desk.control.events(stream.partition("/")[2].partition("@")[0])
        }
        name, hear = bus(self.place, {"source": ["outlast"]})
        async with faulty(self.place, seed=3) as (proxy, place):
            proxy.share = 0.5
            proxy.partial = True
            publisher = EventBridge(name, place)
            bounds = OutboxBounds(per_s=1e6, sweep_rest_s=0.0, again=Retry(1_000, 0.001, 0.01))
            outbox = Outbox(desk.platform(desk.store), publisher, lambda _: None, bounds)
            working = asyncio.ensure_future(outbox.run())
            await desk.wait_for(lambda: outbox.counts.sent >= len(expected), "all are sent", deadline_s=60.0)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await publisher.close()
        assert all(proxy.counts[fault] for fault in (*FAULTS, "partial")), proxy.counts
        resequencer: Resequencer[Publication] = Resequencer()
        ready: set[tuple[str, int]] = set()
        seen = 0
        while ready != expected:
            found = await hear()
            for each in found[seen:]:
                ready.update((one.stream, one.seq) for one in resequencer.offer(0.0, each.stream, each.seq, each))
            seen = len(found)
        assert resequencer.duplicates > 0, "answers were lost, so some were sent twice"
        assert resequencer.gaps(1e9) == []


async def test_a_service_that_is_away_is_said() -> None:
    publisher = EventBridge("decisions", Place("eu-central-1", f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(PublisherUnavailable, match=r"EventBridge \(decisions\) did not answer: Could not connect"):
        await publisher.publish([publication(1)])
    await publisher.close()
