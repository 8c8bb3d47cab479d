from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.kernel.error import ConfigurationError
from outlast.policy.concurrency import TRANSITIONS, Concurrency, ConcurrencyPolicy


class Server:
    """Some slots, a queue in front of them, answers in about `service_s`; refuses beyond `queue_max`, if set."""

    def __init__(self, slots: int, service_s: float, seed: int, queue_max: int | None = None) -> None:
        self.free = [0.0] * slots
        self.service_s = service_s
        self.chance = random.Random(seed)
        self.queue_max = queue_max

    def ask(self, now: float) -> float | None:
        """When it will have answered; None: refused."""
        if self.queue_max is not None and sum(free > now for free in self.free) == len(self.free):
            waiting = max(0.0, min(self.free) - now) / self.service_s * len(self.free)
            if waiting > self.queue_max:
                return None
        begin = max(now, heapq.heappop(self.free))
        end = begin + self.service_s * self.chance.uniform(0.7, 1.3)
        heapq.heappush(self.free, end)
        return end


def drive(limit: Concurrency, server: Server, seconds: float, demand: int = 10_000, start: float = 0.0):
    """Keep as many requests under way as the limit (and the demand) allows; the answers as (time, latency, limit)."""
    now = start
    flying: list[tuple[float, float]] = []
    answers: list[tuple[float, float, int]] = []
    refused = 0
    while now < start + seconds:
        while len(flying) < min(limit.limit, demand):
            end = server.ask(now)
            if end is None:
                refused += 1
                limit.overloaded(now, len(flying) + 1)
                break
            heapq.heappush(flying, (end, now))
        if not flying:
            now += 0.01
            continue
        end, began = heapq.heappop(flying)
        now = max(now, end)
        limit.ok(now, now - began, len(flying) + 1)
        answers.append((now, now - began, limit.limit))
    return answers, refused


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("slots", "service_s"), [(4, 0.5), (16, 0.2), (40, 0.4)])
def test_under_endless_demand_the_server_is_busy_and_its_queue_short(slots: int, service_s: float, seed: int) -> None:
    """Over ten minutes, so that a best latency that crept up with the queue would show."""
    limit = Concurrency(ConcurrencyPolicy(limit_first=min(20, slots)))
    answers, _ = drive(limit, Server(slots, service_s, seed), 600)
    late = [answer for answer in answers if answer[0] > 120]
    rate = len(late) / 480
    assert rate >= 0.9 * slots / service_s
    assert sum(latency for _, latency, _ in late) / len(late) <= 3 * service_s
    assert max(limit for _, _, limit in late) <= 6 * slots


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_refuses_is_asked_no_more_than_it_takes(seed: int) -> None:
    limit = Concurrency(ConcurrencyPolicy(slow_floor_s=1e9))
    drive(limit, Server(4, 0.5, seed, queue_max=2), 30)
    answers, refused = drive(limit, Server(4, 0.5, seed, queue_max=2), 300, start=30.0)
    assert len(answers) / 300 >= 0.9 * 4 / 0.5
    assert refused < 0.25 * len(answers)


def test_a_limit_that_nobody_uses_is_not_raised() -> None:
    limit = Concurrency()
    drive(limit, Server(64, 0.2, 1), 120, demand=5)
    assert limit.limit == 20


def test_a_limit_that_nobody_uses_is_not_blamed_for_slowness() -> None:
    limit = Concurrency()
    drive(limit, Server(64, 0.2, 1), 20, demand=5)
    drive(limit, Server(64, 5.0, 1), 20, demand=5, start=20.0)
    assert limit.limit == 20


def test_the_limit_grows_with_use_and_doubles_at_first() -> None:
    limit = Concurrency(ConcurrencyPolicy(limit_max=300))
    drive(limit, Server(1_000, 0.2, 1), 1.5)
    assert limit.limit > 200
    drive(limit, Server(1_000, 0.2, 1), 5, start=1.5)
    assert limit.limit == 300


def test_refusals_of_one_moment_count_once() -> None:
    limit = Concurrency()
    for _ in range(50):
        limit.overloaded(10.0, 20)
    assert limit.limit == 15
    limit.overloaded(10.6, 15)
    assert limit.limit == 11


