"""Notices between processes: whatever becomes of them, they are only hints."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.queue import MemoryQueue
from outlast.cell.courier import Courier, CourierBounds, calls_for
from outlast.cell.queue import Parcel, QueueUnavailable
from outlast.journal.index import HintPatch
from outlast.journal.stream import Notice
from outlast.policy.retry import Retry

QUICK = CourierBounds(wait_s=0.05, again=Retry(1_000, 0.001, 0.01))


class Line:
    """Two processes with a queue between them."""

    def __init__(self, bounds: CourierBounds = QUICK, hidden_s: float = 30.0) -> None:
        clock = SystemClock()
        self.dead = MemoryQueue("dead", clock)
        self.queue = MemoryQueue("bell", clock, hidden_s=hidden_s, dead_letters=self.dead, receives_max=3)
        self.said: list[str] = []
        self.here = Courier(self.queue, clock, OsRandomness(), self.said.append, bounds)
        self.there = Courier(self.queue, clock, OsRandomness(), self.said.append, bounds)
        self.heard: list[Notice] = []
        self.there.listen(self.heard.extend)


def ready(number: int = 1) -> Notice:
    return Notice(f"run/r{number}@0.local.test", 1, HintPatch(f"r{number}", pool="", state="ready"))


@contextlib.asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_rung_here_is_heard_there(until: Any) -> None:
    line = Line()
    async with running(line.here.send(), line.there.hear()):
        line.here.ring([ready(number) for number in range(25)])
        await until(lambda: len(line.heard) == 25)
        await until(lambda: line.there.counts.heard == 25)
    assert {notice.stream for notice in line.heard} == {ready(number).stream for number in range(25)}
    assert line.heard[0].hint == ready(0).hint
    assert (await line.queue.depth()).waiting == 0


async def test_of_one_stream_only_the_last_word_is_sent(until: Any) -> None:
    line = Line()
    line.here.ring([ready(), Notice(ready().stream, 2, HintPatch("r1", mail=3))])
    async with running(line.here.send(), line.there.hear()):
        await until(lambda: line.heard)
    assert line.heard == [Notice(ready().stream, 2, HintPatch("r1", mail=3))]


@pytest.mark.parametrize(
    ("hint", "worth"),
    [
        (None, False),
        (HintPatch("r", state="ready"), True),
        (HintPatch("r", state="trial"), True),
        (HintPatch("r", mail=1), True),
        (HintPatch("r", state="parked", wake_at=5.0), True),
        (HintPatch("r", state="parked", wake_at=0.0), False),
        (HintPatch("r", state="running", owner="w"), False),
        (HintPatch("r", state="completed"), False),
        (HintPatch("r"), False),
    ],
)
def test_only_what_asks_somebody_for_something_is_carried(hint: HintPatch | None, worth: bool) -> None:
    assert calls_for(hint) is worth


async def test_too_many_drop_the_oldest_and_the_memory_stays_bounded(until: Any) -> None:
    line = Line(CourierBounds(waiting_max=10, wait_s=0.05))
    line.here.ring([ready(number) for number in range(100)])
    assert line.here.counts.dropped == 90
    async with running(line.here.send(), line.there.hear()):
        await until(lambda: len(line.heard) == 10)
    assert {notice.stream for notice in line.heard} == {ready(number).stream for number in range(90, 100)}


async def test_a_notice_that_is_too_large_is_not_sent() -> None:
    line = Line(CourierBounds(notice_bytes_max=50))
    line.here.ring([ready()])
    assert line.here.counts.dropped == 1


LETTER = {"stream": "run/r1@0.local.test", "seq": 1, "hint": {"run": "r1", "state": "ready"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff",
        b"[]",
        json.dumps({**LETTER, "seq": 0}).encode(),
        json.dumps({**LETTER, "seq": 2**60}).encode(),
        json.dumps({**LETTER, "stream": "nonsense"}).encode(),
        json.dumps({**LETTER, "hint": {"run": "", "state": "ready"}}).encode(),
        json.dumps({**LETTER, "hint": {"run": "r1", "state": "flying"}}).encode(),
        json.dumps({**LETTER, "hint": {"run": "r1", "mail": -1}}).encode(),
        json.dumps({**LETTER, "v": 2}).encode(),
        json.dumps({**LETTER, "hint": {"run": "r1", "reason": "x" * 20_000}}).encode(),
        b"[" * 10_000,
    ],
)
async def test_what_is_not_understood_harms_nobody_and_becomes_a_dead_letter(body: bytes, until: Any) -> None:
    line = Line(hidden_s=0.05)
    line.queue.put("bad", Parcel(body), 0.0)
    async with running(line.there.hear()):
        await line.queue.send([Parcel(json.dumps(LETTER).encode())])
        await until(lambda: line.heard)

        async def dead() -> bool:
            return (await line.dead.depth()).waiting == 1

        await until(dead)
    assert len(line.heard) == 1
    assert line.there.counts.unread == 3


async def test_what_comes_twice_is_told_twice(until: Any) -> None:
    line = Line()
    await line.queue.send([Parcel(json.dumps(LETTER).encode())] * 2)
    async with running(line.there.hear()):
        await until(lambda: len(line.heard) == 2)


async def test_a_queue_that_is_away_costs_notices_and_one_line(until: Any) -> None:
    line = Line()
    send, receive = line.queue.send, line.queue.receive
    away = True

    async def sends(parcels: Sequence[Parcel]) -> Sequence[bool]:
        if away:
            raise QueueUnavailable("no route")
        return await send(parcels)

    async def receives(limit: int, wait_s: float) -> Any:
        if away:
            raise QueueUnavailable("no route")
        return await receive(limit, wait_s)

    line.queue.send, line.queue.receive = sends, receives
    async with running(line.here.send(), line.there.hear()):
        line.here.ring([ready()])
        await until(lambda: line.here.counts.dropped == 1)
        await until(lambda: len(line.said) == 2)
        away = False
        line.here.ring([ready(2)])
        await until(lambda: line.heard)
    assert sorted(line.said) == ["notices cannot be heard: no route", "notices cannot be sent: no route"]
    assert [notice.hint for notice in line.heard] == [ready(2).hint]


async def test_each_notice_wakes_one_of_those_who_compete(until: Any) -> None:
    line = Line()
    other: list[Notice] = []
    line.here.listen(other.extend)
    async with running(line.here.send(), line.there.hear(), line.here.hear()):
        line.here.ring([ready(number) for number in range(50)])
        await until(lambda: len(line.heard) + len(other) == 50)
    assert {notice.stream for notice in [*line.heard, *other]} == {ready(number).stream for number in range(50)}
