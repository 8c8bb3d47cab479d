"""Bugs of the pool of model endpoints: what retries, hedges, limits and fallbacks must not do."""

# ruff: noqa: SLF001 (it stands in for what it replaces, and sees what that sees)
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from outlast.model.attempt import Attempt, Stopped
from outlast.model.call import Call
from outlast.model.endpoint import Completion, ModelRequest
from outlast.model.member import Member
from outlast.model.pool import Pool
from outlast.model.pooled import PooledEndpoint
from outlast.model.router import Router
from outlast.model.traffic import Traffic
from outlast.policy.breaker import Breaker
from outlast.policy.hedge import Hedge
from outlast.policy.retry_budget import RetryBudget
from outlast.simulation.mutation.patch import Mutant, Patch

_Method = Callable[..., None]
_failed: _Method = Call[Any]._failed
_answered: _Method = Call[Any]._answered
_late: _Method = Call[Any]._late
_tick: _Method = Call[Any]._tick
_fall_back = Pool._fall_back
_stop = Attempt.stop
_complete = PooledEndpoint.complete
_overloaded = Router._overloaded
_ended = Router.ended
_traffic_ended = Traffic.ended
_wide = 1000


def _any_winner(self: Call[Any], attempt: Attempt) -> None:
    self.winner = attempt
    attempt.won = True
    self._traffic.router.first(attempt, self._now())


def _begin_again(self: Call[Any], attempt: Attempt, error: BaseException, cancelled: bool) -> None:
    if attempt.won and not cancelled:
        attempt.won, self.winner = False, None  # the bug: what was given away is forgotten
    _failed(self, attempt, error, cancelled)


def _free(self: Call[Any], member: Member, now: float) -> bool:
    return True


def _hedge_for_free(
    self: Hedge, now: float, waited_s: float, hedges: int, overloaded: bool, budget: RetryBudget
) -> bool:
    return waited_s >= self.delay_s(now) / 4


async def _fall_back_anew(
    self: Pool, send: Any, ask: Any, tree: Any, before: int, deadline: float, error: Any
) -> Any:
    deadline = self.clock.monotonic() + ask.deadline_s  # the bug: what has passed is not taken off
    return await _fall_back(self, send, ask, tree, before, deadline, error)


async def _fall_back_quietly(
    self: Pool, send: Any, ask: Any, tree: Any, before: int, deadline: float, error: Any
) -> Any:
    served = await _fall_back(self, send, ask, tree, before, deadline, error)
    return msgspec.structs.replace(served, degraded=False)


def _open_for_ever(self: Breaker, now: float) -> bool:
    return self.state == "closed"


def _let_losers_go_on(self: Attempt, why: Stopped) -> None:
    if why != "lost":
        _stop(self, why)


def _keep_the_place(self: Router, attempt: Attempt, now: float, verdict: Any, *others: Any) -> None:
    if verdict == "dropped":
        self.reserve(attempt.member)  # the bug: whoever leaves takes the place along
    _ended(self, attempt, now, verdict, *others)


def _deaf(self: Router, member: Member, now: float, retry_after_s: float | None) -> None:
    _overloaded(self, member, now, None)


def _hedge_on(self: Call[Any], attempt: Attempt, now: float) -> None:
    self.hedged = False
    _late(self, attempt, now)


def _throw_away(self: Call[Any], attempt: Attempt, value: Any) -> None:
    if self.hedged:
        self._leave(attempt, "ok")  # the bug: the other one will answer
        return
    _answered(self, attempt, value)


def _count_twice(self: Traffic, attempt: Attempt, now: float, verdict: Any, retry_after_s: float | None) -> None:
    _traffic_ended(self, attempt, now, verdict, retry_after_s)
    if attempt.hedge:
        attempt.member.input_tokens += attempt.input_tokens


def _tick_past(self: Call[Any]) -> None:
    deadline, self._deadline = self._deadline, self._deadline + 3.0
    _tick(self)
    self._deadline = deadline


async def _complete_unmarked(self: PooledEndpoint, request: ModelRequest) -> Completion:
    return msgspec.structs.replace(await _complete(self, request), degraded=False)


MUTANTS = [
    Mutant("two-winners", "two attempts of one call may both give content away", "pool-streams", "pool-slowness",
           lambda: [Patch(Call, "committed", _any_winner)]),
    Mutant("retry-after-commit", "a stream that broke off is begun again elsewhere", "pool-streams", "pool-breaks",
           lambda: [Patch(Call, "_failed", _begin_again)]),
    Mutant("free-retries", "retries are not taken off the budget", "pool-unwatched", "pool-errors",
           lambda: [Patch(Call, "_may_go_on", _free)]),
    Mutant("free-hedges", "hedges are not taken off the budget", "pool-unwatched", "pool-slowness",
           lambda: [Patch(Hedge, "may", _hedge_for_free)], shown_by=17),
    Mutant("fallback-begins-anew", "the fallback is given the whole time again", "pool-fallback", "pool-silence",
           lambda: [Patch(Pool, "_fall_back", _fall_back_anew)], shown_by=6),
    Mutant("fallback-unmarked", "an answer of the fallback is not marked as degraded", "pool-fallback", "pool-errors",
           lambda: [Patch(Pool, "_fall_back", _fall_back_quietly)]),
    Mutant("agents-not-told", "an agent is not told that the fallback answered", "fallbacks", "none",
           lambda: [Patch(PooledEndpoint, "complete", _complete_unmarked)]),
    Mutant("open-for-ever", "a breaker never becomes half-open", "pool-unwatched", "pool-errors",
           lambda: [Patch(Breaker, "may", _open_for_ever)], shown_by=10),
    Mutant("loser-goes-on", "an attempt that has lost is not stopped", "pool-streams", "pool-silence",
           lambda: [Patch(Attempt, "stop", _let_losers_go_on)]),
    Mutant("place-kept", "a client that leaves does not give its place back", "pool-crowded", "pool-silence",
           lambda: [Patch(Router, "ended", _keep_the_place)], shown_by=8),
    Mutant("deaf-to-retry-after", "an endpoint that says when to come back is asked before", "pool-streams",
           "pool-limits", lambda: [Patch(Router, "_overloaded", _deaf)]),
    Mutant("hedge-on", "a call that waits is hedged again and again", "pool-streams", "pool-silence",
           lambda: [Patch(Call, "_late", _hedge_on)]),
    Mutant("answer-thrown-away", "an answer that comes while a hedge is under way is dropped", "pool-answers",
           "pool-slowness", lambda: [Patch(Call, "_answered", _throw_away)]),
    Mutant("hedges-charged-twice", "the tokens of an answer that a hedge gave are counted twice", "pool-answers",
           "pool-slowness", lambda: [Patch(Traffic, "ended", _count_twice)]),
    Mutant("no-limit", "an endpoint is sent more than it may hold", "pool-crowded", "pool-none",
           lambda: [Patch(Member, "limit", property(lambda self: _wide))]),
    Mutant("no-deadline", "a call goes on after its deadline", "pool-streams", "pool-silence",
           lambda: [Patch(Call, "_tick", _tick_past)]),
]  # fmt: skip
"""Those."""
