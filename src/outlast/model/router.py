"""Which member of a pool is asked, and what is learnt from how it went. Pure: `now` and chance are handed in.

A member takes part if it is not drained, ejected, sick or resting, its breaker lets it, it holds fewer requests than
its limit and it can do what the request needs. Of those the balancer takes one. When none takes part although some are
only believed to be bad, `pick_any` asks one all the same (fail-open, as Envoy's panic mode): the belief may be wrong,
and refusing everybody surely is.

A member is *silent* when requests have waited on it for longer than such requests do, nothing at all came from it in
that time, and its peers did answer: so a frozen process is found without waiting for any request to end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from outlast.kernel.error import invariant
from outlast.model.ask import Ask
from outlast.model.attempt import Attempt
from outlast.model.member import Member, MemberPolicy
from outlast.policy.balancer import Balancer

Verdict = Literal["ok", "failed", "overloaded", "refused", "dropped", "lost"]
"""How an attempt ended: `refused` by the request's own fault; `dropped` says nothing about the member; `lost` to one
that was sent later."""


class RouterPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds, shares of 1.

    `silent_min` requests that are late must wait on a member, and nothing have come from it for `silent_factor` times
    what is usual and `silent_s`, for it to be ejected as silent: for `eject_s`, doubled each time up to `eject_max_s`.
    No more than `ejected_share_max` of the members are ejected at once. A member rests for what it asks for, up to
    `rest_max_s`, and for `rest_s`, doubled each time, if it said `refusals_max` times in a row that it is overloaded.
    """

    member: MemberPolicy = MemberPolicy()
    silent_min: int = 3
    silent_factor: float = 4.0
    silent_s: float = 0.25
    eject_s: float = 1.0
    eject_max_s: float = 30.0
    ejected_share_max: float = 0.5
    rest_s: float = 0.1
    rest_max_s: float = 30.0
    refusals_max: int = 3
    late_first_s: float = 1.0


