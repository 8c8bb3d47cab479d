from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.policy.balancer import Balancer, BalancerPolicy, Load

POLICY = BalancerPolicy()


def loads_of(weights: list[float], policy: BalancerPolicy = POLICY) -> list[Load]:
    return [Load(policy, weight) for weight in weights]


def played(
    loads: list[Load], rate: float, latency: Callable[[Random, int], float], requests: int = 30_000, seed: int = 1,
    observe: bool = True,
) -> list[float]:  # fmt: skip
    """What share each member got of requests that arrive at `rate` a second and stay for `latency`."""
    random = Random(seed)
    balancer, counts = Balancer(POLICY), [0] * len(loads)
    ends: list[tuple[float, int, float]] = []
    now = 100.0
    for _ in range(requests):
        now += random.expovariate(rate)
        while ends and ends[0][0] <= now:
            end, member, took = heapq.heappop(ends)
            loads[member].in_flight -= 1
            if observe:
                loads[member].observed(end, took)
        member = balancer.pick(now, loads, random.random(), random.random())
        counts[member] += 1
        loads[member].in_flight += 1
        took = latency(random, member)
        heapq.heappush(ends, (now + took, member, took))
    return [count / requests for count in counts]


LATENCIES: dict[str, Callable[[Random, int], float]] = {
    "constant": lambda random, member: 0.5,
    "exponential": lambda random, member: random.expovariate(2.0),
    "lognormal": lambda random, member: random.lognormvariate(math.log(0.3), 0.8),
}


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("busy", [0.3, 2.0, 8.0, 40.0])
@pytest.mark.parametrize("weights", [[3, 1], [1, 1.25], [1, 2, 3, 4], [1, 1, 1, 5]], ids=str)
def test_the_share_follows_the_weights_within_five_percent_at_any_load(
    weights: list[float], busy: float, latency: str
) -> None:
    shares = played(loads_of(weights), busy / 0.5, LATENCIES[latency])
    for weight, share in zip(weights, shares, strict=True):
        fair = weight / sum(weights)
        noise = 2.5 * math.sqrt(fair * (1 - fair) / 30_000)
        assert share == pytest.approx(fair, abs=0.05 * fair + noise)


def test_capacity_and_weight_multiply() -> None:
    loads = [Load(POLICY, 2.0, 3.0), Load(POLICY, 1.0, 2.0)]
    assert played(loads, 2.0, LATENCIES["constant"])[0] == pytest.approx(0.75, rel=0.05)


def test_a_much_slower_member_gets_little_and_is_found_out_when_it_is_fast_again() -> None:
    loads = loads_of([1, 1])
    assert played(loads, 20.0, lambda random, member: 2.0 if member else 0.1)[1] < 0.1
    loads[0].in_flight = loads[1].in_flight = 0
    assert played(loads, 20.0, lambda random, member: 0.1)[1] == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("weights", [[1, 1], [3, 1], [1, 1, 1]], ids=str)
def test_a_member_that_gives_nothing_gets_only_a_few_requests(weights: list[float]) -> None:
    share = played(loads_of(weights), 20.0, lambda random, member: 0.1 if member else 1e9, observe=False)[0]
    assert share * 30_000 < 40 * weights[0]


def test_differences_too_small_to_matter_change_no_share() -> None:
    loads = loads_of([1, 1, 1])
    for load, latency in zip(loads, [0.002, 0.007, 0.029], strict=True):
        for _ in range(1000):
            load.observed(1.0, latency)
    assert Balancer(POLICY).shares(1.0, loads) == [1, 1, 1]
    for load, latency in zip(loads, [1.0, 1.2, 1.49], strict=True):
        for _ in range(1000):
            load.observed(1.0 + POLICY.latency_stale_s + 1, latency)
    assert Balancer(POLICY).shares(40.0, loads) == [1, 1, 1]


def test_slowness_takes_a_share_in_proportion_down_to_a_bound() -> None:
    loads = loads_of([1, 1, 1])
    for _ in range(10_000):
        for load, latency in zip(loads, [0.1, 0.6, 100.0], strict=True):
            load.observed(1.0, latency)
    assert Balancer(POLICY).shares(1.0, loads) == pytest.approx([1, 0.25, 0.05], rel=0.05)


def test_few_answers_are_not_believed_unless_they_are_far_off() -> None:
    loads = loads_of([1, 1, 1])
    for load, latency in zip(loads, [0.1, 1.0, 100.0], strict=True):
        load.observed(1.0, latency)
    shares = Balancer(POLICY).shares(1.0, loads)
    assert shares[:2] == [1, 1]
    assert shares[2] == pytest.approx(0.05)


def test_a_latency_is_averaged_over_time_and_forgotten() -> None:
    load = Load(POLICY)
    assert load.latency_s(0.0) is None
    load.observed(0.0, 0.1)
    assert load.latency_s(0.0) == pytest.approx(0.1)
    load.observed(5.0, 10.0)
    assert load.latency_s(5.0) == pytest.approx(0.1 * 100 ** (1 / (1 + math.exp(-1))))
    assert load.latency_s(5.0 + POLICY.latency_stale_s) is not None
    assert load.latency_s(5.1 + POLICY.latency_stale_s) is None
    load.observed(100.0, 1.0)
    assert load.latency_s(100.0) == pytest.approx(1.0)
    load.cold(100.0)
    assert load.latency_s(100.0) is None


def test_what_is_forgotten_does_not_weigh_on_what_comes_after() -> None:
    load = Load(BalancerPolicy(latency_s=100.0, latency_stale_s=1.0))
    for _ in range(100):
        load.observed(10.0, 10.0)
    load.observed(10.9, 10.0)
    load.observed(12.0, 0.1)
    assert load.latency_s(12.0) == pytest.approx(0.1)


