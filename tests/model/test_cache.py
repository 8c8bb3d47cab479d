from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.deadline import deadline
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.model.cache import Cache, Hit
from tests.model.virtual import in_virtual_time


class Source:
    """Something to load from: counts, and takes a second."""

    def __init__(self, after_s: float = 1.0, error: Exception | None = None) -> None:
        self.after_s = after_s
        self.error = error
        self.begun = self.ended = self.cancelled = 0

    async def load(self) -> str:
        self.begun += 1
        try:
            await asyncio.sleep(self.after_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        if self.error is not None:
            raise self.error
        return f"value {self.ended}"


def virtually(main: Callable[[], Any]) -> None:
    in_virtual_time(main)


def test_a_thousand_callers_make_one_flight() -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source()
        values = await asyncio.gather(*[cache.join("key", source.load) for _ in range(1_000)])
        assert set(values) == {"value 1"}
        assert (source.begun, cache.coalesced) == (1, 999)
        hit = cache.get(asyncio.get_running_loop().time(), "key")
        assert hit is not None
        assert hit.value == "value 1"
        assert not hit.stale

    virtually(main)


def test_different_keys_fly_by_themselves() -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source()
        await asyncio.gather(*[cache.join(key, source.load) for key in range(10)])
        assert source.begun == 10

    virtually(main)


def test_an_error_is_for_all_who_asked_and_is_not_kept() -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source(error=ConnectionError("gone"))
        results = await asyncio.gather(*[cache.join("key", source.load) for _ in range(5)], return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError] * 5
        assert source.begun == 1
        source.error = None
        assert await cache.join("key", source.load) == "value 2"

    virtually(main)


@pytest.mark.parametrize("gone", [[0], [3], [0, 1, 2]])
def test_whoever_is_cancelled_leaves_the_others_alone(gone: list[int]) -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source()
        tasks = [asyncio.ensure_future(cache.join("key", source.load)) for _ in range(4)]
        await asyncio.sleep(0.5)
        for index in gone:
            tasks[index].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for index, result in enumerate(results):
            assert isinstance(result, asyncio.CancelledError) if index in gone else result == "value 1"
        assert (source.begun, source.cancelled) == (1, 0)

    virtually(main)


def test_a_flight_that_nobody_waits_for_any_more_is_cancelled_and_nobody_joins_it() -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source()
        tasks = [asyncio.ensure_future(cache.join("key", source.load)) for _ in range(4)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        late = asyncio.ensure_future(cache.join("key", source.load))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await late == "value 1"
        assert (source.begun, source.cancelled) == (2, 1)

    virtually(main)


def test_one_who_joins_in_the_very_step_in_which_the_last_one_leaves_gets_an_answer() -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source()
        first = asyncio.ensure_future(cache.join("key", source.load))
        await asyncio.sleep(0.5)
        second = asyncio.ensure_future(cache.join("key", source.load))
        first.cancel()
        assert await second == "value 1"

    virtually(main)


def test_a_flight_has_no_deadline_of_the_one_who_began_it() -> None:
    async def main() -> None:
        cache: Cache[float | None] = Cache("10s")
        deadline.set(123.0)

        async def load() -> float | None:
            return deadline.get()

        assert await cache.join("key", load) is None
        assert deadline.get() == 123.0

    virtually(main)


def test_one_that_is_cancelled_from_inside_does_not_cancel_who_asked() -> None:
    async def main() -> None:
        async def load() -> str:
            raise asyncio.CancelledError

        with pytest.raises(RuntimeError, match="cancelled from inside"):
            await Cache[str]("10s").join("key", load)

    virtually(main)


def test_what_was_forgotten_under_way_is_not_kept() -> None:
    async def main() -> None:
        cache: Cache[str] = Cache("10s")
        source = Source()
        reader = asyncio.ensure_future(cache.join("key", source.load))
        await asyncio.sleep(0.5)
        cache.forget("key")
        after = asyncio.ensure_future(cache.join("key", source.load))
        assert await reader == "value 1"
        assert len(cache) == 0
        assert await after == "value 2"
        assert len(cache) == 1
        cache.clear()
        assert len(cache) == 0

    virtually(main)


def test_a_flight_of_a_loop_that_has_ended_is_not_joined() -> None:
    cache: Cache[str] = Cache("10s")

    async def never() -> str:
        return await asyncio.get_running_loop().create_future()

    loop = asyncio.new_event_loop()
    task = loop.create_task(cache.join("key", never))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert cache._flights

    async def main() -> None:
        assert await cache.join("key", Source(0.01).load) == "value 1"

    asyncio.run(main())
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert len(cache) == 1


def test_a_value_is_fresh_then_stale_then_gone() -> None:
    cache: Cache[str] = Cache("10s", stale="20s")
    cache.put(100.0, "key", "value")
    assert cache.get(110.0, "key") == Hit("value", 10.0)
    assert cache.get(110.1, "key") == Hit("value", pytest.approx(10.1), stale=True)  # type: ignore[arg-type]
    assert cache.get(130.0, "key") == Hit("value", 30.0, stale=True)
    assert cache.get(130.1, "key") is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first() -> None:
    cache: Cache[int] = Cache("10s", entries_max=3)
    for number in range(3):
        cache.put(0.0, number, number)
    assert cache.get(0.0, 0) is not None
    cache.put(0.0, 3, 3)
    assert [cache.get(0.0, number) is not None for number in range(4)] == [True, False, True, True]


async def search(query: Any, limit: int = 5) -> str:
    return f"{query} {limit}"


def test_equal_calls_share_a_key_and_others_do_not() -> None:
    cache: Cache[str] = Cache("10s")
    keys = [
        cache.key_of(search, ("a",), {}), cache.key_of(search, ("b",), {}), cache.key_of(search, ("a",), {"limit": 6}),
        cache.key_of(search, (1,), {}), cache.key_of(search, (1.0,), {}), cache.key_of(search, (True,), {}),
        cache.key_of(search, ("1",), {}),
        cache.key_of(Source().load, ("a",), {}), cache.key_of(Source().load, ("a",), {}),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert cache.key_of(search, ({"x": 1, "y": 2},), {}) == cache.key_of(search, ({"y": 2, "x": 1},), {})


def test_arguments_without_a_json_form_need_a_key_function() -> None:
    with pytest.raises(UsageError, match="give the cache a key="):
        Cache[str]("10s").key_of(search, (object(),), {})
    cache: Cache[str] = Cache("10s", key=lambda query, limit=5: str(query).lower())
    assert cache.key_of(search, ("Refund",), {"limit": 7}) == "refund"


@pytest.mark.parametrize("make", [lambda: Cache[str]("10s", entries_max=0), lambda: Cache[str]("10 parsecs")])
def test_what_is_no_cache_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()


class Keeping(RuleBasedStateMachine):
    """Puts, gets and forgets in any order, against a plain dictionary with times."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: Cache[int] = Cache(5.0, stale=5.0, entries_max=4)
        self.now = 0.0
        self.count = 0
        self.put_at: dict[int, tuple[float, int]] = {}

    @rule(step=st.floats(0, 4), key=st.integers(0, 6))
    def put(self, step: float, key: int) -> None:
        self.now += step
        self.count += 1
        self.cache.put(self.now, key, self.count)
        self.put_at[key] = (self.now, self.count)
        assert self.cache.get(self.now, key) == Hit(self.count, 0.0)

    @rule(step=st.floats(0, 4), key=st.integers(0, 6))
    def get(self, step: float, key: int) -> None:
        self.now += step
        hit = self.cache.get(self.now, key)
        if hit is not None:
            at, value = self.put_at[key]
            assert hit.value == value
            assert hit.age_s == pytest.approx(self.now - at)
            assert hit.age_s <= 10
            assert hit.stale == (hit.age_s > 5)

    @rule(key=st.integers(0, 6))
    def forget(self, key: int) -> None:
        self.cache.forget(key)
        assert self.cache.get(self.now, key) is None

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.cache) <= 4


TestKeeping = Keeping.TestCase


def test_who_loads_something_that_fails_in_its_call_hears_of_it() -> None:
    async def main() -> None:
        def load() -> Awaitable[str]:
            raise ValueError("at once")

        with pytest.raises(ValueError, match="at once"):
            await Cache[str]("10s").join("key", load)

    virtually(main)
