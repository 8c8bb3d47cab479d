from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from outlast.kernel.deadline import deadline, remaining_s
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.model.cache import Cache
from outlast.model.endpoint import EndpointOverloaded, EndpointRefused
from outlast.model.guard import DependencyUnavailable, Guard, Guarded
from outlast.policy.breaker import BreakerPolicy
from outlast.policy.retry import Retry
from outlast.policy.retry_budget import RetryBudgetPolicy
from tests.model.virtual import in_virtual_time

CALM = BreakerPolicy(failures_in_a_row=1_000, error_rate=1.0, calls_min=1_000)
"""A breaker that does not open within a test that is about something else."""


class Dependency:
    """Answers after a while, the way it is told to."""

    def __init__(self, after_s: float = 0.01, error: BaseException | None = None) -> None:
        self.after_s = after_s
        self.error = error
        self.asked = self.under_way = self.most = self.cancelled = 0
        self.deadlines: list[float | None] = []
        self.slow_calls: set[int] = set()

    async def __call__(self, query: str) -> list[str]:
        self.asked += 1
        number = self.asked
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.deadlines.append(deadline.get())
        try:
            await asyncio.sleep(60 if number in self.slow_calls else self.after_s)
            if self.error is not None:
                raise self.error
            return [query, f"vector {number}"]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1


def keywords(query: str) -> list[str]:
    return [query, "keyword"]


def virtually(main: Callable[[], Any]) -> None:
    in_virtual_time(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_what_answers_is_passed_on() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="300ms", fallback=keywords)
        assert await guard(Dependency(), "refund") == Guarded(["refund", "vector 1"])
        assert guard.state == "closed"
        view = guard.view()
        assert (view.calls, view.asked, view.failed, view.fallback, view.in_flight) == (1, 1, 0, 0, 0)

    virtually(main)


def test_what_is_slower_than_the_time_out_is_answered_by_the_fallback_and_said() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="300ms", fallback=keywords)
        slow = Dependency(after_s=5)
        began = now()
        answer = await guard(slow, "refund")
        assert now() - began == pytest.approx(0.3, abs=0.01)
        assert answer == Guarded(
            ["refund", "keyword"], True, False, "fallback", "knowledge did not answer within 0.3 s"
        )
        await asyncio.sleep(0.001)
        assert slow.cancelled == 1

    virtually(main)


def test_a_slow_dependency_opens_the_breaker_and_is_asked_again_until_it_is_well() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="300ms", fallback=keywords)
        search = Dependency(after_s=5)
        for _ in range(5):
            assert (await guard(search, "refund")).degraded
        assert guard.state == "open"
        began = now()
        for _ in range(100):
            answer = await guard(search, "refund")
            assert answer.value == ["refund", "keyword"]
            assert answer.degraded
            assert answer.why.startswith("knowledge is not asked for ")
        assert now() - began < 0.1
        assert search.asked == 5
        search.after_s = 0.01
        back_at = now() + 3.0
        while (await guard(search, "refund")).degraded:
            assert now() < back_at
            await asyncio.sleep(0.1)
        assert guard.state == "closed"

    virtually(main)


def test_slow_answers_count_against_a_dependency_before_they_are_too_late() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="1s", slow="100ms")
        search = Dependency(after_s=0.5)
        while guard.state == "closed":
            assert search.asked < 10
            await guard(search, "refund")
        with pytest.raises(DependencyUnavailable, match="calls were slow") as caught:
            await guard(search, "refund")
        assert caught.value.why == "open"
        assert caught.value.retry_after_s is not None

    virtually(main)


def test_without_a_fallback_the_dependencys_own_error_is_raised() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionError, match="refused"):
            await Guard("knowledge")(Dependency(error=ConnectionError("refused")), "refund")
        with pytest.raises(DependencyUnavailable, match=r"knowledge did not answer within 0\.3 s") as caught:
            await Guard("knowledge", timeout=0.3)(Dependency(5), "refund")
        assert (caught.value.why, caught.value.retryable) == ("late", True)

    virtually(main)


def test_the_text_of_a_foreign_error_is_not_shown() -> None:
    async def main() -> None:
        guard = Guard("knowledge", fallback=keywords)
        answer = await guard(Dependency(error=ConnectionError("https://user:secret@host")), "refund")
        assert answer.why == "ConnectionError"

    virtually(main)


