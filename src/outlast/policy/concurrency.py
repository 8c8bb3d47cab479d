"""How many requests one endpoint may hold at once, found out from how it behaves.

Source: additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
Congestion Avoidance in Computer Networks", 1989), begun with TCP's slow start; latency against its own best as the
sign of a queue (Netflix concurrency-limits, Envoy's adaptive concurrency); the best is measured anew by holding back
for a moment, as in BBR's ProbeRTT (Cardwell et al., ACM Queue 2016), because a best that is only remembered creeps up
with the queue. An endpoint that was overloaded by others before it was first asked is believed to be that slow, until
it says 429.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError

Phase = Literal["start", "steady", "probe"]
Event = Literal["congested", "stale", "measured"]

TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    ("start", "congested"): "steady",
    ("start", "stale"): "probe",
    ("steady", "congested"): "steady",
    ("steady", "stale"): "probe",
    ("probe", "congested"): "steady",
    ("probe", "measured"): "steady",
}
"""What is not listed changes nothing: one measures without a probe too, and nobody probes twice at once."""


class ConcurrencyPolicy(msgspec.Struct, frozen=True):
    """The bounds: limits in requests, times in seconds.

    Each `limit` of good answers raises the limit by one (doubles it before the first congestion), a congestion
    multiplies it by `decrease`. Latency is a congestion above `slow_factor` times the best and above `slow_floor_s`.
    The best is the least mean of a slice (at least `slice_s` and `slice_samples_min` answers), for `best_for_s`; then
    it is measured anew with `probe_share` of the limit under way, for `probe_max_s` at most.
    """

    limit_first: int = 20
    limit_min: int = 1
    limit_max: int = 1_000
    decrease: float = 0.75
    slow_factor: float = 2.0
    slow_floor_s: float = 0.1
    settle_s: float = 0.5
    slice_s: float = 1.0
    slice_samples_min: int = 10
    best_for_s: float = 60.0
    probe_share: float = 0.5
    probe_max_s: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.limit_min <= self.limit_first <= self.limit_max:
            raise ConfigurationError(
                f"concurrency limits {self.limit_min}, {self.limit_first}, {self.limit_max} are not possible: "
                "1 <= limit_min <= limit_first <= limit_max"
            )
        if not (0 < self.decrease < 1 and 0 < self.probe_share <= 1 and self.slow_factor > 1):
            raise ConfigurationError(
                f"concurrency decrease {self.decrease}, probe_share {self.probe_share}, slow_factor "
                f"{self.slow_factor} are not possible: decrease and probe_share within 0 to 1, slow_factor above 1"
            )


class Concurrency:
    """The limit of one endpoint, told of every answer. Each call is O(1)."""

    __slots__ = (
        "_best_at", "_best_s", "_calm_until", "_count", "_limit", "_policy", "_probe_at", "_recent_s", "_slice_at",
        "_sum", "phase",
    )  # fmt: skip

    def __init__(self, policy: ConcurrencyPolicy | None = None) -> None:
        self._policy = policy or ConcurrencyPolicy()
        self.phase: Phase = "start"
        self._limit = float(self._policy.limit_first)
        self._recent_s = 0.0
        self._best_s: float | None = None
        self._best_at = self._calm_until = self._probe_at = 0.0
        self._slice_at: float | None = None
        self._sum = 0.0
        self._count = 0

    @property
    def limit(self) -> int:
        """How many requests may be under way at once, now; at least `limit_min`."""
        share = self._policy.probe_share if self.phase == "probe" else 1.0
        return max(self._policy.limit_min, int(self._limit * share))

    @property
    def best_s(self) -> float | None:
        """The latency without a queue, as far as it is known; in seconds."""
        return self._best_s

    def ok(self, now: float, latency_s: float, in_flight: int) -> None:
        """A good answer after `latency_s`: always of the same kind, best the time to the first token.

        `in_flight` counts those under way, this one included. A limit that is not half used is neither raised nor
        blamed for slowness.
        """
        policy = self._policy
        used = 2 * in_flight >= self._limit
        recent = self._recent_s
        # One answer may be as long as its prompt: it counts for at most three of the others.
        self._recent_s = recent + 0.2 * (min(latency_s, 3 * recent) - recent) if recent > 0 else latency_s
        self._measure(now, latency_s, used)
        if self.phase == "probe":
            if now - self._probe_at > policy.probe_max_s:
                self._best_s = None
                self._move("measured")
            return
        if not used:
            return
        if self._slow():
            self._congested(now, max(policy.settle_s, self._recent_s))
        else:
            step = 1.0 if self.phase == "start" else 1.0 / self._limit
            self._limit = min(float(policy.limit_max), self._limit + step)

    def overloaded(self, now: float, in_flight: int | None = None) -> None:
        """It said that it is overloaded (429, 503, 529), or timed out. `in_flight` as in `ok`, where it is known."""
        if in_flight is not None and now >= self._calm_until:
            self._limit = min(self._limit, float(max(2 * in_flight, self._policy.limit_min)))
        self._congested(now, self._policy.settle_s)

    def _slow(self) -> bool:
        best = self._best_s
        if best is None:
            return False
        return self._recent_s > max(self._policy.slow_floor_s, self._policy.slow_factor * best)

    def _congested(self, now: float, settle_s: float) -> None:
        if now < self._calm_until:  # what was under way before the last decrease tells nothing new
            return
        self._calm_until = now + settle_s
        self._limit = max(float(self._policy.limit_min), self._limit * self._policy.decrease)
        self._move("congested")

    def _measure(self, now: float, latency_s: float, used: bool) -> None:
        policy = self._policy
        if self.phase == "probe" and now - latency_s < self._probe_at:
            return  # it began before the probe, in the queue
        if self._slice_at is None:
            self._slice_at = now
        self._sum += latency_s
        self._count += 1
        if self._count < policy.slice_samples_min or now - self._slice_at < policy.slice_s:
            return
        mean = self._sum / self._count
        self._slice_at, self._sum, self._count = None, 0.0, 0
        stale = self._best_s is not None and now - self._best_at > policy.best_for_s
        if self._best_s is None or mean <= self._best_s or self.phase == "probe" or (stale and not used):
            self._best_s, self._best_at = mean, now
            self._move("measured")
        elif stale:
            self._probe_at = now
            self._move("stale")

    def _move(self, event: Event) -> None:
        self.phase = TRANSITIONS.get((self.phase, event), self.phase)
