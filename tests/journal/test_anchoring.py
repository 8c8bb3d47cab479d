"""Heads on their way to where they are anchored: the latest ones, in time, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.anchor import MemoryAnchors
from outlast.journal.anchoring import Anchoring
from outlast.journal.stream import Head
from outlast.kernel.error import StoreUnavailable

Until = Callable[..., Awaitable[None]]


def head(seq: int) -> Head:
    return Head(seq, seq.to_bytes(32, "big"))


class Counting(MemoryAnchors):
    """Anchors that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.notes: list[int] = []

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        heads = list(heads)
        if self.away:
            raise StoreUnavailable("the place is away")
        self.notes.append(len(heads))
        await super().note(heads)


class Place:
    def __init__(self, every_s: float = 3600.0, waiting_max: int = 10) -> None:
        self.anchors = Counting()
        self.said: list[str] = []
        self.anchoring = Anchoring(self.anchors, SystemClock(), every_s, self.said.append, waiting_max)


async def test_only_the_latest_head_of_a_stream_is_written() -> None:
    place = Place()
    for seq in range(1, 100):
        place.anchoring.see([("a", head(seq)), ("b", head(1))])
    assert await place.anchoring.flush()
    assert await place.anchors.all() == {"a": head(99), "b": head(1)}
    assert await place.anchoring.flush()
    assert place.anchors.notes == [2], "what is anchored is not written again"


async def test_it_writes_by_itself_in_time_and_at_once_when_many_wait(until: Until) -> None:
    quick = Place(every_s=0.01)
    many = Place()
    tasks = [asyncio.create_task(place.anchoring.run()) for place in (quick, many)]
    quick.anchoring.see([("a", head(1))])
    many.anchoring.see([(f"s{number}", head(1)) for number in range(6)])
    await until(lambda: quick.anchors.notes and many.anchors.notes)
    for task in tasks:
        task.cancel()
    assert many.anchors.notes == [6]


async def test_a_place_that_is_away_is_complained_about_once_and_what_waits_stays_within_its_bound() -> None:
    place = Place(waiting_max=10)
    place.anchors.away = True
    for number in range(50):
        place.anchoring.see([(f"s{number}", head(number))])
        assert not await place.anchoring.flush()
    assert place.said == ["heads of streams are not anchored: the place is away"]
    assert place.anchoring.dropped == 40
    place.anchoring.see([("s49", head(100))])
    place.anchors.away = False
    assert await place.anchoring.flush()
    found = await place.anchors.all()
    assert found == {f"s{number}": head(number) for number in range(40, 49)} | {"s49": head(100)}


async def test_a_later_head_that_came_while_writing_failed_is_not_forgotten() -> None:
    place = Place()

    async def fails(heads: Iterable[tuple[str, Head]]) -> None:
        place.anchoring.see([("a", head(2))])
        raise StoreUnavailable("away")

    place.anchoring.see([("a", head(1)), ("b", head(1))])
    place.anchors.note = fails
    assert not await place.anchoring.flush()
    del place.anchors.note
    assert await place.anchoring.flush()
    assert await place.anchors.all() == {"a": head(2), "b": head(1)}
