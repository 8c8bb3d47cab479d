"""Whether calls to one endpoint are worth sending: closed, open, half-open.

Source: Michael Nygard, "Release It!" (2nd ed., 2018), chapter "Circuit Breaker"; the windowed error and slow-call rates
are resilience4j's. What differs, and why:

- a verdict belongs to the generation its call began in (Sony's gobreaker): a call that began before the breaker opened
  says nothing about the endpoint as it is now, so it neither closes nor opens anything and frees no place of a probe;
- the open time doubles with each opening in a row and is drawn from its upper half, so that the gateways of a fleet do
  not probe together; it starts short, because a probe costs one failover that nobody sees;
- a probe that succeeds slowly has not succeeded: else a slow endpoint would be let in again every few seconds.

::

                     tripped                          cooled (`until` passed, and a call asks)
      ┌────────┐ ───────────────▶ ┌──────┐ ──────────────────────────▶ ┌───────────┐
      │ closed │                  │ open │   recovered (health check)   │ half_open │
      └────────┘                  └──────┘ ◀────────────────────────── └───────────┘
          ▲                                   reopened (a probe failed)      │
          └──────────────────────────────────────────────────────────────────┘
                                 passed (`probes` succeeded)
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError, invariant

State = Literal["closed", "open", "half_open"]
Event = Literal["tripped", "cooled", "recovered", "reopened", "passed"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("closed", "tripped"): "open",
    ("open", "cooled"): "half_open",
    ("open", "recovered"): "half_open",
    ("half_open", "reopened"): "open",
    ("half_open", "passed"): "closed",
}
"""Every legal transition; any other breaks an invariant."""


class BreakerPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds, rates as shares of 1.

    Over the last `window_s` (kept in `buckets`), with at least `calls_min` verdicts, a share of `error_rate` failures
    or of `slow_rate` slow answers opens the breaker; so do `failures_in_a_row` without a success between them, at any
    traffic. The first opening lasts up to `open_s`, each further one twice as long up to `open_max_s`; having stayed
    closed for `reset_after_s` makes the next opening a first one. `probes` calls are let through half-open, and all of
    them must succeed.
    """

    window_s: float = 30.0
    buckets: int = 10
    calls_min: int = 10
    error_rate: float = 0.2
    slow_rate: float = 0.5
    failures_in_a_row: int = 5
    open_s: float = 1.0
    open_max_s: float = 30.0
    reset_after_s: float = 60.0
    probes: int = 1

    def __post_init__(self) -> None:
        if not (
            self.window_s > 0
            and 1 <= self.buckets <= 1_000
            and self.calls_min >= 1
            and 0 < self.error_rate <= 1
            and 0 < self.slow_rate <= 1
            and self.failures_in_a_row >= 1
            and 0 < self.open_s <= self.open_max_s
            and self.reset_after_s >= 0
            and self.probes >= 1
        ):
            raise ConfigurationError(
                f"breaker {self} is not possible: window_s above 0, buckets 1 to 1000, calls_min, failures_in_a_row "
                "and probes 1 or more, rates above 0 and at most 1, 0 < open_s <= open_max_s, reset_after_s 0 or more"
            )


