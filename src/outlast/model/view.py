"""What people and metrics see of a pool: plain data, nothing secret."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from outlast.model.member import Member
from outlast.model.price import price_of
from outlast.model.report import Report, Told
from outlast.model.traffic import Traffic

MemberState = Literal["in", "warming", "half_open", "resting", "drained", "ejected", "sick", "open"]
"""In rotation, wholly or not yet; or out of it: it asked to be left alone, a command, its peers, a health check, its
breaker."""


class MemberView(msgspec.Struct, frozen=True):
    """One member. Times in seconds, money in US dollars."""

    name: str
    url: str
    model: str
    state: MemberState
    why: str
    """Why it is out, in words; empty: it is not."""
    out_for_s: float | None
    """How long it stays out, as far as is known."""
    weight: float
    in_flight: int
    waiting: int
    """Requests under way that have got nothing yet."""
    limit: int
    """Requests that it may hold at once, now."""
    first_token_s: float | None
    """Time to the first content, lately: a geometric mean."""
    gap_s: float | None
    """Time from one piece of content to the next, lately."""
    answered: int
    failed: int
    outcomes: dict[str, int]
    """Attempts that have ended, by how."""
    ejections: int
    opened: int
    """How often its breaker opened."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    """None: the model is not in the table of prices."""
    score: float | None
    """What its last round of golden prompts scored, 0 to 1."""
    rounds: int
    """Rounds of golden prompts that it answered."""
    report: Report | None
    """What it says of its own load."""
    report_problem: str
    """Why it says nothing of it, though it is asked; empty: it does, or nobody asks."""
    reports_read: int
    reports_failed: int
    told: Told
    """What it says in its answers that it is."""
    layers: dict[str, str]
    """What health checks found: ``connection``, ``application``, ``model``: ``unknown``, ``up`` or ``down``."""


class PoolView(msgspec.Struct, frozen=True):
    """One pool. Counts are since the process began."""

    name: str
    members: Sequence[MemberView]
    queued: int
    """Requests that wait for a place."""
    requests: int
    """First attempts."""
    extra: int
    """Retries and hedges, paid from the retry budget."""
    hedged: int
    moved: int
    """Requests that left an ejected member before they had anything, outside the budget."""
    amplification: float
    """Attempts for each first one."""
    degraded: int
    """Calls that the fallback answered."""
    fallback: str | None
    """The name of the fallback's pool."""


def pool_view(traffic: Traffic, now: float, degraded: int, fallback: str | None) -> PoolView:
    """What there is to see at `now`, in monotonic seconds."""
    first, extra = traffic.budget.first, traffic.budget.extra
    return PoolView(
        name=traffic.name,
        members=[member_view(member, now) for member in traffic.router.members],
        queued=traffic.admission.waiting,
        requests=first,
        extra=extra,
        hedged=sum(hedge.hedged for hedge in traffic.router.hedge),
        moved=traffic.moved,
        amplification=(first + extra + traffic.moved) / first if first else 1.0,
        degraded=degraded,
        fallback=fallback,
    )


def member_view(member: Member, now: float) -> MemberView:
    """One member at `now`, in monotonic seconds."""
    state, why, until = _state(member, now)
    pace = member.pace
    return MemberView(
        name=member.name,
        url=member.url,
        model=member.model,
        state=state,
        why=why,
        out_for_s=max(until - now, 0.0) if until is not None else None,
        weight=member.load.weight,
        in_flight=member.load.in_flight,
        waiting=len(member.waiting),
        limit=member.limit,
        first_token_s=math.exp(pace.first_token.mean) if pace.first_token.count else None,
        gap_s=math.exp(pace.gap.mean) if pace.gap.count else None,
        answered=member.answered,
        failed=member.failed,
        outcomes=dict(member.outcomes),
        ejections=pace.ejections,
        opened=member.breaker.opened,
        input_tokens=member.input_tokens,
        output_tokens=member.output_tokens,
        cost=price_of(member.model, member.input_tokens, member.output_tokens),
        score=member.score,
        rounds=member.rounds,
        report=member.report,
        report_problem=member.report_problem,
        reports_read=member.reports_read,
        reports_failed=member.reports_failed,
        told=member.told,
        layers={layer: member.health.state(layer) for layer in ("connection", "application", "model")},
    )


def _state(member: Member, now: float) -> tuple[MemberState, str, float | None]:
    breaker = member.breaker
    if member.drained:
        return "drained", "by command", None
    if now < member.ejected_until:
        return "ejected", "by command", member.ejected_until
    if member.sick:
        return "sick", f"{member.health.failing}: {member.health.why}", None
    if member.pace.until is not None:
        return "ejected", member.pace.why, member.pace.until
    if breaker.state == "open":
        return "open", breaker.why, breaker.until
    if now < member.resting_until:
        return "resting", "it asked to be left alone", member.resting_until
    if breaker.state == "half_open":
        return "half_open", breaker.why, None
    warm_at = member.load.warm_from + member.warm_up_s
    return ("warming", "", None) if now < warm_at else ("in", "", None)
