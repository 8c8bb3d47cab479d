"""The queue, the shares and the refusals of a pool: in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointError, EndpointRefused, PoolOverloaded
from outlast.model.member import Target
from outlast.model.pool import Ask, Pool
from tests.model.virtual import Endpoints, SeededRandomness, VirtualClock, answers, fails, in_virtual_time, silent


def pool(*targets: Target, seed: int = 0, **more: Any) -> Pool:
    return Pool("writer", targets, VirtualClock(), SeededRandomness(seed), **more)


def test_more_than_the_members_hold_waits_its_turn_and_no_limit_is_passed() -> None:
    async def main() -> None:
        one = pool(Target("a", limit=3), Target("b", limit=2))
        most: Counter[str] = Counter()

        async def send(attempt: Attempt) -> str:
            most[attempt.member.name] = max(most[attempt.member.name], attempt.member.in_flight)
            await asyncio.sleep(0.1)
            return "fine"

        await asyncio.gather(*(one.call(send, Ask(60.0)) for _ in range(50)))
        assert most == {"a": 3, "b": 2}
        assert one.traffic.admission.waiting == 0

    in_virtual_time(main)


def test_ten_times_more_than_it_can_do_keeps_the_goodput_and_refuses_the_rest_at_once() -> None:
    """Capacity 100 a second, asked 1,000 a second for 10 s with a deadline of 2 s."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = pool(Target("a", limit=5), Target("b", limit=5))
        send = Endpoints(a=answers(0.1), b=answers(0.1))
        times: list[float] = []
        refused: list[float] = []

        async def ask() -> None:
            began = loop.time()
            try:
                await one.call(send, Ask(2.0))
                times.append(loop.time() - began)
            except PoolOverloaded as error:
                assert error.retry_after_s is not None
                assert error.retry_after_s >= 1.0
                refused.append(loop.time() - began)

        tasks: list[asyncio.Task[None]] = []
        for _ in range(10_000):
            tasks.append(loop.create_task(ask()))
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)
        seconds = 10.0 + 2.0
        assert len(times) >= 0.9 * 100 * seconds * 10 / 12
        assert max(times) <= 2.01
        assert len(times) + len(refused) == 10_000
        assert sorted(refused)[len(refused) // 2] < 0.01
        assert max(refused) <= 2.01

    in_virtual_time(main)


def test_who_goes_away_while_waiting_leaves_its_place_to_others() -> None:
    async def main() -> None:
        one = pool(Target("a", limit=1))
        send = Endpoints(a=answers(0.1))
        tasks = [asyncio.ensure_future(one.call(send, Ask(60.0))) for _ in range(20)]
        await asyncio.sleep(0.25)
        for task in tasks[3:18]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in ended) == 15
        assert one.members[0].in_flight == 0
        assert one.traffic.admission.waiting == 0
        assert len(send.asked) == 5

    in_virtual_time(main)


def test_high_priority_goes_first() -> None:
    async def main() -> None:
        one = pool(Target("a", limit=1))
        order: list[str] = []

        async def ask(priority: Any) -> None:
            async def send(attempt: Attempt) -> None:
                order.append(priority)
                await asyncio.sleep(0.1)

            await one.call(send, Ask(60.0, priority=priority))

        first = asyncio.ensure_future(ask("normal"))
        await asyncio.sleep(0.01)
        await asyncio.gather(first, *(ask(priority) for priority in ("low", "normal", "high") * 3))
        assert order == ["normal", *["high"] * 3, *["normal"] * 3, *["low"] * 3]

    in_virtual_time(main)


def test_shares_follow_the_weights() -> None:
    async def main() -> None:
        one = pool(Target("a", weight=3.0), Target("b", weight=1.0))
        send = Endpoints(a=answers(0.01), b=answers(0.01))

        async def caller() -> None:
            for _ in range(500):
                await one.call(send, Ask(60.0))

        await asyncio.gather(*(caller() for _ in range(8)))
        assert send.asked.count("a") / len(send.asked) == pytest.approx(0.75, abs=0.0375)

    in_virtual_time(main)


def test_a_request_goes_only_where_it_can_be_served() -> None:
    async def main() -> None:
        one = pool(Target("a", lacks=frozenset({"tools"})), Target("b", context=1000))
        send = Endpoints(a=answers(), b=answers())
        for _ in range(10):
            assert (await one.call(send, Ask(5.0, needs=frozenset({"tools"})))).value == "b"
            assert (await one.call(send, Ask(5.0, tokens=2000))).value == "a"
        with pytest.raises(EndpointRefused, match="a: it has no tools; b: its context is 1000 tokens"):
            await one.call(send, Ask(5.0, tokens=2000, needs=frozenset({"tools"})))

    in_virtual_time(main)


def test_a_fallback_answers_when_no_member_can_and_keeps_to_the_deadline() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for does in (fails(), silent):
            spare = pool(Target("spare", model="small"))
            one = pool(Target("a"), Target("b"), fallback=spare)
            send = Endpoints(a=does, b=does, spare=answers(0.1))
            for _ in range(12):
                began = loop.time()
                served = await one.call(send, Ask(10.0))
                assert (served.value, served.model, served.degraded) == ("spare", "small", True)
                assert served.attempts == len(send.asked)
                assert loop.time() - began < 9.0
                send.asked.clear()
            assert one.view().degraded == 12
            send.does["spare"] = silent
            began = loop.time()
            with pytest.raises(EndpointError):
                await one.call(send, Ask(10.0))
            assert loop.time() - began <= 10.01
            await asyncio.sleep(0.01)
            assert all(member.in_flight == 0 for member in one.everybody)

    in_virtual_time(main)


def test_whoever_waited_is_given_no_place_where_it_cannot_be_served() -> None:
    async def main() -> None:
        one = pool(Target("a", limit=1, lacks=frozenset({"tools"})), Target("b", limit=1))
        send = Endpoints(a=answers(0.05), b=answers(0.3))
        first = [asyncio.ensure_future(one.call(send, Ask(60.0))) for _ in range(2)]
        await asyncio.sleep(0.01)
        needs = [asyncio.ensure_future(one.call(send, Ask(60.0, needs=frozenset({"tools"})))) for _ in range(3)]
        ended = await asyncio.gather(*needs, return_exceptions=True)
        await asyncio.gather(*first)
        assert all(isinstance(end, PoolOverloaded) or end.value == "b" for end in ended)  # type: ignore[union-attr]
        assert one.members[0].answered == 1
        assert all(member.in_flight == 0 for member in one.members)

    in_virtual_time(main)


def test_closing_refuses_whoever_waits() -> None:
    async def main() -> None:
        one = pool(Target("a", limit=1))
        send = Endpoints(a=answers(0.1))
        tasks = [asyncio.ensure_future(one.call(send, Ask(60.0))) for _ in range(3)]
        await asyncio.sleep(0.01)
        await one.close()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, PoolOverloaded) for one in ended) == 2

    in_virtual_time(main)
