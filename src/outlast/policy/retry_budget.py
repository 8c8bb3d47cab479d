"""One token bucket for the retries and hedges of a pool, so that they cannot multiply what already overloads it.

Source: "Addressing Cascading Failures" in Google's Site Reliability Engineering, 2016; Finagle's RetryBudget.
"""

from __future__ import annotations

import msgspec


class RetryBudgetPolicy(msgspec.Struct, frozen=True):
    """Each first attempt earns `ratio` of a retry, each second `per_s`; up to `burst` are saved."""

    ratio: float = 0.1
    per_s: float = 1.0
    burst: float = 10.0


class RetryBudget:
    """Told of every first attempt; gives or refuses each further one."""

    def __init__(self, policy: RetryBudgetPolicy) -> None:
        self._policy = policy
        self._tokens = policy.burst
        self._at: float | None = None
        self.first = 0
        self.extra = 0

    def deposit(self, now: float) -> None:
        self.first += 1
        self._refill(now)
        self._tokens = min(self._policy.burst, self._tokens + self._policy.ratio)

    def withdraw(self, now: float) -> bool:
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        self.extra += 1
        return True

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self._policy.burst, self._tokens + (now - self._at) * self._policy.per_s)
        self._at = now