def test_the_callers_own_fault_is_raised_as_it_is_and_opens_nothing() -> None:
    class BadQuery(Exception):
        pass

    async def main() -> None:
        guard = Guard("knowledge", fallback=keywords, retry=3, refused=(BadQuery,))
        search = Dependency(error=BadQuery("empty"))
        for _ in range(50):
            with pytest.raises(BadQuery):
                await guard(search, "")
        assert (guard.state, search.asked, guard.view().failed) == ("closed", 50, 0)
        with pytest.raises(UsageError):
            await guard(Dependency(error=UsageError("wrong")), "")

    virtually(main)


def test_a_function_that_is_not_async_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="not async"):
            await Guard("knowledge", fallback=keywords)(keywords, "refund")  # type: ignore[arg-type]

    virtually(main)


def test_an_async_fallback_is_awaited_and_what_it_raises_is_raised() -> None:
    async def main() -> None:
        other = Dependency()
        broken = Dependency(error=ConnectionError("refused"))
        answer = await Guard("knowledge", fallback=other)(broken, "refund")
        assert (answer.value, answer.source) == (["refund", "vector 1"], "fallback")
        with pytest.raises(ValueError, match="also") as caught:
            await Guard("knowledge", fallback=Dependency(error=ValueError("also")))(broken, "refund")
        assert isinstance(caught.value.__cause__, ConnectionError)
        with pytest.raises(DependencyUnavailable, match="the fallback of knowledge did not answer"):
            await Guard("knowledge", timeout="1s", fallback=Dependency(5))(broken, "refund")

    virtually(main)


def test_inside_a_deadline_there_is_time_left_for_the_fallback() -> None:
    async def main() -> None:
        began = now()
        deadline.set(began + 2.0)
        search = Dependency(60)
        answer = await Guard("knowledge", timeout="10s", fallback=keywords, breaker=CALM)(search, "refund")
        assert answer.degraded
        assert now() - began == pytest.approx(1.5, abs=0.01)
        assert search.deadlines == [pytest.approx(began + 1.5, abs=0.01)]
        left_s = remaining_s(now())
        assert left_s is not None
        with pytest.raises(DependencyUnavailable):
            await Guard("knowledge", timeout="10s")(search, "refund")
        assert now() == pytest.approx(began + 2.0, abs=0.01)

    virtually(main)


def test_a_dependency_is_not_blamed_for_a_caller_in_a_hurry() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="10s", fallback=keywords)
        search = Dependency(1)
        for _ in range(50):
            deadline.set(now() + 0.1)
            assert (await guard(search, "refund")).degraded
        assert (guard.state, guard.view().failed) == ("closed", 0)

    virtually(main)


def test_no_more_calls_are_under_way_than_allowed() -> None:
    async def main() -> None:
        guard = Guard("knowledge", fallback=keywords, concurrency=8)
        search = Dependency(1)
        answers = await asyncio.gather(*[guard(search, "refund") for _ in range(50)])
        assert (search.most, search.asked) == (8, 8)
        assert sum(answer.degraded for answer in answers) == 42
        assert guard.state == "closed"
        plain = Guard("knowledge", concurrency=8)
        with pytest.raises(DependencyUnavailable, match="8 of 8 places are taken") as caught:
            await asyncio.gather(*[plain(search, "refund") for _ in range(9)])
        assert caught.value.why == "full"
        await asyncio.sleep(2)

    virtually(main)


def test_one_that_takes_no_notice_of_its_end_keeps_its_place_but_nobody_waits_for_it() -> None:
    async def main() -> None:
        ended: list[int] = []

        async def deaf(number: int) -> None:
            end = now() + 30
            while now() < end:
                try:
                    await asyncio.sleep(end - now())
                except asyncio.CancelledError:
                    continue
            ended.append(number)

        guard = Guard("knowledge", timeout="1s", fallback=lambda number: number, concurrency=3, breaker=CALM)
        began = now()
        for number in range(10):
            assert (await guard(deaf, number)).degraded
        assert now() - began == pytest.approx(3.0, abs=0.1)
        assert guard.view().in_flight == 3
        await asyncio.sleep(40)
        assert (ended, guard.view().in_flight) == ([0, 1, 2], 0)

    virtually(main)


def test_a_probe_that_found_no_place_does_not_keep_the_breaker_from_probing() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def deaf() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        guard = Guard("knowledge", timeout="1s", concurrency=1, breaker=BreakerPolicy(failures_in_a_row=1))
        with pytest.raises(DependencyUnavailable):
            await guard(deaf)
        assert guard.state == "open"
        await asyncio.sleep(60)
        with pytest.raises(DependencyUnavailable, match="1 of 1 places are taken"):
            await guard(Dependency(), "refund")
        release.set()
        await asyncio.sleep(0.01)
        assert (await guard(Dependency(), "refund")).value == ["refund", "vector 1"]
        assert guard.state == "closed"

    virtually(main)


