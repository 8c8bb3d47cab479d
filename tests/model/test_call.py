"""How one call goes through failures, silence, hedges, deadlines and cancellations: in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.model.attempt import Attempt, AttemptLost
from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointUnavailable, Interrupted
from outlast.model.member import Target
from outlast.model.pool import Ask, Pool
from tests.model.virtual import Endpoints, SeededRandomness, VirtualClock, answers, fails, in_virtual_time, silent


def pool(*names: str, seed: int = 0, **more: Any) -> Pool:
    return Pool("writer", [Target(name) for name in names], VirtualClock(), SeededRandomness(seed), **more)


def idle(one: Pool) -> bool:
    return all(member.in_flight == 0 and not member.waiting for member in one.members)


def test_a_silent_attempt_is_hedged_and_the_loser_stopped() -> None:
    async def main() -> None:
        for seed in range(10):
            one = pool("a", "b", seed=seed)
            send = Endpoints(a=silent, b=answers(0.01))
            began = asyncio.get_running_loop().time()
            served = await one.call(send, Ask(30.0))
            took = asyncio.get_running_loop().time() - began
            assert served.value == "b"
            if send.asked == ["a", "b"]:
                assert served.hedged
                assert served.attempts == 2
                assert send.stopped == ["a"]
                assert took < 2.5
            assert idle(one)

    in_virtual_time(main)


def test_who_is_hedged_and_answers_after_all_wins_and_the_hedge_is_stopped() -> None:
    async def main() -> None:
        one = pool("a", "b")
        send = Endpoints(a=answers(2.5), b=answers(2.5))
        served = await one.call(send, Ask(30.0))
        assert len(send.asked) == 2
        assert not served.hedged
        assert served.endpoint == send.asked[0]
        assert send.stopped == [send.asked[1]]
        await asyncio.sleep(0.01)
        assert idle(one)

    in_virtual_time(main)


def test_a_request_that_may_not_be_sent_twice_is_not_hedged() -> None:
    async def main() -> None:
        one = pool("a", "b")
        send = Endpoints(a=answers(3.0), b=answers(3.0))
        await one.call(send, Ask(30.0, hedge=False))
        assert len(send.asked) == 1

    in_virtual_time(main)


def test_when_the_first_fails_while_its_hedge_runs_the_hedge_is_the_call() -> None:
    async def main() -> None:
        for slow, quick in (("a", "b"), ("b", "a")):
            one = pool("a", "b")
            send = Endpoints(**{slow: fails(after_s=2.2), quick: answers(1.0)})
            served = await one.call(send, Ask(30.0))
            assert served.endpoint == quick
            await asyncio.sleep(0.01)
            assert idle(one)

    in_virtual_time(main)


def test_a_failing_hedge_leaves_the_first_alone() -> None:
    async def main() -> None:
        for seed in range(10):
            one = pool("a", "b", seed=seed)
            send = Endpoints(a=answers(3.0), b=fails())
            served = await one.call(send, Ask(30.0))
            assert served.endpoint == "a"
            assert idle(one)

    in_virtual_time(main)


def test_a_hedge_that_breaks_off_after_its_first_content_interrupts_the_call() -> None:
    async def main() -> None:
        async def breaks(attempt: Attempt) -> str:
            attempt.commit()
            await asyncio.sleep(0.5)
            raise EndpointUnavailable("reset")

        seen = 0
        for seed in range(10):
            one = pool("a", "b", seed=seed)
            send = Endpoints(a=silent, b=breaks)
            with pytest.raises(Interrupted, match="the answer of b broke off: reset"):
                await one.call(send, Ask(30.0))
            seen += len(send.asked) == 2
            await asyncio.sleep(0.01)
            assert idle(one)
        assert seen

    in_virtual_time(main)


def test_only_one_attempt_may_commit() -> None:
    async def main() -> None:
        lost = 0

        async def stubborn(attempt: Attempt) -> str:
            nonlocal lost
            try:
                await asyncio.sleep(5.0)
            except asyncio.CancelledError:
                pass
            try:
                attempt.commit()
            except AttemptLost:
                lost += 1
                raise
            return "second"

        one = pool("a", "b")
        first = True

        async def send(attempt: Attempt) -> str:
            nonlocal first
            if first:
                first = False
                return await stubborn(attempt)
            attempt.commit()
            return "hedge"

        served = await one.call(send, Ask(30.0))
        assert (served.value, served.hedged, lost) == ("hedge", True, 1)
        assert idle(one)

    in_virtual_time(main)


def test_never_a_hang_past_the_deadline() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = pool("a", "b")
        began = loop.time()
        with pytest.raises(EndpointUnavailable, match="did not answer within"):
            await one.call(Endpoints(a=silent, b=silent), Ask(5.0))
        assert loop.time() - began == pytest.approx(5.0, abs=0.01)
        await asyncio.sleep(0.01)
        assert idle(one)

    in_virtual_time(main)


def test_a_stream_that_falls_silent_is_interrupted_and_one_that_drips_ends_at_the_deadline() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def stalls(attempt: Attempt) -> str:
            attempt.commit()
            return await silent(attempt)

        async def drips(attempt: Attempt) -> str:
            attempt.commit()
            while True:
                await asyncio.sleep(5.0)
                attempt.token(loop.time())

        for does, after_s in ((stalls, 15.0), (drips, 60.0)):
            one = pool("a", "b")
            began = loop.time()
            with pytest.raises(Interrupted):
                await one.call(Endpoints(a=does, b=does), Ask(60.0, stream=True))
            assert loop.time() - began == pytest.approx(after_s, abs=0.1)
            assert idle(one)

    in_virtual_time(main)


def test_a_caller_that_goes_away_stops_its_attempts() -> None:
    async def main() -> None:
        one = pool("a", "b")
        send = Endpoints(a=silent, b=silent)
        task = asyncio.ensure_future(one.call(send, Ask(30.0)))
        await asyncio.sleep(3.0)  # both are asked by now
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1
        await asyncio.sleep(0.01)
        assert sorted(send.stopped) == ["a", "b"]
        assert idle(one)
        assert all(member.failed == 0 for member in one.members)

    in_virtual_time(main)


def test_the_callers_own_time_out_is_not_taken_for_the_pools() -> None:
    async def main() -> None:
        one = pool("a", "b")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await one.call(Endpoints(a=silent, b=silent), Ask(30.0))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.01)
        assert idle(one)

    in_virtual_time(main)


def test_a_deadline_leaves_no_cancellation_behind() -> None:
    async def main() -> None:
        one = pool("a")
        with pytest.raises(EndpointError):
            await one.call(Endpoints(a=silent), Ask(1.0))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.5)

    in_virtual_time(main)


def test_a_bug_in_the_sender_goes_to_the_caller_and_counts_against_nobody() -> None:
    async def main() -> None:
        one = pool("a", "b")
        send = Endpoints(a=fails(ValueError("bug")), b=fails(ValueError("bug")))
        with pytest.raises(ValueError, match="bug"):
            await one.call(send, Ask(30.0))
        assert len(send.asked) == 1
        assert idle(one)
        assert all(member.failed == 0 for member in one.members)

    in_virtual_time(main)


def test_when_all_are_down_every_call_ends_and_the_attempts_are_bounded() -> None:
    async def main() -> None:
        one = pool("a", "b")
        send = Endpoints(a=fails(), b=fails())
        for _ in range(50):
            with pytest.raises(EndpointUnavailable):
                await one.call(send, Ask(2.0))
        budget = one.traffic.budget
        assert len(send.asked) <= 50 + budget.extra + one.traffic.moved
        assert budget.extra <= 20 + 0.2 * 50  # all within one window
        send.does = {"a": answers(), "b": answers()}
        assert (await one.call(send, Ask(2.0))).value

    in_virtual_time(main)


def test_an_overloaded_member_is_left_alone_for_as_long_as_it_asks() -> None:
    async def main() -> None:
        one = pool("a", "b")
        send = Endpoints(a=fails(EndpointOverloaded("429", 5.0)), b=answers())
        for _ in range(20):
            assert (await one.call(send, Ask(10.0))).value == "b"
        assert send.asked.count("a") <= 1
        await asyncio.sleep(5.0)
        for _ in range(20):
            await one.call(send, Ask(10.0))
        assert 1 <= send.asked.count("a") <= 2

    in_virtual_time(main)


def test_when_the_only_member_asks_to_be_left_alone_the_pool_refuses_at_once() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = pool("a")
        send = Endpoints(a=fails(EndpointOverloaded("429", 20.0)))
        with pytest.raises(EndpointOverloaded):
            await one.call(send, Ask(10.0))
        began = loop.time()
        with pytest.raises(EndpointOverloaded, match="asked to be left alone") as caught:
            await one.call(send, Ask(10.0))
        assert loop.time() - began < 0.1
        assert caught.value.retry_after_s == pytest.approx(20.0, abs=1.0)
        assert len(send.asked) == 1

    in_virtual_time(main)


def test_a_killed_member_costs_no_request() -> None:
    """32 requests are under way at each of two members when one is killed; nobody notices."""

    async def main() -> None:
        one = pool("a", "b")
        killed = asyncio.Event()

        async def dies(attempt: Attempt) -> str:
            if not killed.is_set():
                await killed.wait()
            raise EndpointUnavailable("connection reset")

        for member in one.members:
            member.concurrency._limit = 200.0
        send = Endpoints(a=dies, b=answers(0.5))
        calls = [asyncio.ensure_future(one.call(send, Ask(30.0, hedge=False))) for _ in range(64)]
        await asyncio.sleep(0.2)
        killed.set()
        served = await asyncio.gather(*calls)
        assert all(one.value == "b" for one in served)
        assert 20 <= send.asked.count("a") <= 44
        assert idle(one)
        for _ in range(20):
            assert (await one.call(send, Ask(30.0))).value == "b"

    in_virtual_time(main)


def test_requests_that_wait_on_a_frozen_member_are_moved_before_long() -> None:
    """64 callers, one of two members freezes: all its requests are answered by the other within about a second."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = pool("a", "b")
        frozen = False

        async def may_freeze(attempt: Attempt) -> str:
            await asyncio.sleep(0.02)
            return await (silent(attempt) if frozen else answers(0.0)(attempt))

        send = Endpoints(a=may_freeze, b=answers(0.02))
        longest = 0.0
        errors = 0
        over = False

        async def caller() -> None:
            nonlocal longest, errors
            while not over:
                began = loop.time()
                try:
                    await one.call(send, Ask(30.0))
                except EndpointError:
                    errors += 1
                longest = max(longest, loop.time() - began)

        tasks = [asyncio.ensure_future(caller()) for _ in range(16)]
        await asyncio.sleep(2.0)
        assert longest < 0.5
        frozen = True
        await asyncio.sleep(5.0)
        over = True
        await asyncio.gather(*tasks)
        assert errors == 0
        assert longest < 1.0
        assert idle(one)

    in_virtual_time(main)


def test_a_member_that_is_slow_like_its_peers_is_not_ejected() -> None:
    async def main() -> None:
        one = pool("a", "b", "c")
        delay = 0.02

        async def load(attempt: Attempt) -> str:
            await asyncio.sleep(delay)
            return "fine"

        for _ in range(20):
            await asyncio.gather(*(one.call(load, Ask(30.0)) for _ in range(10)))
        delay = 4.0
        await asyncio.gather(*(one.call(load, Ask(30.0)) for _ in range(30)))
        assert all(member.pace.ejections == 0 for member in one.members)

    in_virtual_time(main)
