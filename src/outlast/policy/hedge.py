"""When a request that has got nothing yet is sent to a second member as well.

Source: Dean and Barroso, "The Tail at Scale" (CACM 2013): send again what has waited for longer than 95% of requests
do, take the first answer, cancel the other. The quantile is read off a histogram of logarithms, as in DDSketch (Masson
et al., VLDB 2019): within 5% of the true one, at the cost of an addition.

Never when the pool is overloaded (a hedge is load), never more than `hedges_max` for a request, and only on the retry
budget. An attempt that was cancelled counts with the time it had waited: else only the quick half of each hedged pair
would be seen, the quantile would sink, and nearly twice as many would be hedged as should.

::

    sent ────────────── wait ──────────────▶ quantile ──▶ overloaded? had one? budget? ──▶ hedge, once
      │                                                        │
      └── first token: no hedge                                └── then it waits on
"""

from __future__ import annotations

import math

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.policy.retry_budget import RetryBudget

LEAST_S = 0.001
BASE = math.log(1.1)
"""Each bin of the histogram is a tenth wider than the one before; the first ends at `LEAST_S`."""
BINS = 160
"""The last begins above an hour."""


class HedgePolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds.

    A request may be hedged when it has waited for longer than a share of `quantile` of those of the last `window_s`
    (kept in `buckets`) did, but never before `delay_min_s`; after `delay_max_s` at the latest, and after `unknown_s`
    while fewer than `samples_min` are known.
    """

    quantile: float = 0.95
    window_s: float = 60.0
    buckets: int = 6
    samples_min: int = 20
    delay_min_s: float = 0.02
    delay_max_s: float = 30.0
    unknown_s: float = 2.0
    hedges_max: int = 1

    def __post_init__(self) -> None:
        if not (
            0 < self.quantile < 1
            and self.window_s > 0
            and 1 <= self.buckets <= 1_000
            and self.samples_min >= 1
            and 0 < self.delay_min_s <= self.delay_max_s
            and self.unknown_s > 0
            and self.hedges_max >= 0
        ):
            raise ConfigurationError(
                f"hedge {self} is not possible: quantile between 0 and 1, window_s and unknown_s above 0, buckets 1 to "
                "1000, samples_min 1 or more, 0 < delay_min_s <= delay_max_s, hedges_max 0 or more"
            )


class Quantile:
    """A quantile of what was measured in the last `window_s` seconds: the upper end of its bin, a tenth wide."""

    __slots__ = ("_above", "_bucket", "_counts", "_counts_in", "_place", "_share", "_width", "count")

    def __init__(self, quantile: float, window_s: float, buckets: int) -> None:
        self._share = 1.0 - quantile
        self._width = window_s / buckets
        self._counts_in = [[0] * BINS for _ in range(buckets)]
        self._counts = [0] * BINS
        self._place = BINS - 1
        """The lowest bin above which there are no more than the share."""
        self._above = 0
        """How many are above it."""
        self._bucket = -1
        self.count = 0

    def add(self, now: float, value: float) -> None:
        """One measurement, in seconds."""
        self.look(now)
        place = min(BINS - 1, 1 + int(math.log(value / LEAST_S) / BASE)) if value > LEAST_S else 0
        self._counts_in[self._bucket % len(self._counts_in)][place] += 1
        self._counts[place] += 1
        self.count += 1
        if place > self._place:
            self._above += 1
        self._settle()

    def value(self) -> float:
        """The quantile in seconds; meaningless when there is nothing."""
        return LEAST_S * math.exp(self._place * BASE)

    def look(self, now: float) -> None:
        """Forget what left the window; a clock that went back forgets nothing."""
        bucket = int(now // self._width)
        if bucket <= self._bucket:
            return
        buckets = len(self._counts_in)
        for old in range(max(self._bucket + 1, bucket - buckets + 1), bucket + 1):
            gone = self._counts_in[old % buckets]
            if any(gone):
                self._counts = [count - less for count, less in zip(self._counts, gone, strict=True)]
                self._counts_in[old % buckets] = [0] * BINS
        self._bucket = bucket
        self.count = sum(self._counts)
        self._above = sum(self._counts[self._place + 1 :])
        self._settle()

    def _settle(self) -> None:
        """Move the place to where it belongs; mostly it is there already."""
        allowed = self._share * self.count
        while self._above > allowed:
            self._place += 1
            self._above -= self._counts[self._place]
        while self._place > 0 and self._above + self._counts[self._place] <= allowed:
            self._above += self._counts[self._place]
            self._place -= 1


class Hedge:
    """Says when to hedge the requests of one pool. `now` is monotonic, in seconds."""

    __slots__ = ("_first", "_policy", "hedged")

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._first = Quantile(policy.quantile, policy.window_s, policy.buckets)
        self.hedged = 0
        """How many were sent, ever."""

    def observed(self, now: float, waited_s: float) -> None:
        """An attempt got its first token after so long, or was given up after having waited so long without one."""
        self._first.add(now, waited_s)

    def delay_s(self, now: float) -> float:
        """After how many seconds without a first token a request may be hedged."""
        policy = self._policy
        self._first.look(now)
        if self._first.count < policy.samples_min:
            return policy.unknown_s
        return min(policy.delay_max_s, max(policy.delay_min_s, self._first.value()))

    def may(self, now: float, waited_s: float, hedges: int, overloaded: bool, budget: RetryBudget) -> bool:
        """Whether to send a hedge now for a request that has had `hedges` of them; takes it off the budget."""
        if hedges >= self._policy.hedges_max or overloaded or waited_s < self.delay_s(now) or not budget.withdraw(now):
            return False
        self.hedged += 1
        return True