def test_a_time_out_of_the_dependencys_own_is_its_error() -> None:
    async def main() -> None:
        for cache in (None, Cache("10s")):
            with pytest.raises(TimeoutError, match="its own"):
                await Guard("knowledge", cache=cache)(Dependency(error=TimeoutError("its own")), "refund")

    virtually(main)


def test_who_is_cancelled_cancels_its_call_and_the_breaker_hears_no_verdict() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="10s", fallback=keywords, hedge="1s")
        search = Dependency(60)
        for _ in range(20):
            task = asyncio.ensure_future(guard(search, "refund"))
            await asyncio.sleep(2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.sleep(0.01)
        assert search.cancelled == search.asked > 20
        assert (guard.state, guard.view().in_flight, guard.view().failed) == ("closed", 0, 0)

    virtually(main)


def test_a_dependency_that_is_cancelled_from_inside_has_failed() -> None:
    async def main() -> None:
        guard = Guard("knowledge", fallback=keywords)
        answer = await guard(Dependency(error=asyncio.CancelledError()), "refund")
        assert answer.degraded
        assert guard.view().failed == 1

    virtually(main)


def test_retries_are_made_where_asked_for_and_within_the_time() -> None:
    async def main() -> None:
        search = Dependency(error=ConnectionError("refused"))
        guard = Guard("knowledge", retry=3, fallback=keywords, breaker=CALM)
        assert (await guard(search, "refund")).degraded
        assert (search.asked, guard.view().retried) == (3, 2)
        search = Dependency(error=ConnectionError("refused"))
        assert (await Guard("knowledge", fallback=keywords)(search, "refund")).degraded
        assert search.asked == 1
        search = Dependency(after_s=0.4, error=ConnectionError("refused"))
        guard = Guard("knowledge", timeout="1s", retry=Retry(100, 0.001, 0.001), fallback=keywords, breaker=CALM)
        began = now()
        assert (await guard(search, "refund")).degraded
        assert now() - began <= 1.01
        assert search.asked == 3

    virtually(main)


def test_nobody_waits_for_a_retry_that_would_come_too_late() -> None:
    async def main() -> None:
        search = Dependency(error=EndpointOverloaded("busy", retry_after_s=30))
        began = now()
        assert (await Guard("knowledge", timeout="1s", retry=3, fallback=keywords)(search, "refund")).degraded
        assert now() - began == pytest.approx(0.01, abs=0.005)
        assert search.asked == 1

    virtually(main)


def test_what_will_never_succeed_is_not_retried() -> None:
    async def main() -> None:
        search = Dependency(error=EndpointRefused("wrong key"))
        assert (await Guard("knowledge", retry=3, fallback=keywords)(search, "refund")).degraded
        assert search.asked == 1

    virtually(main)


def test_retries_are_on_a_budget() -> None:
    async def main() -> None:
        search = Dependency(0.001, error=ConnectionError("refused"))
        guard = Guard("knowledge", retry=Retry(3, 0.0, 0.0), fallback=keywords, breaker=CALM)
        for _ in range(500):
            await guard(search, "refund")
        view = guard.view()
        assert view.calls == 500
        policy = RetryBudgetPolicy()
        assert now() < policy.window_s
        assert 1 <= view.retried <= policy.ratio * 500 + policy.per_s * policy.window_s + policy.burst
        assert view.asked == 500 + view.retried

    virtually(main)


def test_a_hedge_answers_where_the_first_is_stuck() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="5s", hedge="200ms")
        search = Dependency(0.05)
        search.slow_calls = {1}
        began = now()
        answer = await guard(search, "refund")
        assert answer == Guarded(["refund", "vector 2"])
        assert now() - began == pytest.approx(0.25, abs=0.01)
        await asyncio.sleep(0.01)
        assert (search.cancelled, guard.view().hedged, guard.view().in_flight) == (1, 1, 0)
        assert not (await guard(search, "refund")).degraded
        assert guard.view().hedged == 1

    virtually(main)


def test_by_its_own_measure_few_are_hedged_and_the_slow_ones_get_fast() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="5s", hedge="p95")
        search = Dependency(0.05)
        search.slow_calls = set(range(50, 2_000, 25))
        began = now()
        for _ in range(300):
            assert not (await guard(search, "refund")).degraded
        assert 8 <= guard.view().hedged <= 20
        assert now() - began <= 300 * 0.05 * 1.5

    virtually(main)


