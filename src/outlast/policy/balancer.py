"""Which member of a pool gets the next request: two are drawn by weight, the emptier one is taken.

Source: Michael Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (IEEE TPDS, 2001); latency as a
moving average is Finagle's, the slow start Envoy's. What differs, and why:

- *Weights act where members are drawn.* A member's share of the draws is weight x capacity x warmth x headroom,
  divided by how much slower it is than the fastest. With nothing in flight that share is exactly what it gets; the
  usual score ``(in_flight + 1) / weight`` gives an idle pool's every request to the heaviest member.
- *The second replaces the first only when the first is clearly fuller*, by `room` requests of the lighter of the two
  (by half a request if their weights are alike). In-flight counts are small whole numbers; comparing 1/3 with 1/1
  exactly takes up to a tenth of its share from somebody. With `room` shares follow the weights within 5% at any load.
- *The latency is an average over time of logarithms, with its doubt*, not Finagle's peak: who is asked more often has
  higher peaks, and would be punished for its weight; who is asked rarely is judged by few answers. Only what is beyond
  doubt counts, and differences below `slow_margin` or below `slow_floor_s` mean nothing.

::

    share of the draws
    1.0 ┤              ╭──────── warm           1.0 ┤────╮  headroom        1.0 ┤───╮   slower than the fastest
        │          ╭───╯                            │    ╰───╮                  │    ╲
    0.1 ┤─────────╯                            0.05 ┤        ╰─╮           0.05 ┤     ╰────────
        └─┬────────────┬────▶ s                     └──────────┬─▶ used         └───┬────────┬──▶ times
          0            warm_up_s                    0         1.0                  1.5      30
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from outlast.kernel.error import ConfigurationError, invariant

ALIKE = 1.1
"""Up to this ratio two weights are alike: a tie between them is half a request wide."""
SPREAD = 1.0
"""Standard deviation of the logarithm of one latency, as taken for granted: that of an answer's usual long tail."""


class BalancerPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds.

    A member that is new or back gets `warm_floor` of its share, rising evenly to all of it after `warm_up_s`. `room` is
    by how many requests the first drawn must be fuller than the second to be passed over. Latencies are averaged over
    about `latency_s` and forgotten after `latency_stale_s`; one that is `slow_margin` times the lowest, or not above
    `slow_floor_s`, is not slow; slowness takes at most 1 - 1/`slow_max` of a share, so that a member which is fast
    again is found out. A report of resources counts for `report_s`; with all of one used `headroom_floor` of the share
    is left.
    """

    warm_up_s: float = 10.0
    warm_floor: float = 0.1
    room: float = 2.0
    latency_s: float = 5.0
    latency_stale_s: float = 30.0
    slow_margin: float = 1.5
    slow_floor_s: float = 0.02
    slow_max: float = 20.0
    report_s: float = 15.0
    headroom_floor: float = 0.05

    def __post_init__(self) -> None:
        if not (
            self.warm_up_s >= 0
            and 0 < self.warm_floor <= 1
            and self.room >= 0
            and self.latency_s > 0
            and self.latency_stale_s > 0
            and self.slow_margin >= 1
            and self.slow_floor_s > 0
            and self.slow_max >= 1
            and self.report_s >= 0
            and 0 < self.headroom_floor <= 1
        ):
            raise ConfigurationError(
                f"balancer {self} is not possible: times and room 0 or more, latency_s, latency_stale_s and "
                "slow_floor_s above 0, slow_margin and slow_max 1 or more, floors above 0 and at most 1"
            )


class Load:
    """What the balancer knows of one member. Whoever sends keeps `in_flight`.

    `weight` is what an operator gives it, `capacity` what it can carry; both relative to its peers, 0 or more. Only the
    latency of answers is told: a member that refuses fast is not fast.
    """

    __slots__ = (
        "_count", "_mean", "_policy", "at_least", "at_most", "capacity", "headroom", "in_flight", "report_until",
        "seen_at", "warm_from", "weight",
    )  # fmt: skip

    def __init__(self, policy: BalancerPolicy, weight: float = 1.0, capacity: float = 1.0) -> None:
        self._policy = policy
        self.weight = weight
        self.capacity = capacity
        self.in_flight = 0
        self.warm_from = -math.inf
        """When it came into rotation; long ago: it is warm."""
        self.headroom = 1.0
        """The factor of its last report."""
        self.report_until = -math.inf
        self._mean = 0.0
        self._count = 0.0
        self.at_least = 0.0
        """The logarithm of its latency in seconds is surely not below this, as of `seen_at` …"""
        self.at_most = 0.0
        """… and not above this."""
        self.seen_at = -math.inf

    def cold(self, now: float) -> None:
        """It comes (back) into rotation: its share rises slowly, and how fast it was before is forgotten."""
        self.warm_from = now
        self.seen_at = -math.inf

    def observed(self, now: float, latency_s: float) -> None:
        """An answer's time to first token."""
        policy = self._policy
        gone = now - self.seen_at
        if gone > policy.latency_stale_s:
            self._count = 1.0
        else:
            self._count = 1.0 + self._count * math.exp(-max(gone, 0.0) / policy.latency_s)
        self._mean += (math.log(max(latency_s, policy.slow_floor_s)) - self._mean) / self._count
        doubt = SPREAD / math.sqrt(self._count)
        self.at_least = self._mean - doubt
        self.at_most = self._mean + doubt
        self.seen_at = max(now, self.seen_at)

    def reported(self, now: float, gpu: float = 0.0, slots: float = 0.0, memory: float = 0.0) -> None:
        """What the endpoint says is used, as shares of 1: GPU time, KV cache or slots, memory. The fullest counts."""
        used = min(1.0, max(gpu, slots, memory, 0.0))
        self.headroom = max(self._policy.headroom_floor, 1.0 - used**4)
        self.report_until = now + self._policy.report_s

    def latency_s(self, now: float) -> float | None:
        """The average, as a geometric mean; None: nothing is known."""
        return math.exp(self._mean) if now - self.seen_at <= self._policy.latency_stale_s else None