def test_many_answers_in_one_instant_are_not_lost() -> None:
    load = Load(POLICY)
    load.observed(1.0, 0.1)
    for _ in range(100):
        load.observed(1.0, 1.0)
    assert load.latency_s(1.0) == pytest.approx(1.0, rel=0.05)


def test_a_cold_member_gets_little_and_then_more() -> None:
    loads = loads_of([1, 1])
    loads[1].cold(100.0)
    shares = [Balancer(POLICY).shares(100.0 + after, loads)[1] for after in (0, 0.5, 2, 5, 9.9, 10, 60)]
    assert shares == pytest.approx([0.1, 0.1, 0.2, 0.5, 0.99, 1, 1])


def test_who_reports_full_resources_gets_less_until_the_report_is_old() -> None:
    loads = loads_of([1, 1])
    balancer = Balancer(POLICY)
    for report, share in (
        ({"gpu": 0.3}, 0.99), ({"gpu": 0.9}, 0.34), ({"slots": 1.0}, 0.05), ({"memory": 0.8}, 0.59),
        ({"gpu": 7.0}, 0.05), ({"gpu": -1.0}, 1.0), ({"gpu": 0.2, "slots": 0.9, "memory": 0.5}, 0.34),
    ):  # fmt: skip
        loads[1].reported(100.0, **report)
        assert balancer.shares(100.0, loads)[1] == pytest.approx(share, abs=0.01)
    assert balancer.shares(114.9, loads)[1] == pytest.approx(0.34, abs=0.01)
    assert balancer.shares(115.0, loads)[1] == 1.0


def test_gpu_use_moves_traffic() -> None:
    loads = loads_of([1, 1])
    loads[0].reported(1e9, gpu=0.95)
    share = played(loads, 2.0, LATENCIES["constant"])[0]
    assert share < 0.25


def test_weight_zero_gets_nothing_unless_all_are_zero() -> None:
    assert played(loads_of([1, 0, 1]), 20.0, LATENCIES["exponential"])[1] == 0.0
    assert played(loads_of([0, 1]), 20.0, LATENCIES["exponential"])[0] == 0.0
    assert played(loads_of([0, 0]), 20.0, LATENCIES["exponential"])[0] == pytest.approx(0.5, rel=0.05)


def test_the_emptier_of_two_alike_is_taken() -> None:
    loads = loads_of([1, 1])
    loads[0].in_flight = 1
    assert {Balancer(POLICY).pick(0.0, loads, chance / 10, 0.5) for chance in range(10)} == {1}


def test_nobody_to_pick_from_breaks_an_invariant() -> None:
    with pytest.raises(InvariantBroken, match="balancer: nobody to pick from"):
        Balancer(POLICY).pick(0.0, [], 0.5, 0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"warm_up_s": -1.0}, {"warm_floor": 0.0}, {"warm_floor": 1.1}, {"room": -1.0}, {"latency_s": 0.0},
        {"latency_stale_s": 0.0}, {"slow_margin": 0.9}, {"slow_floor_s": 0.0}, {"slow_max": 0.5}, {"report_s": -1.0},
        {"headroom_floor": 0.0}, {"headroom_floor": 2.0},
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="is not possible"):
        BalancerPolicy(**wrong)


chances = st.floats(0, 1, exclude_max=True)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.data(), chances, chances)
def test_a_pick_is_one_that_has_a_share(weights: list[float], data: st.DataObject, one: float, two: float) -> None:
    loads = loads_of(weights)
    for load in loads:
        load.in_flight = data.draw(st.integers(0, 50))
    picked = Balancer(POLICY).pick(0.0, loads, one, two)
    assert weights[picked] > 0 or not any(weights) or len(weights) == 1


class Balancing(RuleBasedStateMachine):
    """Everything that can be told about three members, in any order."""

    members = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.loads = loads_of([1, 1, 1])
        self.balancer = Balancer(POLICY)

    @rule(step=st.floats(-5, 40))
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(member=members, latency=st.floats(0, 1e4))
    def observed(self, member: int, latency: float) -> None:
        self.loads[member].observed(self.now, latency)

    @rule(member=members, gpu=st.floats(-1, 2), memory=st.floats(-1, 2))
    def reported(self, member: int, gpu: float, memory: float) -> None:
        self.loads[member].reported(self.now, gpu, memory=memory)

    @rule(member=members)
    def cold(self, member: int) -> None:
        self.loads[member].cold(self.now)

    @rule(member=members, weight=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    def weigh(self, member: int, weight: float) -> None:
        self.loads[member].weight = weight

    @rule(one=chances, two=chances)
    def pick(self, one: float, two: float) -> None:
        picked = self.balancer.pick(self.now, self.loads, one, two)
        assert self.loads[picked].weight > 0 or not any(load.weight for load in self.loads)
        self.loads[picked].in_flight += 1

    @rule(member=members)
    def end(self, member: int) -> None:
        self.loads[member].in_flight = max(0, self.loads[member].in_flight - 1)

    @invariant()
    def a_share_is_at_most_its_weight_and_never_taken_away_whole(self) -> None:
        least = POLICY.warm_floor * POLICY.headroom_floor / POLICY.slow_max
        if any(load.weight for load in self.loads):
            for load, share in zip(self.loads, self.balancer.shares(self.now, self.loads), strict=True):
                assert load.weight * least * 0.999 <= share <= load.weight


TestBalancing = Balancing.TestCase