def test_a_refusal_below_the_limit_brings_it_to_where_the_refusal_was() -> None:
    limit = Concurrency(ConcurrencyPolicy(limit_first=1_000))
    limit.overloaded(1.0, 4)
    assert limit.limit == 6


def test_microseconds_are_no_congestion() -> None:
    """2 ms and then 20 ms: ten times the best, and still nothing that anybody waits for."""
    limit = Concurrency(ConcurrencyPolicy(limit_max=100, slice_s=0.1))
    drive(limit, Server(100, 0.002, 1), 0.3)
    assert limit.best_s is not None
    before = limit.limit
    drive(limit, Server(100, 0.02, 1), 1, start=0.3)
    assert limit.limit >= before


def test_one_long_answer_among_many_is_no_congestion() -> None:
    limit = Concurrency()
    for n in range(200):
        limit.ok(n * 0.05, 0.5, 20)
    before = limit.limit
    limit.ok(10.0, 30.0, before)
    assert limit.phase == "start"
    assert limit.limit >= before


def test_after_a_while_the_best_is_measured_anew_with_less_under_way() -> None:
    limit = Concurrency(ConcurrencyPolicy(limit_first=8, limit_max=8, best_for_s=10.0))
    now = 0.0
    best = 0.3
    seen = set[str]()
    while now < 40:
        now += 0.05
        latency = best if limit.phase == "probe" or now < 5 else best * 1.5
        limit.ok(now, latency, limit.limit)
        seen.add(limit.phase)
        if limit.phase == "probe":
            assert limit.limit == 4
    assert "probe" in seen
    assert limit.best_s == pytest.approx(best)


def test_a_probe_without_answers_gives_up() -> None:
    limit = Concurrency(ConcurrencyPolicy(limit_first=8, limit_max=8, best_for_s=10.0))
    now = 0.0
    while limit.phase != "probe":
        now += 0.05
        limit.ok(now, 0.3 if now < 5 else 0.4, 8)
    now += 11
    limit.ok(now, 12.0, 8)
    assert limit.phase == "steady"
    assert limit.best_s is None


@pytest.mark.parametrize(
    "wrong",
    [{"limit_min": 0}, {"limit_first": 2_000}, {"limit_min": 30}, {"decrease": 1.0}, {"decrease": 0},
     {"probe_share": 0}, {"slow_factor": 1.0}],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="not possible"):
        ConcurrencyPolicy(**wrong)


class Serving(RuleBasedStateMachine):
    """Answers and refusals in any order, the clock never going back."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = ConcurrencyPolicy(limit_first=8, limit_min=2, limit_max=32, best_for_s=3.0, slice_samples_min=3)
        self.limit = Concurrency(self.policy)
        self.now = 5.0
        self.phase = self.limit.phase

    def _moved(self) -> None:
        if self.limit.phase != self.phase:
            assert self.limit.phase in {
                after for (before, _), after in TRANSITIONS.items() if before == self.phase
            }, f"{self.phase} -> {self.limit.phase}"
        self.phase = self.limit.phase

    @rule(step=st.floats(0, 2), latency=st.floats(0, 5), share=st.floats(0, 2))
    def ok(self, step: float, latency: float, share: float) -> None:
        self.now += step
        before = self.limit.limit
        in_flight = max(1, int(share * before))
        self.limit.ok(self.now, latency, in_flight)
        if self.phase == self.limit.phase != "probe":
            assert self.limit.limit <= before + 1
        self._moved()

    @rule(step=st.floats(0, 2), in_flight=st.none() | st.integers(1, 40))
    def overloaded(self, step: float, in_flight: int | None) -> None:
        self.now += step
        before = self.limit.limit
        probing = self.limit.phase == "probe"
        self.limit.overloaded(self.now, in_flight)
        assert probing or self.limit.limit <= before
        assert self.limit.phase != "start" or self.now < 5.0
        self._moved()

    @precondition(lambda self: self.phase != "start")
    @rule()
    def slow_start_never_comes_back(self) -> None:
        assert not any(after == "start" for after in TRANSITIONS.values())

    @invariant()
    def the_limit_is_within_its_bounds(self) -> None:
        assert self.policy.limit_min <= self.limit.limit <= self.policy.limit_max
        assert self.limit.best_s is None or self.limit.best_s >= 0


TestServing = Serving.TestCase