class Balancer:
    """Draws members; holds no state of its own. `chance` is uniform in [0, 1)."""

    __slots__ = ("_margin", "_policy", "_slow_max")

    def __init__(self, policy: BalancerPolicy) -> None:
        self._policy = policy
        self._margin = math.log(policy.slow_margin)
        self._slow_max = math.log(policy.slow_max)

    def shares(self, now: float, loads: Sequence[Load]) -> list[float]:
        """How likely each is drawn, relative to the others; all alike when no weight is above 0."""
        policy = self._policy
        oldest = now - policy.latency_stale_s
        slow_from = math.inf
        for load in loads:
            if load.at_most < slow_from and load.seen_at >= oldest:
                slow_from = load.at_most
        slow_from += self._margin
        result: list[float] = []
        for load in loads:
            share = load.weight * load.capacity
            if now < load.report_until:
                share *= load.headroom
            if load.at_least > slow_from and load.seen_at >= oldest:
                share *= math.exp(-min(load.at_least - slow_from, self._slow_max))
            warm = now - load.warm_from
            if warm < policy.warm_up_s:
                share *= max(policy.warm_floor, warm / policy.warm_up_s)
            result.append(share)
        return result if any(result) else [1.0] * len(result)

    def pick(self, now: float, loads: Sequence[Load], chance1: float, chance2: float) -> int:
        """The index of the member that shall get the next request."""
        count = len(loads)
        invariant(count, "balancer: nobody to pick from")
        if count == 1:
            return 0
        shares = self.shares(now, loads)
        total = sum(shares)
        first = _drawn(shares, chance1 * total, -1)
        share1 = shares[first]
        if share1 >= total:
            return first
        second = _drawn(shares, chance2 * (total - share1), first)
        share2 = shares[second]
        lighter = min(share1, share2)
        room = 0.5 if max(share1, share2) <= ALIKE * lighter else self._policy.room
        fuller = loads[first].in_flight / share1 - loads[second].in_flight / share2
        return second if fuller * lighter > room else first


def _drawn(shares: list[float], point: float, without: int) -> int:
    """Into whose share of the line the point falls; what rounding leaves over goes to the last that has a share."""
    last = 0
    for place, share in enumerate(shares):
        if place != without and share > 0.0:
            if point < share:
                return place
            point -= share
            last = place
    return last