class Breaker:
    """The breaker of one endpoint. `now` is monotonic, in seconds; `chance` is uniform in [0, 1).

    Each call that `begin` lets through ends in exactly one of `ok`, `failed` or `dropped`, with the ticket it got.
    """

    __slots__ = (
        "_bucket", "_closed_at", "_failed", "_failed_in", "_generation", "_passed", "_policy", "_row", "_slow",
        "_slow_in", "_streak", "_total", "_total_in", "_under_way", "_width", "opened", "state", "until", "why",
    )  # fmt: skip

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._width = policy.window_s / policy.buckets
        self.state: State = "closed"
        self.until: float | None = None
        """Until when it is open; None: it is not."""
        self.why = ""
        """What opened it last, in words."""
        self.opened = 0
        """How often it has opened."""
        self._generation = 1
        self._under_way = 0
        self._passed = 0
        self._streak = 0
        self._closed_at = -math.inf
        self._clear(0)

    def may(self, now: float) -> bool:
        """Whether `begin` would let a call through; changes nothing."""
        if self.state == "closed":
            return True
        if self.state == "open":
            return self.until is not None and now >= self.until
        return self._under_way + self._passed < self._policy.probes

    def begin(self, now: float) -> int:
        """A ticket for one call, or 0: not now. Half-open it takes the place of a probe."""
        if self.state != "closed":
            if not self.may(now):
                return 0
            if self.state == "open":
                self._move("cooled")
        self._under_way += 1
        return self._generation

    def ok(self, now: float, ticket: int, slow: bool = False, chance: float = 0.5) -> None:
        """The call succeeded; `slow`: later than an answer is worth."""
        if not self._of_now(ticket):
            return
        if self.state == "half_open":
            if slow:
                self._open(now, chance, "a probe was slow")
                return
            self._passed += 1
            if self._passed >= self._policy.probes:
                self._move("passed")
                self._closed_at = now
                self._clear(int(now // self._width))
            return
        self._row = 0
        self._count(now, False, slow)
        if slow:
            self._judge(now, chance)

    def failed(self, now: float, ticket: int, chance: float) -> None:
        """The call failed by the endpoint's fault. What the caller did wrong (a 400) is `ok`."""
        if not self._of_now(ticket):
            return
        if self.state == "half_open":
            self._open(now, chance, "a probe failed")
            return
        self._row += 1
        self._count(now, True, False)
        self._judge(now, chance)

    def dropped(self, now: float, ticket: int) -> None:
        """The call said nothing about the endpoint (the client left, a hedge won): its place is free again."""
        self._of_now(ticket)

    def recovered(self, now: float) -> None:
        """A health check found the endpoint well: an open breaker lets its probe through at once."""
        if self.state == "open":
            self._move("recovered")

    def _of_now(self, ticket: int) -> bool:
        """Whether the verdict is about the present generation; takes the call off the ones under way."""
        if ticket != self._generation:
            invariant(0 < ticket < self._generation, f"breaker: ticket {ticket} was never given")
            return False
        invariant(self._under_way > 0, f"breaker: ticket {ticket} was given back more often than taken")
        self._under_way -= 1
        return True

    def _judge(self, now: float, chance: float) -> None:
        policy = self._policy
        if self._row >= policy.failures_in_a_row:
            self._open(now, chance, f"{self._row} failures in a row")
        elif self._total >= policy.calls_min:
            if self._failed >= policy.error_rate * self._total:
                self._open(now, chance, f"{self._failed} of {self._total} calls failed")
            elif self._slow >= policy.slow_rate * self._total:
                self._open(now, chance, f"{self._slow} of {self._total} calls were slow")

    def _open(self, now: float, chance: float, why: str) -> None:
        policy = self._policy
        if self.state == "closed" and now - self._closed_at >= policy.reset_after_s:
            self._streak = 0
        bound = min(policy.open_max_s, policy.open_s * 2.0 ** min(self._streak, 60))
        self._streak += 1
        self._move("tripped" if self.state == "closed" else "reopened")
        self.until = now + bound * (0.5 + 0.5 * chance)
        self.why = why
        self.opened += 1

    def _move(self, event: Event) -> None:
        state = TRANSITIONS.get((self.state, event))
        invariant(state is not None, f"breaker: {event} while {self.state}")
        assert state is not None
        self.state = state
        self.until = None
        self._generation += 1
        self._under_way = 0
        self._passed = 0

    def _clear(self, bucket: int) -> None:
        buckets = self._policy.buckets
        self._bucket = bucket
        self._total_in, self._failed_in, self._slow_in = [0] * buckets, [0] * buckets, [0] * buckets
        self._total = self._failed = self._slow = self._row = 0

    def _count(self, now: float, failed: bool, slow: bool) -> None:
        bucket = int(now // self._width)
        if bucket > self._bucket:
            self._forget(bucket)
        place = self._bucket % self._policy.buckets
        self._total_in[place] += 1
        self._total += 1
        if failed:
            self._failed_in[place] += 1
            self._failed += 1
        if slow:
            self._slow_in[place] += 1
            self._slow += 1

    def _forget(self, bucket: int) -> None:
        """Empty the buckets that left the window; a clock that went back changes nothing."""
        buckets = self._policy.buckets
        for old in range(max(self._bucket + 1, bucket - buckets + 1), bucket + 1):
            place = old % buckets
            self._total -= self._total_in[place]
            self._failed -= self._failed_in[place]
            self._slow -= self._slow_in[place]
            self._total_in[place] = self._failed_in[place] = self._slow_in[place] = 0
        self._bucket = bucket