class Router:
    """The state of all members of one pool."""

    __slots__ = ("_balancer", "_usual", "members", "policy")

    def __init__(self, members: Sequence[Member], policy: RouterPolicy) -> None:
        self.members = tuple(members)
        self.policy = policy
        self._balancer = Balancer(policy.member.balancer)
        self._usual: dict[bool, tuple[float, float]] = {}

    # Choosing

    def pick(
        self, now: float, ask: Ask, tried: Collection[Member], chance1: float, chance2: float
    ) -> Member | None:
        """The member to ask; None: none takes part, or all that do are full."""
        free = [
            member
            for member in self.members
            if member.load.in_flight < member.limit
            and not self.is_out(member, now)
            and now >= member.resting_until
            and member not in tried
        ]
        if ask.needs or ask.tokens:
            free = [member for member in free if not member.misfit(ask.needs, ask.tokens)]
        if not free:
            return None
        return free[self._balancer.pick(now, [member.load for member in free], chance1, chance2)]

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

    def is_out(self, member: Member, now: float) -> bool:
        """Whether it is out of rotation: drained, ejected, found sick, or its breaker is open."""
        return (
            member.drained or now < member.ejected_until or bool(member.sick) or not member.breaker.may(now)
        )

    def is_full(self, now: float, ask: Ask) -> bool:
        """Whether a member takes part that is only full: waiting for a place makes sense."""
        return any(
            not self.is_out(member, now)
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

    def first(self, attempt: Attempt, now: float) -> None:
        """The first content came."""
        member = attempt.member
        waited = now - attempt.began
        attempt.first_s = waited
        attempt.last_token = now
        self._stops_waiting(attempt)
        member.life = now
        member.load.observed(now, waited)
        member.concurrency.ok(now, waited, member.load.in_flight)
        self._learn(attempt.stream, waited)

    def ended(
        self, attempt: Attempt, now: float, verdict: Verdict, chance: float, retry_after_s: float | None = None
    ) -> None:
        """The attempt is over."""
        member, ticket = attempt.member, attempt.ticket
        self.release(member)
        self._stops_waiting(attempt)
        if verdict == "ok":
            member.answered += 1
            member.refusals = 0
            if ticket:
                member.breaker.ok(now, ticket, False, chance)
            else:  # asked although it was out, and it answered
                member.breaker.recovered(now)
                member.ejected_until = now
            return
        if verdict == "failed":
            member.failed += 1
            if ticket:
                member.breaker.failed(now, ticket, chance)
        elif ticket:
            if verdict == "refused":
                member.breaker.ok(now, ticket, False, chance)
            elif verdict == "lost":
                member.breaker.ok(now, ticket, True, chance)
            else:
                member.breaker.dropped(now, ticket)
        if verdict == "refused":
            member.life = now
        elif verdict == "overloaded":
            member.life = now
            self._overloaded(member, now, retry_after_s)

    def late(self, attempt: Attempt, now: float, alone: bool) -> bool:
        """The attempt waits for longer than such requests do. True: its member is silent and was ejected.

        `alone`: the member may be ejected although it is the only one, because another model stands behind it.
        """
        member = attempt.member
        if not attempt.late:
            attempt.late = True
            member.lates += 1
        if member.lates < self.policy.silent_min or now < member.ejected_until:
            return False
        since = max(member.life, min(waiting.began for waiting in member.waiting))
        if now - since < self.silent_after_s(attempt.stream):
            return False
        peers = [peer for peer in self.members if peer is not member and not self.is_out(peer, now)]
        if not any(peer.life > since for peer in peers) and not (alone and not peers):
            return False
        return self.eject(member, now, None, f"silent for {now - since:.3g} s while {member.lates} requests waited")

    def eject(self, member: Member, now: float, for_s: float | None, why: str) -> bool:
        """Take a member out for a time. `for_s` None: as the policy says, unless too many are out already."""
        policy = self.policy
        if for_s is None:
            out = sum(1 for other in self.members if other is not member and self.is_out(other, now))
            if len(self.members) > 1 and out + 1 > policy.ejected_share_max * len(self.members):
                return False
            for_s = min(policy.eject_max_s, policy.eject_s * 2.0 ** min(member.ejections, 30))
            member.ejections += 1
        member.ejected_until = now + for_s
        member.why = why
        return True

    # What is usual

    def late_after_s(self, stream: bool) -> float:
        """How long such a request waits for its first content at most, as a rule."""
        usual = self._usual.get(stream)
        return self.policy.late_first_s if usual is None else usual[0] + 4.0 * usual[1]

    def silent_after_s(self, stream: bool) -> float:
        """How long a member may say nothing at all while requests wait."""
        return max(self.policy.silent_s, self.policy.silent_factor * self.late_after_s(stream))

    def _learn(self, stream: bool, waited: float) -> None:
        usual = self._usual.get(stream)
        if usual is None:
            self._usual[stream] = (waited, waited / 2)
        else:
            mean, spread = usual
            self._usual[stream] = (mean + (waited - mean) / 8, spread + (abs(waited - mean) - spread) / 4)

    def _stops_waiting(self, attempt: Attempt) -> None:
        waiting = attempt.member.waiting
        if attempt in waiting:
            waiting.remove(attempt)
            if attempt.late:
                attempt.member.lates -= 1

    def _overloaded(self, member: Member, now: float, retry_after_s: float | None) -> None:
        policy = self.policy
        member.concurrency.overloaded(now, member.load.in_flight + 1)
        member.refusals += 1
        rest_s = retry_after_s or 0.0
        if member.refusals >= policy.refusals_max:
            rest_s = max(rest_s, policy.rest_s * 2.0 ** min(member.refusals - policy.refusals_max, 30))
        member.resting_until = max(member.resting_until, now + min(rest_s, policy.rest_max_s))


def _fullness(member: Member) -> float:
    return member.load.in_flight / max(member.load.weight, 1e-9)
