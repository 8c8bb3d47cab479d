"""Which member of a pool is asked, and what is learnt from how it went. Pure: `now` and chance are handed in.

A member takes part if it is not drained, ejected, sick or resting, its breaker lets it, it holds fewer requests than
its limit and it can do what the request needs. Of those the balancer takes one. When none takes part although some are
only believed to be bad, `pick_any` asks one all the same (fail-open, as Envoy's panic mode): the belief may be wrong,
and refusing everybody surely is.

Members that are slow or silent compared with their peers are found by `policy/outlier.py`; `judge` says whose state has
changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from outlast.kernel.error import invariant
from outlast.model.ask import Ask
from outlast.model.attempt import Attempt
from outlast.model.member import Member, MemberPolicy, Target
from outlast.policy.affinity import Affinity, AffinityPolicy
from outlast.policy.balancer import Balancer
from outlast.policy.breaker import Breaker
from outlast.policy.hedge import Hedge, HedgePolicy
from outlast.policy.outlier import Outlier, OutlierPolicy

Verdict = Literal["ok", "failed", "overloaded", "refused", "dropped", "lost"]
"""How an attempt ended: `refused` by the request's own fault; `dropped` says nothing about the member; `lost` to one
that was sent later."""


class RouterPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds.

    A member rests for what it asks for, up to `rest_max_s`, and for `rest_s`, doubled each time, if it said
    `refusals_max` times in a row that it is overloaded.
    """

    member: MemberPolicy = MemberPolicy()
    affinity: AffinityPolicy = AffinityPolicy()
    outlier: OutlierPolicy = OutlierPolicy()
    hedge: HedgePolicy = HedgePolicy()
    rest_s: float = 0.1
    rest_max_s: float = 30.0
    refusals_max: int = 3


