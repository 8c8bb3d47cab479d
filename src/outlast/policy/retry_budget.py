"""How much of the work may be work done again: retries and hedges together, as a share of the first attempts.

Source: "Handling Overload" in Google's "Site Reliability Engineering" (2016): retry only while retries are few beside
requests, or an outage becomes a storm; Finagle's RetryBudget for the form: what was deposited expires after a while,
and a little is allowed at any traffic. So in any `window_s` there are at most ``burst + per_s x window_s + ratio x
first attempts`` others, which bounds the amplification however many layers retry, if they all draw on one budget.

::

    extra attempts in a window
        │                        ╱  ratio
        │                    ╱
        │                ╱
        ├─ burst + per_s x window_s
        └──────────────────────────▶ first attempts in the window
"""

from __future__ import annotations

import msgspec

from outlast.kernel.error import ConfigurationError


class RetryBudgetPolicy(msgspec.Struct, frozen=True):
    """The bounds, over any `window_s` seconds (kept in `buckets`): see the module.

    `ratio`: extra attempts for each first one, as a share of 1; `per_s` extra ones a second, and `burst` more, whatever
    the traffic.
    """

    ratio: float = 0.1
    per_s: float = 1.0
    burst: int = 10
    window_s: float = 10.0
    buckets: int = 10

    def __post_init__(self) -> None:
        if not (
            0 <= self.ratio <= 10
            and self.per_s >= 0
            and self.burst >= 0
            and self.window_s > 0
            and 1 <= self.buckets <= 1_000
        ):
            raise ConfigurationError(
                f"retry budget {self} is not possible: ratio 0 to 10, per_s and burst 0 or more, window_s above 0, "
                "buckets 1 to 1000"
            )


class RetryBudget:
    """The budget that all attempts of one pool draw on. `now` is monotonic, in seconds."""

    __slots__ = (
        "_bucket", "_extra_in", "_first_in", "_policy", "_recent", "_reserve", "_width", "extra", "first", "refused",
    )  # fmt: skip

    def __init__(self, policy: RetryBudgetPolicy) -> None:
        self._policy = policy
        self._width = policy.window_s / policy.buckets
        self._reserve = policy.burst + policy.per_s * policy.window_s
        self._first_in = [0] * policy.buckets
        self._extra_in = [0] * policy.buckets
        self._recent = [0, 0]
        """First and extra attempts in the window."""
        self._bucket = -1
        self.first = 0
        """First attempts, ever."""
        self.extra = 0
        """Retries and hedges, ever."""
        self.refused = 0
        """Retries and hedges that were not allowed, ever."""

    @property
    def amplification(self) -> float:
        """Attempts for each request, so far; 1 when there was none."""
        return (self.first + self.extra) / self.first if self.first else 1.0

    def left(self, now: float) -> float:
        """How many more may be made now, unless more requests come."""
        self._look(now)
        return max(0.0, self._reserve + self._policy.ratio * self._recent[0] - self._recent[1])

    def deposit(self, now: float) -> None:
        """A request's first attempt."""
        self._look(now)
        self._first_in[self._bucket % self._policy.buckets] += 1
        self._recent[0] += 1
        self.first += 1

    def withdraw(self, now: float) -> bool:
        """Whether one more attempt may be made for a request that has had its first; takes it off the budget."""
        if self.left(now) < 1.0:
            self.refused += 1
            return False
        self._extra_in[self._bucket % self._policy.buckets] += 1
        self._recent[1] += 1
        self.extra += 1
        return True

    def _look(self, now: float) -> None:
        """Forget what left the window; a clock that went back forgets nothing."""
        bucket = int(now // self._width)
        if bucket <= self._bucket:
            return
        buckets = self._policy.buckets
        for old in range(max(self._bucket + 1, bucket - buckets + 1), bucket + 1):
            place = old % buckets
            self._recent[0] -= self._first_in[place]
            self._recent[1] -= self._extra_in[place]
            self._first_in[place] = self._extra_in[place] = 0
        self._bucket = bucket
