"""Replicas that share a key's bounds keep to them together; without the counters each keeps to them alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.tally import MemoryTally
from outlast.model.shelf import ShelfUnavailable
from outlast.policy.limiter import Limit, Limiter, Refused, Taken, Used
from outlast.server.gateway.key import Account
from outlast.server.gateway.share import Shares

LIMIT = Limit(requests_per_minute=60, tokens_per_minute=6_000)


class Clock(SystemClock):
    at = 1_000.0

    def monotonic(self) -> float:
        return self.at


class Replica:
    def __init__(self, tally: object, clock: Clock, system: str = "") -> None:
        self.said: list[str] = []
        self.limiter = Limiter(LIMIT)
        self.clock = clock
        account = Account("team", limit=LIMIT, limiter=self.limiter)
        accounts = [account, Account("free")]
        self.shares = Shares(tally, lambda: accounts, clock, OsRandomness(), system, self.said.append)  # type: ignore[arg-type]

    def take(self, requests: int, tokens: int = 10) -> int:
        """How many of so many requests went through."""
        taken = [self.limiter.take(self.clock.at, tokens) for _ in range(requests)]
        for each in taken:
            if isinstance(each, Taken):
                self.limiter.settle(self.clock.at, each, tokens)
        return sum(isinstance(each, Taken) for each in taken)


class Flaky(MemoryTally):
    away = False
    lost = False

    async def add(self, name: str, counts: Sequence[int], ttl_s: float) -> Sequence[int]:
        if self.away:
            raise ShelfUnavailable("away")
        totals = await super().add(name, counts, ttl_s)
        if self.lost:
            raise ShelfUnavailable("the answer was lost")
        return totals


async def test_what_one_replica_lets_through_another_one_does_not_again() -> None:
    clock = Clock()
    tally = MemoryTally(SystemClock())
    one, two = Replica(tally, clock), Replica(tally, clock)
    for replica in (one, two):
        await replica.shares.exchange()
    assert one.take(40) == 40
    for replica in (one, two, one):
        await replica.shares.exchange()
    assert two.take(60) == 20
    left = two.limiter.left(clock.at)
    assert (left.requests, left.tokens) == (0, 6_000 - 400 - 200)
    assert one.limiter.left(clock.at).requests == 20


async def test_a_replica_takes_part_from_its_start() -> None:
    clock = Clock()
    tally = MemoryTally(SystemClock())
    one, two = Replica(tally, clock), Replica(tally, clock)
    running = [asyncio.create_task(replica.shares.run()) for replica in (one, two)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        assert one.take(60) == 60
        for replica in (one, two):
            await replica.shares.exchange()
        assert two.take(60) == 0
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_systems_whose_keys_have_the_same_names_share_nothing() -> None:
    clock = Clock()
    tally = MemoryTally(SystemClock())
    one, two = Replica(tally, clock, "one"), Replica(tally, clock, "two")
    for replica in (one, two):
        await replica.shares.exchange()
    assert one.take(60) == 60
    for replica in (one, two):
        await replica.shares.exchange()
    assert two.take(60) == 60


async def test_that_counters_are_away_or_back_is_said_once_and_shown() -> None:
    clock = Clock()
    tally = Flaky(SystemClock())
    one = Replica(tally, clock)
    assert "outlast_gateway_shared_up 0" in one.shares.metrics(), "nothing was exchanged yet"
    tally.away = True
    for _ in range(3):
        await one.shares.exchange()
    assert "outlast_gateway_shared_up 0" in one.shares.metrics()
    tally.away = False
    for _ in range(2):
        await one.shares.exchange()
    assert "outlast_gateway_shared_up 1" in one.shares.metrics()
    assert one.said == [
        "limits are not shared, each replica keeps to them alone: away", "limits are shared with other replicas again",
    ]  # fmt: skip


async def test_over_ten_minutes_two_replicas_let_through_little_more_than_one_would() -> None:
    clock = Clock()
    tally = MemoryTally(SystemClock())
    replicas = [Replica(tally, clock) for _ in range(2)]
    total = 0
    for _ in range(600):
        for replica in replicas:
            total += replica.take(3)
            await replica.shares.exchange()
        clock.at += 1.0
    assert total < 1.25 * (60 + 600)


async def test_without_counters_each_goes_by_its_own_buckets_and_nobody_is_refused_for_it() -> None:
    clock = Clock()
    tally = Flaky(SystemClock())
    one, two = Replica(tally, clock), Replica(tally, clock)
    tally.away = True
    for _ in range(3):
        assert one.take(20) == 20
        await one.shares.exchange()
        await two.shares.exchange()
    assert two.shares.problem == "away"
    assert two.take(60) == 60
    tally.away = False
    await two.shares.exchange()
    assert two.shares.problem == ""


async def test_a_lost_answer_and_lost_counters_charge_nobody() -> None:
    clock = Clock()
    tally = Flaky(SystemClock())
    one = Replica(tally, clock)
    await one.shares.exchange()
    one.take(10)
    tally.lost = True
    await one.shares.exchange()
    tally.lost = False
    await one.shares.exchange()
    await one.shares.exchange()
    tally._counts.clear()
    await one.shares.exchange()
    assert one.limiter.left(clock.at).requests == 50


async def test_a_debt_to_others_is_bounded() -> None:
    limiter = Limiter(LIMIT)
    limiter.elsewhere(0.0, Used(10**9, 10**9))
    left = limiter.left(0.0)
    assert (left.requests, left.tokens) == (0, -6_000)
    limiter.elsewhere(0.0, Used(-5, -5))
    assert limiter.take(0.0) == Refused("requests_per_minute", 61.0)
    assert isinstance(limiter.take(61.0), Taken)
