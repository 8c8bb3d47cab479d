"""What one key may ask for: requests and tokens a minute, dollars a month and in all.

Source: token buckets (Turner, "New Directions in Communications", IEEE Communications 1986; the meters of RFC 2697).
What a request will take is not known before it is answered, so an estimate is reserved and settled with what it took;
what was estimated too low is a debt that is waited off. Dollars do not come back by waiting.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError, invariant

Bound = Literal["requests_per_minute", "tokens_per_minute", "usd_per_month", "usd_total"]


class Limit(msgspec.Struct, frozen=True):
    """The bounds; None: none. What `burst_s` seconds are worth may come at once (at least one request)."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    usd_per_month: float | None = None
    usd_total: float | None = None
    burst_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "burst_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigurationError(f"limit {name} is {value}: write more than zero, or nothing for no limit")
        for name in ("usd_per_month", "usd_total"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigurationError(f"limit {name} is {value}: write zero or more, or nothing for no limit")


class Spent(msgspec.Struct, frozen=True):
    """US dollars spent and reserved: in `month` (``"2026-11"``) and in all. It may be written down and given back."""

    month: str = ""
    usd_month: float = 0.0
    usd_total: float = 0.0


class Left(msgspec.Struct, frozen=True):
    """What a key may still take at once; None: no limit. Tokens are below zero while there is a debt."""

    requests: int | None
    tokens: int | None
    usd: float | None


class Refused(msgspec.Struct, frozen=True):
    """Which bound does not allow it; after `retry_after_s` seconds it would, None: not by waiting."""

    bound: Bound
    retry_after_s: float | None


class Used(msgspec.Struct, frozen=True):
    """Requests and tokens that were taken in all, since the limiter was made."""

    requests: int = 0
    tokens: int = 0


class Taken:
    """What was reserved, until it is settled: once."""

    __slots__ = ("month", "settled", "tokens", "usd")

    def __init__(self, tokens: int, usd: float, month: str) -> None:
        self.tokens = tokens
        self.usd = usd
        self.month = month
        self.settled = False


class _Bucket:
    """Fills with `per_s` up to `size`."""

    __slots__ = ("level", "per_s", "seen_at", "size")

    def __init__(self, per_minute: float, burst_s: float) -> None:
        self.per_s = per_minute / 60.0
        self.size = max(1.0, self.per_s * burst_s)
        self.level = self.size
        self.seen_at: float | None = None

    def fill(self, now: float) -> None:
        if self.seen_at is not None and now > self.seen_at:
            self.level = min(self.size, self.level + (now - self.seen_at) * self.per_s)
        if self.seen_at is None or now > self.seen_at:
            self.seen_at = now

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` is there. More than a whole bucket goes when it is full, and leaves a debt."""
        self.fill(now)
        missing = min(amount, self.size) - self.level
        return missing / self.per_s if missing > 1e-9 * self.size else 0.0

    def whole(self) -> int:
        return math.floor(self.level + 1e-9 * self.size)


class Limiter:
    """The bounds of one key, and what it has taken of them. Each call is O(1)."""

    __slots__ = (
        "_limit",
        "_month",
        "_requests",
        "_tokens",
        "_usd_month",
        "_usd_total",
        "_used_requests",
        "_used_tokens",
    )

    def __init__(self, limit: Limit, spent: Spent | None = None) -> None:
        spent = spent or Spent()
        self._limit = limit
        self._requests = _bucket(limit.requests_per_minute, limit.burst_s)
        self._tokens = _bucket(limit.tokens_per_minute, limit.burst_s)
        self._month, self._usd_month, self._usd_total = spent.month, spent.usd_month, spent.usd_total
        self._used_requests = self._used_tokens = 0

    @property
    def spent(self) -> Spent:
        """Dollars so far, with what is reserved."""
        return Spent(self._month, self._usd_month, self._usd_total)

    def take(self, now: float, tokens: int = 0, usd: float = 0.0, month: str = "") -> Taken | Refused:
        """Reserve one request with an estimate of its `tokens` and `usd`, all or nothing.

        `month` (``"2026-11"``) is read off the wall clock by the caller; an older one than the last changes nothing.
        """
        if month > self._month:
            self._month, self._usd_month = month, 0.0
        limit = self._limit
        if limit.usd_total is not None and not _affords(limit.usd_total, self._usd_total, usd):
            return Refused("usd_total", None)
        if limit.usd_per_month is not None and not _affords(limit.usd_per_month, self._usd_month, usd):
            return Refused("usd_per_month", None)
        requests_wait = self._requests.wait_s(now, 1.0) if self._requests is not None else 0.0
        tokens_wait = self._tokens.wait_s(now, tokens) if self._tokens is not None else 0.0
        if requests_wait > 0 or tokens_wait > 0:
            if requests_wait >= tokens_wait:
                return Refused("requests_per_minute", requests_wait)
            return Refused("tokens_per_minute", tokens_wait)
        if self._requests is not None:
            self._requests.level -= 1.0
        if self._tokens is not None:
            self._tokens.level -= tokens
        self._usd_total += usd
        self._usd_month += usd
        self._used_requests += 1
        self._used_tokens += tokens
        return Taken(tokens, usd, self._month)

    def settle(self, now: float, taken: Taken, tokens: int, usd: float = 0.0) -> None:
        """What the request really took: nothing, if it did not reach a model. The request itself stays counted."""
        invariant(not taken.settled, "what was taken from a limiter was settled twice")
        taken.settled = True
        self._used_tokens += tokens - taken.tokens
        if self._tokens is not None:
            self._tokens.fill(now)
            self._tokens.level = min(self._tokens.size, self._tokens.level + taken.tokens - tokens)
        self._usd_total = max(0.0, self._usd_total + usd - taken.usd)
        if taken.month == self._month:
            self._usd_month = max(0.0, self._usd_month + usd - taken.usd)

    @property
    def used(self) -> Used:
        """What went through here, for other replicas to know."""
        return Used(self._used_requests, self._used_tokens)

    def elsewhere(self, now: float, used: Used) -> None:
        """Other replicas took this of the same bounds: a hint. It leaves a debt of one bucket at most."""
        for bucket, amount in ((self._requests, used.requests), (self._tokens, used.tokens)):
            if bucket is not None and amount > 0:
                bucket.fill(now)
                bucket.level = max(-bucket.size, bucket.level - amount)

    def left(self, now: float) -> Left:
        """What may be taken at once, for a client that wants to know."""
        requests = tokens = None
        if self._requests is not None:
            self._requests.fill(now)
            requests = max(0, self._requests.whole())
        if self._tokens is not None:
            self._tokens.fill(now)
            tokens = self._tokens.whole()
        limit = self._limit
        money = [
            bound - spent
            for bound, spent in ((limit.usd_per_month, self._usd_month), (limit.usd_total, self._usd_total))
            if bound is not None
        ]
        return Left(requests, tokens, max(0.0, min(money)) if money else None)


def _bucket(per_minute: float | None, burst_s: float) -> _Bucket | None:
    return None if per_minute is None else _Bucket(per_minute, burst_s)


def _affords(bound: float, spent: float, usd: float) -> bool:
    """Whether one more is within the bound; where no estimate is given, whether anything at all is left."""
    return spent + usd <= bound and spent < bound
