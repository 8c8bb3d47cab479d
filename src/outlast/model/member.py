"""One endpoint of a pool: what it is, and what the pool knows of it."""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from outlast.blueprint.secret import Secret
from outlast.model.report import Report, Told
from outlast.policy.balancer import BalancerPolicy, Load
from outlast.policy.breaker import Breaker, BreakerPolicy
from outlast.policy.concurrency import Concurrency, ConcurrencyPolicy
from outlast.policy.health import Health, HealthPolicy, LayerPolicy
from outlast.policy.outlier import Pace

quota_burst_s = 5.0
"""What a quota allows for so many seconds may be sent at once."""


class Waiting(Protocol):
    """An attempt that has got nothing yet, as far as its member is concerned."""

    began: float


class Target(msgspec.Struct, frozen=True):
    """What stands in the blueprint about one endpoint."""

    name: str
    url: str = ""
    """The base URL, up to and including ``/v1``; empty for an endpoint in this process."""
    model: str = ""
    """What the server calls the model."""
    secret: Secret | None = None
    """Where its API key is; whoever sends resolves it, and never shows it."""
    weight: float = 1.0
    """Its share of the requests, relative to the weights of its peers."""
    limit: int | None = None
    """Requests it may hold at once, at most; None: found out."""
    quota_per_s: float | None = None
    """Requests a second that it may be sent; None: it says itself when it has enough."""
    lacks: frozenset[str] = frozenset()
    """Features that it does not have: ``tools``, ``schema``, ``vision``."""
    context: int | None = None
    """Tokens of prompt and answer together, at most; None: not known."""


class MemberPolicy(msgspec.Struct, frozen=True):
    """The policies that each member has for itself."""

    breaker: BreakerPolicy = BreakerPolicy()
    balancer: BalancerPolicy = BalancerPolicy()
    concurrency: ConcurrencyPolicy = ConcurrencyPolicy()
    health: HealthPolicy = HealthPolicy(
        connection=LayerPolicy(rise=1, fall=2, every_s=5.0), application=LayerPolicy(rise=2, fall=2, every_s=5.0)
    )


class Member:
    """An endpoint in a pool. Only the pool changes it; senders read `name`, `url`, `model` and `secret`."""

    __slots__ = (
        "_quota_ahead_s", "_quota_at", "_quota_gap_s", "answered", "breaker", "concurrency", "drained", "ejected_until",
        "failed", "health", "input_tokens", "limit_max", "load", "model", "name", "outcomes", "output_tokens", "pace",
        "refusals", "report", "report_problem", "reports_failed", "reports_read", "resting_until", "rounds", "score",
        "secret", "sick", "suspect", "target", "told", "told_until", "url", "waiting", "warm_up_s",
    )  # fmt: skip

    def __init__(self, target: Target, pace: Pace, policy: MemberPolicy) -> None:
        self.target = target
        self.name = target.name
        self.url = target.url
        self.model = target.model
        self.secret = target.secret
        self.load = Load(policy.balancer, target.weight)
        """Weight, requests in flight, latency, as the balancer sees them."""
        self.pace = pace
        """How fast it is, compared with its peers; whether it is silent."""
        self.limit_max = target.limit or policy.concurrency.limit_max
        self.breaker = Breaker(policy.breaker)
        self.concurrency = Concurrency(policy.concurrency)
        self.health = Health(policy.health)
        """What active checks found."""
        self.sick = False
        """Whether these found it broken in some layer."""
        self.score: float | None = None
        """What its last round of golden prompts scored, 0 to 1."""
        self.rounds = 0
        """Rounds of golden prompts that it answered."""
        self.told = Told()
        """What it last said that it is."""
        self.report: Report | None = None
        """What it last said of its load; None: nothing, or not any more."""
        self.report_problem = ""
        """Why it said nothing, though it was asked."""
        self.reports_read = 0
        self.reports_failed = 0
        self.told_until = -math.inf
        """It is not looked for again until then, in monotonic seconds."""
        self.suspect = False
        """Whether it shall be checked at once."""
        self.warm_up_s = policy.balancer.warm_up_s
        self.waiting: dict[Waiting, None] = {}
        """Its attempts that have got nothing yet, the first one first."""
        self.drained = False
        self.ejected_until = -math.inf
        """Until when it is out by command, in monotonic seconds."""
        self._quota_gap_s = 1.0 / target.quota_per_s if target.quota_per_s else 0.0
        self._quota_ahead_s = max(quota_burst_s, self._quota_gap_s)
        self._quota_at = -math.inf
        self.resting_until = -math.inf
        """It asked not to be asked until then (Retry-After)."""
        self.refusals = 0
        """How often in a row it said that it is overloaded."""
        self.answered = 0
        self.failed = 0
        self.outcomes: dict[str, int] = {}
        """Attempts that have ended, each counted once, by how: see `Router.ended`."""
        self.input_tokens = 0
        self.output_tokens = 0

    def __repr__(self) -> str:
        return f"Member({self.name!r}, in_flight={self.load.in_flight})"

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self.load.in_flight

    @property
    def limit(self) -> int:
        """Requests that it may hold at once, now."""
        return min(self.limit_max, self.concurrency.limit)

    def is_out(self, now: float) -> bool:
        """Whether it is out of rotation: drained, ejected, found sick, or its breaker is open."""
        return (
            self.pace.until is not None
            or self.sick
            or self.drained
            or now < self.ejected_until
            or (self.breaker.state != "closed" and not self.breaker.may(now))
        )

    def spent(self, now: float) -> None:
        """A request was sent to it. When its quota is used up, it rests until there is some again.

        Source: the generic cell rate algorithm (ITU-T I.371), with `quota_burst_s` of quota as its tolerance.
        """
        if self._quota_gap_s:
            self._quota_at = max(self._quota_at, now) + self._quota_gap_s
            free_at = self._quota_at - self._quota_ahead_s + self._quota_gap_s
            if free_at > now:
                self.resting_until = max(self.resting_until, free_at)

    def misfit(self, needs: frozenset[str], tokens: int) -> str:
        """Why it cannot serve a request with these needs; empty: it can."""
        missing = needs & self.target.lacks
        if missing:
            return f"it has no {' or '.join(sorted(missing))}"
        if self.target.context is not None and tokens > self.target.context:
            return f"its context is {self.target.context} tokens, the request has about {tokens}"
        return ""