def test_hedges_are_on_a_budget_and_not_made_when_half_of_the_places_are_taken() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="2s", hedge="100ms", fallback=keywords, breaker=CALM)
        await asyncio.gather(*[guard(Dependency(60), "refund") for _ in range(45)])
        policy = RetryBudgetPolicy()
        assert 1 <= guard.view().hedged <= policy.ratio * 45 + policy.per_s * policy.window_s + policy.burst
        crowded = Guard("knowledge", timeout="2s", hedge="100ms", fallback=keywords, concurrency=40)
        await asyncio.gather(*[crowded(Dependency(60), "refund") for _ in range(40)])
        assert crowded.view().hedged == 0

    virtually(main)


def test_if_the_first_fails_while_its_hedge_is_under_way_the_hedge_answers() -> None:
    async def main() -> None:
        calls = 0

        async def search() -> str:
            nonlocal calls
            calls += 1
            if calls == 1:
                await asyncio.sleep(0.3)
                raise ConnectionError("gone")
            await asyncio.sleep(0.5)
            return "second"

        assert (await Guard("knowledge", hedge="200ms")(search)).value == "second"

    virtually(main)


def test_a_stampede_is_one_call_and_later_calls_none() -> None:
    async def main() -> None:
        guard = Guard("knowledge", fallback=keywords, cache=Cache("10s"), concurrency=1)
        search = Dependency(1)
        answers = await asyncio.gather(*[guard(search, "refund") for _ in range(500)])
        assert search.asked == 1
        assert not any(answer.degraded for answer in answers)
        cached = await guard(search, "refund")
        assert (cached.value, cached.source, cached.degraded) == (["refund", "vector 1"], "cache", False)
        assert guard.view().coalesced == 499
        assert (await guard(search, "other")).source == "dependency"
        await asyncio.sleep(10)
        assert (await guard(search, "refund")).value == ["refund", "vector 3"]

    virtually(main)


def test_a_stale_answer_is_better_than_a_fallback_and_is_said() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="300ms", fallback=keywords, cache=Cache("10s", stale="1h"))
        search = Dependency()
        await guard(search, "refund")
        await asyncio.sleep(60)
        search.after_s = 5
        answer = await guard(search, "refund")
        assert answer.value == ["refund", "vector 1"]
        assert (answer.degraded, answer.stale, answer.source) == (True, True, "cache")
        assert answer.why == "knowledge did not answer within 0.3 s"
        assert answer.age_s == pytest.approx(60, abs=0.1)
        other = await guard(search, "other")
        assert (other.source, other.stale) == ("fallback", False)
        search.after_s = 0.01
        assert not (await guard(search, "refund")).degraded

    virtually(main)


def test_what_stood_in_is_not_kept() -> None:
    async def main() -> None:
        guard = Guard("knowledge", fallback=keywords, cache=Cache("10s"))
        search = Dependency(error=ConnectionError("refused"))
        assert (await guard(search, "refund")).degraded
        search.error = None
        assert not (await guard(search, "refund")).degraded

    virtually(main)


def test_who_joins_a_call_waits_no_longer_than_its_own_deadline() -> None:
    async def main() -> None:
        guard = Guard("knowledge", timeout="10s", fallback=keywords, cache=Cache("10s"))
        search = Dependency(3)

        async def hurried() -> Guarded[list[str]]:
            deadline.set(now() + 1.0)
            return await guard(search, "refund")

        began = now()
        first = asyncio.ensure_future(hurried())
        await asyncio.sleep(0.01)
        patient = asyncio.ensure_future(guard(search, "refund"))
        assert (await first).degraded
        assert now() - began == pytest.approx(0.75, abs=0.01)
        assert (await patient).value == ["refund", "vector 1"]
        assert (search.asked, search.cancelled) == (1, 0)

    virtually(main)


def test_a_guard_is_used_again_on_another_loop() -> None:
    guard = Guard("knowledge", timeout="300ms", cache=Cache(0.0))
    for _ in range(2):
        virtually(lambda: guard(Dependency(), "refund"))
    assert guard.view().in_flight == 0


def test_what_it_gives_can_be_recorded() -> None:
    answer = Guarded(["refund"], True, False, "fallback", "ConnectionError")
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Guarded[list[str]]) == answer


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"timeout": "x"}, {"retry": 0}, {"hedge": -1}])
def test_what_is_no_guard_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Guard("knowledge", **wrong)
    with pytest.raises(UsageError):
        Guard("no name")
