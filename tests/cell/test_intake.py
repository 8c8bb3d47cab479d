"""One run for each message: through bad messages, doubled ones, spikes, and a store or a consumer that is away."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.queue import MemoryQueue
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.run import Run
from outlast.cell.intake import Intake, IntakeBounds
from outlast.cell.queue import Message, Parcel, QueueUnavailable, send_count_max
from outlast.cell.redrive import redrive
from outlast.journal.index import HintPatch
from outlast.journal.stream import Append, Outcome, Unknown
from outlast.kernel.error import NotFound, UsageError
from outlast.policy.retry import Retry
from tests.agent.desk import Desk, Wire
from tests.cell.test_doorbell import StepClock

app: App[None] = App("t")


@app.agent
async def index(run: Run[None], document: str, pages: int = 1) -> str:
    return document * pages


QUICK = IntakeBounds(
    wait_s=0.0, look_every_s=0.0, again_first_s=0.001, again_max_s=0.002, pause=Retry(1_000, 0.001, 0.01)
)


class Place:
    """An intake between a queue and a store, both of which may be cut off."""

    def __init__(self, bounds: IntakeBounds = QUICK, clock: Any = None, **settings: Any) -> None:
        self.desk = Desk(app, {}, **{"append_patience_s": 0.0, **settings})
        clock = self.desk.clock = clock or SystemClock()
        self.dead = MemoryQueue("dead", clock)
        self.queue = MemoryQueue("documents_in", clock, hidden_s=30.0, dead_letters=self.dead)
        self.wire = Wire(self.desk.store)
        self.wire_asked = False
        self.control = Control(self.desk.platform(self.wire), app)
        self.said: list[str] = []
        self.bounds = bounds
        self.intake = self.another()

    def another(self, queue: Any = None) -> Intake:
        return Intake(self.control, "index", queue or self.queue, self.said.append, self.bounds)

    async def send(self, *bodies: Any) -> None:
        parcels = [Parcel(body if isinstance(body, bytes) else json.dumps(body).encode()) for body in bodies]
        for start in range(0, len(parcels), send_count_max):
            assert all(await self.queue.send(parcels[start : start + send_count_max]))

    async def drain(self, deadline_s: float = 60.0) -> None:
        """Take until the queue is empty."""
        async with asyncio.timeout(deadline_s):
            while (depth := await self.queue.depth()).waiting + depth.under_way:
                await self.intake.take()

    async def runs(self) -> list[str]:
        return [entry.run for entry in await self.desk.store.list(limit=10_000)]

    async def buried(self) -> Sequence[Message]:
        found: list[Message] = []
        while page := await self.dead.receive(10, 0):
            found += page
        return found


async def test_a_message_is_a_run_and_then_it_is_gone() -> None:
    place = Place()
    await place.send({"document": "a", "pages": 3})
    async with place.desk:
        await place.desk.hire()
        await place.drain()
        run = (await place.runs())[0]
        assert (await place.desk.until(run)).state == "completed"
    assert place.intake.counts.started == 1


async def test_the_same_message_delivered_twice_is_one_run() -> None:
    place = Place()

    class Forgetful:
        """Its deletions are lost."""

        def __getattr__(self, name: str) -> Any:
            return getattr(place.queue, name)

        async def delete(self, messages: Sequence[Message]) -> None:
            await place.queue.hide(messages, 0)

    await place.send({"document": "a"}, {"document": "a"})
    forgetful = place.another(Forgetful())
    await forgetful.take()
    assert (forgetful.counts.started, await forgetful.take()) == (2, 2)
    assert forgetful.counts.known == 2
    await place.drain()
    assert len(await place.runs()) == 2, "two messages with the same body are two documents"


async def test_two_messages_of_one_origin_are_one_run() -> None:
    place = Place()
    await place.queue.send([Parcel(b'["a"]', "order-7"), Parcel(b'["a"]', "order-7")])
    await place.drain()
    assert len(await place.runs()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b'"' + b"x" * 256 * 1024 + b'"', "message_bytes_max is 262144"),
    ],
)
async def test_what_can_never_be_a_run_is_buried_at_once_with_the_reason(body: bytes, reason: str) -> None:
    place = Place()
    place.queue.put("m1", Parcel(body), 0.0)
    await place.intake.take()
    found = await place.buried()
    assert [(each.body, each.identity) for each in found] == [(body, "m1")]
    assert reason in found[0].reason
    assert reason in place.said[0]
    assert await place.queue.receive(1, 0) == []


@pytest.mark.parametrize("body", [{"document": 7}, {"documents": "a"}, [], {"document": "a", "pages": "many"}])
async def test_what_does_not_fit_today_is_buried_after_its_attempts(body: Any) -> None:
    place = Place()
    await place.send(body, {"document": "good"})
    await place.drain()
    assert (place.intake.counts.again, place.intake.counts.buried, place.intake.counts.started) == (4, 1, 1)
    assert "not a run after 5 attempts" in (await place.buried())[0].reason


async def test_while_the_store_is_away_nothing_is_lost_and_nobody_is_blamed() -> None:
    place = Place()
    away = True

    async def fault(append: Append) -> Outcome | None:
        return Unknown("away") if away else None

    place.wire.fault = fault
    await place.send(*({"document": str(number)} for number in range(25)))
    for _ in range(12):  # more often than a message has attempts
        await place.intake.take()
    assert (place.intake.counts.started, place.intake.counts.buried) == (0, 0)
    assert place.intake.counts.outage > 100
    assert len(place.said) == 1, "an outage is said once"
    away = False
    await place.drain()
    assert len(await place.runs()) == 25
    assert await place.buried() == []


async def test_a_stopped_agent_takes_no_messages_until_it_is_resumed() -> None:
    place = Place()
    await place.control.stop_agent("index")
    await place.send({"document": "a"})
    for _ in range(8):
        assert await place.intake.take() == 0
    assert (await place.queue.depth()).waiting == 1
    await place.control.resume_agent("index")
    await place.drain()
    assert len(await place.runs()) == 1


async def test_an_agent_stopped_between_look_and_start_is_no_fault_of_the_message() -> None:
    place = Place(IntakeBounds(wait_s=0.0, look_every_s=3_600.0, pause=Retry(1_000, 0.001, 0.01)))
    await place.send({"document": "a"})
    await place.intake._has_room()
    await place.control.stop_agent("index")
    await place.intake.take()
    assert place.intake.counts.outage == 1
    assert await place.buried() == []


async def test_no_more_is_taken_than_may_wait_for_workers() -> None:
    place = Place(IntakeBounds(wait_s=0.0, look_every_s=0.0, ready_max=7))
    await place.send(*({"document": str(number)} for number in range(1_000)))
    for _ in range(20):
        await place.intake.take()
    assert len(await place.runs()) == 7
    assert (await place.queue.depth()).waiting == 993
    for entry in await place.desk.store.due(place.desk.clock.now()):
        place.desk.store.patch(HintPatch(entry.run, state="completed"))
    await place.intake.take()
    assert len(await place.runs()) == 14


async def test_a_replica_that_has_heard_of_nothing_yet_does_not_open_the_gate() -> None:
    place = Place(IntakeBounds(wait_s=0.0, look_every_s=0.0, ready_max=7))

    class Lagging:
        """Lists come from a copy that is empty, unless a fresh one is asked for."""

        def __getattr__(self, name: str) -> Any:
            return getattr(place.desk.store, name)

        async def list(self, *, fresh: bool = False, **filters: Any) -> Any:
            return await place.desk.store.list(**filters) if fresh else []

    lagging: Any = Lagging()
    place.control = Control(dataclasses.replace(place.control.platform, index=lagging), app)
    place.intake = place.another()
    await place.send(*({"document": str(number)} for number in range(100)))
    for _ in range(5):
        await place.intake.take()
    assert len(await place.runs()) == 7


async def test_a_neighbour_in_the_same_pool_whose_runs_wait_does_not_stop_it() -> None:
    place = Place(IntakeBounds(wait_s=0.0, look_every_s=0.0, ready_max=7))
    for number in range(7):
        place.desk.store.patch(HintPatch(f"n{number}", agent="other", state="ready"))
    await place.send(*({"document": str(number)} for number in range(20)))
    for _ in range(10):
        await place.intake.take()
    assert place.intake.counts.started == 7


async def test_a_spike_of_a_thousand_malformed_and_oversized_is_quarantined_and_the_good_ones_run() -> None:
    place = Place()
    for number in range(1_000):
        place.queue.put(f"bad{number}", Parcel(b"{" if number % 2 else b"x" * 300_000), 0.0)
        if number % 100 == 0:
            place.queue.put(f"good{number}", Parcel(b'["a"]'), 0.0)
    await place.drain()
    counts = place.intake.counts
    assert (counts.started, counts.buried, counts.again) == (10, 1_000, 0)


class Ahead(SystemClock):
    """Can be put forward."""

    by_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.by_s


async def test_a_message_that_cannot_be_buried_now_stays() -> None:
    clock = Ahead()
    place = Place(clock=clock)

    async def refuses(parcels: Sequence[Parcel]) -> Sequence[bool]:
        raise QueueUnavailable("the dead letters are away")

    send, place.dead.send = place.dead.send, refuses
    await place.send(b"not json")
    await place.intake.take()
    assert (await place.queue.depth()).under_way == 1
    place.dead.send = send
    clock.by_s = 31.0
    await place.drain()
    assert len(await place.buried()) == 1


async def test_a_slow_start_keeps_its_message_hidden() -> None:
    clock = StepClock()
    place = Place(clock=clock)
    hold = asyncio.Event()

    async def slow(append: Append) -> Outcome | None:
        place.wire_asked = True
        await hold.wait()
        return None

    place.wire.fault = slow
    await place.send({"document": "a"})
    taking = asyncio.ensure_future(place.intake.take())
    await clock.advance(0.0)
    await place.desk.wait_for(lambda: place.wire_asked)
    for _ in range(10):
        looking = asyncio.ensure_future(place.queue.receive(1, 0.0))
        await clock.advance(9.0)
        assert await looking == []
    hold.set()
    assert await taking == 1
    assert place.intake.counts.started == 1


async def test_a_consumer_outage_leaves_a_backlog_that_drains() -> None:
    place = Place()
    await place.send(*({"document": str(number)} for number in range(200)))
    async with running(place.intake):
        await place.desk.wait_for(lambda: place.intake.counts.started >= 20)
    await place.send(*({"document": f"later {number}"} for number in range(200)))
    another = place.another()
    async with running(another), running(place.intake):

        async def all_are_there() -> bool:
            return len(await place.runs()) == 400

        await place.desk.wait_for(all_are_there)


async def test_a_queue_that_is_away_is_said_once_and_asked_again() -> None:
    place = Place()
    away = 5
    receive = place.queue.receive

    async def flaky(limit: int, wait_s: float) -> Sequence[Message]:
        nonlocal away
        away -= 1
        if away >= 0:
            raise QueueUnavailable("no route")
        return await receive(limit, wait_s)

    place.queue.receive = flaky
    await place.send({"document": "a"})
    async with running(place.intake):
        await place.desk.wait_for(lambda: place.intake.counts.started == 1)
    assert place.said == ["queue documents_in cannot be read: no route"]


async def test_dead_letters_are_redriven_bounded_and_counted_and_keep_their_identity() -> None:
    place = Place()
    await place.send(*({"documents": str(number)} for number in range(30)), {"document": "good"})
    await place.drain()
    assert (await place.dead.depth()).waiting == 30
    told = await redrive(place.queue, 12)
    assert (told.moved, told.refused, told.left) == (12, 0, 18)
    told = await redrive(place.queue)
    assert (told.moved, told.left) == (18, 0)
    found: list[Message] = []
    while page := await place.queue.receive(10, 0):
        found += page
    assert len({each.identity for each in found}) == 30
    assert all(each.identity.startswith("documents_in-") for each in found)


async def test_a_redrive_that_breaks_off_doubles_no_run() -> None:
    place = Place()
    place.dead.put("m1", Parcel(b'["a"]', "m1", "the agent was wrong"), 0.0)
    delete = place.dead.delete

    async def breaks(messages: Sequence[Message]) -> None:
        await place.dead.hide(messages, 0)
        raise QueueUnavailable("broke off")

    place.dead.delete = breaks
    with pytest.raises(QueueUnavailable):
        await redrive(place.queue)
    place.dead.delete = delete
    await redrive(place.queue)
    await place.drain()
    assert (place.intake.counts.started, place.intake.counts.known) == (1, 1)
    assert len(await place.runs()) == 1


async def test_an_agent_or_a_queue_that_cannot_work_is_refused_at_the_start() -> None:
    place = Place()
    with pytest.raises(NotFound, match="'other' cannot read queue documents_in"):
        Intake(place.control, "other", place.queue, place.said.append)
    with pytest.raises(UsageError, match="has no queue for dead letters"):
        Intake(place.control, "index", place.dead, place.said.append)
    with pytest.raises(UsageError, match="nothing to redrive"):
        await redrive(place.dead)
    with pytest.raises(UsageError, match="one or more"):
        await redrive(place.queue, 0)


@contextlib.asynccontextmanager
async def running(intake: Intake) -> AsyncIterator[None]:
    task = asyncio.ensure_future(intake.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