class Router:
    """The state of all members of one pool."""

    __slots__ = ("_affinity", "_balancer", "_outlier", "hedge", "members", "policy")

    def __init__(self, targets: Sequence[Target], policy: RouterPolicy) -> None:
        self.policy = policy
        self._outlier = Outlier(policy.outlier)
        self.members = tuple(Member(target, self._outlier.join(target.name), policy.member) for target in targets)
        self._affinity = Affinity(policy.affinity)
        self._balancer = Balancer(policy.member.balancer)
        self.hedge = (Hedge(policy.hedge), Hedge(policy.hedge))
        """For whole answers, and for streams."""

    # Choosing

    def pick(
        self, now: float, ask: Ask, tried: Collection[Member], chance1: float, chance2: float
    ) -> Member | None:
        """The member to ask; None: none takes part, or all that do are full."""
        free = [
            member
            for member in self.members
            if member.load.in_flight < member.limit
            and not member.is_out(now)
            and now >= member.resting_until
            and member not in tried
        ]
        if ask.needs or ask.tokens:
            free = [member for member in free if not member.misfit(ask.needs, ask.tokens)]
        if not free:
            return None
        if ask.affinity:
            return free[self._sticky(ask.affinity, free)]
        return free[self._balancer.pick(now, [member.load for member in free], chance1, chance2)]

    def _sticky(self, key: str, free: Sequence[Member]) -> int:
        loads = [member.load for member in free]
        names, in_flight = [member.name for member in free], [load.in_flight for load in loads]
        return self._affinity.prefer(key, names, in_flight, [load.weight * load.capacity for load in loads])

    def pick_any(self, now: float, ask: Ask, tried: Collection[Member]) -> Member | None:
        """The member to ask when none is believed to be well: the one with least to do; None: all rest or are full."""
        free = [
            member
            for member in self.members
            if not member.drained
            and now >= member.resting_until
            and member.load.in_flight < member.limit
            and member not in tried
            and not member.misfit(ask.needs, ask.tokens)
        ]
        return min(free, key=_fullness) if free else None

    def is_full(self, now: float, ask: Ask) -> bool:
        """Whether a member takes part that is only full: waiting for a place makes sense."""
        return any(
            not member.is_out(now)
            and now >= member.resting_until
            and not member.misfit(ask.needs, ask.tokens)
            for member in self.members
        )

    # What happens to attempts

    def reserve(self, member: Member) -> None:
        """Take a place at a member for a request that is about to begin."""
        member.load.in_flight += 1

    def release(self, member: Member) -> None:
        """Give a place back."""
        invariant(member.load.in_flight > 0, f"{member.name}: more requests ended than began")
        member.load.in_flight -= 1

    def began(self, attempt: Attempt, now: float) -> None:
        """It is sent, where a place was reserved."""
        member = attempt.member
        attempt.ticket = member.breaker.begin(now)
        member.spent(now)
        attempt.wake_at = now + self.hedge[attempt.stream].delay_s(now)
        member.waiting[attempt] = None
        member.pace.began(attempt, now)

    def first(self, attempt: Attempt, now: float) -> None:
        """The first content came."""
        member = attempt.member
        waited = now - attempt.began
        attempt.first_s = waited
        attempt.last_token = now
        member.waiting.pop(attempt, None)
        member.pace.token(attempt, now)
        member.load.observed(now, waited)
        member.concurrency.ok(now, waited, member.load.in_flight)
        self.hedge[attempt.stream].observed(now, waited)

    def ended(
        self, attempt: Attempt, now: float, verdict: Verdict, chance: float, retry_after_s: float | None = None
    ) -> None:
        """The attempt is over.

        It is counted once in `Member.outcomes`: ``answered``, ``failed``, ``overloaded``, ``refused``, ``lost`` (to
        another attempt), ``dropped`` (the caller left), ``moved`` (its member was found silent), ``deadline``,
        ``stalled`` (its stream fell silent).
        """
        member, ticket = attempt.member, attempt.ticket
        self.release(member)
        member.waiting.pop(attempt, None)
        if verdict == "lost":
            member.pace.given_up(attempt, now)
        else:
            member.pace.ended(attempt)
        outcome = "answered" if verdict == "ok" else attempt.stopped if attempt.stopped in _SILENT else verdict
        member.outcomes[outcome] = member.outcomes.get(outcome, 0) + 1
        if attempt.first_s is None and attempt.stopped:  # it would have taken longer than it did
            self.hedge[attempt.stream].observed(now, now - attempt.began)
        if verdict == "ok":
            member.answered += 1
            member.refusals = 0
            if not ticket:  # asked although it was out, and it answered
                self.well(member, now)
        elif verdict == "failed":
            member.failed += 1
        if verdict in _SAID and not attempt.stopped:
            member.pace.alive(now)
        if ticket:
            _tell(member.breaker, verdict, now, ticket, chance)
        if verdict == "overloaded":
            self._overloaded(member, now, retry_after_s)

    def well(self, member: Member, now: float) -> None:
        """There is proof that a member that was out answers again: it is let in, carefully."""
        member.breaker.recovered(now)
        if self._outlier.recovered(member.name, now):
            member.load.cold(now)

    def judge(self, now: float) -> list[Member]:
        """Members that were ejected just now because they are silent: what waits there is better asked elsewhere."""
        changed = self._outlier.judge(now)
        if not changed:
            return []
        silent: list[Member] = []
        for member in self.members:
            if member.pace in changed:
                if member.pace.state == "in":
                    member.load.cold(now)
                elif member.pace.silent:
                    silent.append(member)
        return silent

    def _overloaded(self, member: Member, now: float, retry_after_s: float | None) -> None:
        policy = self.policy
        member.concurrency.overloaded(now, member.load.in_flight + 1)
        member.refusals += 1
        rest_s = retry_after_s or 0.0
        if member.refusals >= policy.refusals_max:
            rest_s = max(rest_s, policy.rest_s * 2.0 ** min(member.refusals - policy.refusals_max, 30))
        member.resting_until = max(member.resting_until, now + min(rest_s, policy.rest_max_s))


_SILENT = frozenset({"moved", "deadline", "stalled"})
_SAID = frozenset({"failed", "refused", "overloaded"})


def _tell(breaker: Breaker, verdict: Verdict, now: float, ticket: int, chance: float) -> None:
    if verdict == "failed":
        breaker.failed(now, ticket, chance)
    elif verdict == "dropped":
        breaker.dropped(now, ticket)
    else:
        breaker.ok(now, ticket, verdict == "lost", chance)


def _fullness(member: Member) -> float:
    return member.load.in_flight / max(member.load.weight, 1e-9)
