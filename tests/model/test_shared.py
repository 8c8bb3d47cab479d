"""Answers shared by processes: one load among all, never a wrong answer; what the shelf does costs time only."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.shelf import MemoryShelf
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.model.cache import Cache, asked_of
from outlast.model.guard import Guard
from outlast.model.shared import Shared, SharedBounds
from outlast.model.shelf import ShelfUnavailable
from tests.model.virtual import VirtualClock, in_virtual_time


class Answer(msgspec.Struct, frozen=True):
    text: str
    score: float = 0.0


class Clock(SystemClock):
    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


class Away(MemoryShelf):
    """Does not answer for so many calls; counts them."""

    def __init__(self, calls: int) -> None:
        super().__init__(VirtualClock())
        self.calls = calls
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("get", "put", "lead", "leave", "forget"):
            return found

        async def call(*arguments: Any) -> Any:
            self.asked += 1
            if self.asked <= self.calls:
                raise ShelfUnavailable("away")
            return await found(*arguments)

        return call


class Source:
    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()
        self.gate: asyncio.Event | None = None

    def load(self, what: str) -> Any:
        async def load() -> Answer:
            self.loads[what] += 1
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)
            return Answer(what, 0.5)

        return load


def shared(shelf: Any, version: str = "1", clock: Any = None, type: Any = Answer, **bounds: Any) -> Shared[Any]:
    return Shared(
        "answers", shelf, "10m", version=version, type=type, clock=clock or Clock(), randomness=OsRandomness(),
        bounds=SharedBounds(**bounds),
    )  # fmt: skip


async def test_what_one_process_loaded_another_one_finds() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    for _ in range(3):
        assert await shared(shelf).fetch(b"q", source.load("q")) == Answer("q", 0.5)
    assert source.loads == {"q": 1}


async def test_of_many_processes_that_ask_at_once_one_loads(until: Any) -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    source.gate = asyncio.Event()
    processes = [shared(shelf) for _ in range(20)]
    asking = [asyncio.ensure_future(each.fetch(b"q", source.load("q"))) for each in processes]
    await until(lambda: source.loads)
    source.gate.set()
    assert await asyncio.gather(*asking) == [Answer("q", 0.5)] * 20
    assert source.loads == {"q": 1}
    assert sum(each.counts.followed + each.counts.hits for each in processes) == 19


async def test_a_leader_that_dies_is_waited_for_no_longer_than_its_time() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    one = shared(shelf, lead_s=0.2)
    assert await shelf.lead(one._key(b"q"), "dead", 0.2)
    assert await one.fetch(b"q", source.load("q")) == Answer("q", 0.5)
    assert source.loads == {"q": 1}


async def test_a_leader_that_takes_too_long_is_not_waited_for() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    one = shared(shelf, follow_s=0.1)
    assert await shelf.lead(one._key(b"q"), "slow", 60)
    assert await one.fetch(b"q", source.load("q")) == Answer("q", 0.5)


async def test_a_load_that_fails_lets_the_next_one_lead_at_once() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()

    async def fails() -> Answer:
        raise ConnectionError("the source is away")

    with pytest.raises(ConnectionError):
        await shared(shelf).fetch(b"q", fails)
    assert await shelf.lead(shared(shelf)._key(b"q"), "next", 1)
    assert source.loads == {}


async def test_another_version_is_another_answer() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    await shared(shelf).fetch(b"q", source.load("old"))
    assert await shared(shelf, "2").fetch(b"q", source.load("new")) == Answer("new", 0.5)
    assert await shared(shelf).fetch(b"q", source.load("never")) == Answer("old", 0.5)


@given(data=st.data())
def test_whatever_is_found_on_the_shelf_no_wrong_answer_is_given(data: st.DataObject) -> None:
    async def check() -> None:
        shelf, source = MemoryShelf(SystemClock()), Source()
        one = shared(shelf)
        await one.fetch(b"q", source.load("right"))
        await one.fetch(b"other", source.load("other"))
        raw = await shelf.get(one._key(b"q"))
        other = await shelf.get(one._key(b"other"))
        assert raw is not None
        assert other is not None
        kind = data.draw(st.sampled_from(("flip", "cut", "more", "foreign", "noise")))
        if kind == "flip":
            at = data.draw(st.integers(0, len(raw) - 1))
            found = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
        elif kind == "cut":
            found = raw[: data.draw(st.integers(0, len(raw) - 1))]
        elif kind == "more":
            found = raw + data.draw(st.binary(min_size=1, max_size=10))
        else:
            found = other if kind == "foreign" else data.draw(st.binary(max_size=200))
        await shelf.put(one._key(b"q"), found, 60)
        assert await one.fetch(b"q", source.load("right")) == Answer("right", 0.5)
        assert one.counts.bad >= 1
        assert await one.fetch(b"q", source.load("never")) == Answer("right", 0.5)

    asyncio.run(check())


async def test_a_value_of_another_type_is_a_miss() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    await shared(shelf).fetch(b"q", source.load("q"))

    async def number() -> int:
        return 7

    assert await shared(shelf, type=int).fetch(b"q", number) == 7


@pytest.mark.parametrize("ahead_s", [700.0, -700.0])
async def test_a_value_that_outlived_its_time_or_comes_from_the_future_is_a_miss(ahead_s: float) -> None:
    shelf, source, clock = MemoryShelf(SystemClock()), Source(), Clock()
    await shared(shelf).fetch(b"q", source.load("old"))
    clock.ahead_s = ahead_s
    assert await shared(shelf, clock=clock).fetch(b"q", source.load("new")) == Answer("new", 0.5)


async def test_what_is_too_large_is_not_shared() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    one = shared(shelf, value_bytes_max=100)
    for _ in range(2):
        await one.fetch(b"q", source.load("q" * 100))
    assert one.counts.large == 2
    assert source.loads.total() == 2


def test_a_shelf_that_is_away_is_soon_not_asked_and_asked_again_when_it_may_be_back() -> None:
    async def main() -> None:
        shelf, source = Away(8), Source()
        one = shared(shelf, clock=VirtualClock())
        for number in range(50):
            assert await one.fetch(b"%d" % number, source.load("a")) == Answer("a", 0.5)
        assert shelf.asked < 8
        assert one.counts.skipped > 40
        async with asyncio.timeout(600):
            while not one.counts.hits:
                await one.fetch(b"again", source.load("a"))
                await asyncio.sleep(0.01)

    in_virtual_time(main)


async def test_what_is_forgotten_is_loaded_anew() -> None:
    shelf, source = MemoryShelf(SystemClock()), Source()
    one = shared(shelf)
    await one.fetch(b"q", source.load("old"))
    await one.forget(b"q")
    assert await one.fetch(b"q", source.load("new")) == Answer("new", 0.5)


async def test_neither_question_nor_version_stands_in_the_key() -> None:
    key = shared(MemoryShelf(SystemClock()), "model-7")._key(b"the customer's secret")
    assert key.startswith("outlast:answers:")
    assert "secret" not in key
    assert "model" not in key


calls: Counter[str] = Counter()


async def search(words: str, limit: int = 3) -> Answer:
    calls[words] += 1
    return Answer(words, float(limit))


async def test_guards_of_two_processes_share_what_their_caches_do_not_have() -> None:
    shelf = MemoryShelf(SystemClock())
    guards = [Guard("search", cache=Cache("1m", shared=shared(shelf))) for _ in range(2)]
    for guard in guards:
        for _ in range(2):
            assert (await guard(search, "shared by guards", limit=4)).value == Answer("shared by guards", 4.0)
    assert calls["shared by guards"] == 1
    assert [guard.view().cached for guard in guards] == [1, 1]
    assert [guard.view().asked for guard in guards] == [1, 0]


async def test_calls_that_have_no_name_in_another_process_are_refused() -> None:
    async def inner() -> Answer:
        return Answer("x")

    cache: Cache[Answer] = Cache("1m", shared=shared(MemoryShelf(SystemClock())))
    for function in (inner, lambda: None):
        with pytest.raises(UsageError, match="cannot name the call"):
            await cache.join(cache.key_of(function, (), {}), inner)
    with pytest.raises(UsageError, match="cannot name the call"):
        asked_of(object())
    assert asked_of(("a", 1)) != asked_of(("a", True))


def test_a_time_to_live_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be above 0"):
        Shared(
            "answers", MemoryShelf(SystemClock()), 0, version="1", type=Answer, clock=Clock(), randomness=OsRandomness()
        )
