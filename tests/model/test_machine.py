"""Pools under whatever order of calls, failures, silence, commands and time: what must hold in every one of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.model.attempt import Attempt, AttemptLost
from outlast.model.endpoint import (
    EndpointError,
    EndpointOverloaded,
    EndpointRefused,
    EndpointUnavailable,
    Interrupted,
)
from outlast.model.member import Member, Target
from outlast.model.pool import Ask, Pool, RetryTree
from outlast.policy.health import Layer
from outlast.simulation.loop import SimLoop
from tests.model.virtual import SeededRandomness, VirtualClock

names = ("a", "b", "c", "spare")
behaviours = (
    "well", "slow", "silent", "down", "refuses", "overloaded", "key", "breaks", "stalls", "stubborn", "waits",
)  # fmt: skip


class PoolMachine(RuleBasedStateMachine):
    """Endpoints change their behaviour at any time; calls come, wait, are cancelled; the pool is given commands."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimLoop(Random(0))
        self.does: dict[str, str] = dict.fromkeys(names, "well")
        self.now_at: Counter[str] = Counter()
        self.calls: list[tuple[asyncio.Task[Any], float, list[Attempt]]] = []
        self.sent = 0
        self.asked = 0
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        def pool(name: str, *targets: Target, **more: Any) -> Pool:
            return Pool(name, targets, VirtualClock(), SeededRandomness(1), probe=self._probe, **more)

        self.spare = pool("small", Target("spare", limit=4))
        self.pool = pool(
            "writer", Target("a", limit=3), Target("b", limit=4, weight=2.0), Target("c", quota_per_s=20.0),
            fallback=self.spare,
        )  # fmt: skip
        self.alone = pool("alone", Target("a", limit=2), Target("b"))

    async def _probe(self, member: Member, layer: Layer, timeout_s: float) -> None:
        if self.does[member.name] in ("down", "silent"):
            raise EndpointUnavailable("down")

    async def _send(self, attempt: Attempt, attempts: list[Attempt]) -> str:
        self.sent += 1
        attempts.append(attempt)
        name = attempt.member.name
        assert attempt.ticket or attempt.member.is_out(self.loop.time()) or attempt.member.breaker.state == "half_open"
        does = self.does[name]
        if does == "silent":
            await self.loop.create_future()
        if does == "stubborn":
            try:
                await asyncio.sleep(30.0)
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
        await asyncio.sleep({"slow": 3.0, "waits": 0.5}.get(does, 0.02))
        errors: dict[str, EndpointError] = {
            "down": EndpointUnavailable("down"),
            "refuses": EndpointRefused("your fault"),
            "overloaded": EndpointOverloaded("too much", 0.5),
            "key": EndpointRefused("wrong key", elsewhere=True),
        }
        if does in errors:
            raise errors[does]
        try:
            attempt.commit()
        except AttemptLost:
            assert attempt.stopped
            raise
        if does == "breaks":
            raise EndpointUnavailable("reset")
        if does == "stalls":
            await self.loop.create_future()
        for _ in range(3):
            await asyncio.sleep(0.01)
            attempt.token(self.loop.time())
        attempt.usage(1, 3)
        return name

    async def _call(self, pool: Pool, ask: Ask, attempts: list[Attempt]) -> None:
        began = self.loop.time()
        try:
            served = await pool.call(lambda attempt: self._send(attempt, attempts), ask)
        except Interrupted:
            assert sum(attempt.won for attempt in attempts) == 1
        except EndpointError:
            assert not any(attempt.won for attempt in attempts)
        else:
            winners = [attempt.member.name for attempt in attempts if attempt.won]
            assert winners == [served.value] == [served.endpoint]
            assert served.attempts == len(attempts)
            assert served.degraded == (served.endpoint == "spare")
        finally:
            # a sender that will not be stopped takes its own 0.01 s more
            assert self.loop.time() - began <= ask.deadline_s + 0.05, "past its deadline"
            assert len(attempts) <= 4

    @rule(
        times=st.integers(1, 8), deadline_s=st.sampled_from([0.05, 1.0, 8.0, 20.0]), stream=st.booleans(),
        hedge=st.booleans(), affinity=st.sampled_from(["", "session"]), alone=st.booleans(),
        priority=st.sampled_from(["high", "normal", "low"]),
    )  # fmt: skip
    def call(self, times: int, deadline_s: float, alone: bool, **more: Any) -> None:
        async def begin() -> None:
            for _ in range(times):
                attempts: list[Attempt] = []
                ask = Ask(deadline_s, tree=RetryTree(), **more)
                task = self.loop.create_task(self._call(self.alone if alone else self.pool, ask, attempts))
                self.calls.append((task, self.loop.time() + deadline_s, attempts))
                self.asked += 1

        self.loop.run_until_complete(begin())

    @rule(seconds=st.sampled_from([0.001, 0.03, 0.3, 1.0, 5.0]))
    def passes(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(name=st.sampled_from(names), does=st.sampled_from(behaviours))
    def behaves(self, name: str, does: str) -> None:
        self.does[name] = does

    @rule(which=st.integers(0, 1000))
    def leaves(self, which: int) -> None:
        if self.calls:
            self.calls[which % len(self.calls)][0].cancel()

    @rule(name=st.sampled_from(names), command=st.sampled_from(["drain", "undrain", "eject", "weight"]))
    def told(self, name: str, command: str) -> None:
        async def tell() -> None:
            if command == "eject":
                self.pool.eject(name, 2.0)
            elif command == "weight":
                self.pool.weight(name, 3.0)
            elif command == "drain":
                self.pool.drain(name)
            else:
                self.pool.undrain(name)

        self.loop.run_until_complete(tell())

    @invariant()
    def nothing_is_counted_wrong(self) -> None:
        assert not self.loop.errors, self.loop.errors
        now = self.loop.time()
        for pool in (self.pool, self.spare, self.alone):
            for member in pool.members:
                assert 0 <= member.in_flight <= member.limit_max
                assert len(member.waiting) <= member.in_flight
            budget = pool.traffic.budget
            assert budget.extra <= 0.2 * budget.first + 20 * (1 + now / 10)
        for task, deadline, _ in self.calls:
            if task.done() and not task.cancelled():
                error = task.exception()
                assert error is None, repr(error)
            assert task.done() or now <= deadline + 0.05

    def teardown(self) -> None:
        async def end() -> None:
            for pool in (self.pool, self.alone):
                await pool.close()
            for task, _, _ in self.calls:
                task.cancel()
            await asyncio.gather(*(task for task, _, _ in self.calls), return_exceptions=True)
            await asyncio.sleep(1.0)

        try:
            self.loop.run_until_complete(end())
            self.nothing_is_counted_wrong()
            for pool in (self.pool, self.spare, self.alone):
                assert pool.traffic.admission.waiting == 0
                assert all(member.in_flight == 0 and not member.waiting for member in pool.members)
            left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            assert not left, left
            moved = sum(pool.traffic.moved for pool in (self.pool, self.spare, self.alone))
            extra = sum(pool.traffic.budget.extra for pool in (self.pool, self.spare, self.alone))
            first = sum(pool.traffic.budget.first for pool in (self.pool, self.spare, self.alone))
            assert self.sent <= first + extra + moved
        finally:
            self.loop.close()


TestPool = PoolMachine.TestCase
TestPool.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
