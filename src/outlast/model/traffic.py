"""What all calls of one pool share: the router, the queue, the retry budget, the counters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from outlast.kernel.clock import Clock
from outlast.kernel.randomness import Randomness, derived
from outlast.model.ask import Ask
from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable, PoolOverloaded
from outlast.model.member import Member, Target
from outlast.model.router import Router, RouterPolicy, Verdict
from outlast.policy.admission import Admission, AdmissionPolicy, Refused, Ticket
from outlast.policy.retry_budget import RetryBudget, RetryBudgetPolicy


class TrafficPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds.

    A call leaves an ejected member up to `moves_max` times outside the retry budget: that one does no work for it any
    more. Hedges leave `hedge_reserve` of the budget for retries. When all members have been asked in vain, they are
    asked again after up to `pause_s`, doubled each time up to `pause_max_s`. A call that waits is looked at every
    `look_again_s`, the queue every `queue_look_s`; a stream that is silent for `stall_s` has ended. Where a fallback
    stands behind the pool, an attempt is given up for it after `abandon_s`, and `abandon_factor` times what is usual,
    without a sign of life; at the latest when half of its time is over.
    """

    router: RouterPolicy = RouterPolicy()
    budget: RetryBudgetPolicy = RetryBudgetPolicy()
    admission: AdmissionPolicy = AdmissionPolicy()
    moves_max: int = 2
    hedge_reserve: float = 5.0
    pause_s: float = 0.1
    pause_max_s: float = 2.0
    look_again_s: float = 0.05
    stall_s: float = 15.0
    queue_look_s: float = 0.05
    abandon_s: float = 2.0
    abandon_factor: float = 4.0


class Traffic:
    """See the module; `has_fallback`: another model stands behind this one."""

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        policy: TrafficPolicy,
        clock: Clock,
        randomness: Randomness,
        has_fallback: bool,
    ) -> None:
        self.name = name
        self.policy = policy
        self.clock = clock
        self.router = Router(targets, policy.router)
        self.budget = RetryBudget(policy.budget)
        self.admission = Admission(policy.admission)
        self.has_fallback = has_fallback
        self.kept_back = 1 if has_fallback else 0
        """Attempts of a tree that are left for the fallback."""
        self.chance = derived(randomness.token(16).hex()).random
        """A cheap generator of its own: a call needs several numbers."""
        self.moved = 0
        """Requests that left an ejected member before they had anything."""
        self.suspicious: Callable[[], object] = _nothing
        """Called when a member is suspected: whoever checks members does so at once."""
        self._queue: dict[Ticket, asyncio.Future[Member]] = {}
        self._queue_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # Choosing; whoever is given a member has a place reserved there

    async def place(self, now: float, ask: Ask, deadline: float) -> Member:
        """A place at a member that is not there at once: after waiting in the queue, or at a member believed to be bad.

        Raises PoolOverloaded (it would not be served in time), EndpointRefused (no member can do it),
        EndpointUnavailable (none may be asked and there is a fallback, or all are drained).
        """
        if self.admission.waiting == 0 and not self.router.is_full(now, ask):
            member = None if self.has_fallback else self.router.pick_any(now, ask, ())
            if member is None:
                raise self._nobody(now, ask)
            self.router.reserve(member)
            return member
        ticket = self.admission.enter(now, ask.priority, deadline, self._serving())
        if isinstance(ticket, Refused):
            raise self._overloaded(ticket.retry_after_s, _WHY[ticket.why])
        if ticket.instead_of is not None:
            self._dropped(ticket.instead_of)
        return await self._wait(ticket, ask, now)

    def choose(self, now: float, ask: Ask, tried: Sequence[Member]) -> Member | None:
        """A member for the next attempt of a call, or None; one believed to be bad only where nothing else is left."""
        member = self.router.pick(now, ask, tried, self.chance(), self.chance())
        if member is None and not self.has_fallback and not self.router.is_full(now, ask):
            member = self.router.pick_any(now, ask, tried)
        if member is not None:
            self.router.reserve(member)
        return member

    def choose_beside(self, now: float, attempt: Attempt, ask: Ask, tried: Sequence[Member]) -> Member | None:
        """A member for an attempt beside one that waits, if one is well, and the policy and the budget allow it."""
        member = self.router.pick(now, ask, tried, self.chance(), self.chance())
        if member is None:
            return None
        overloaded = self.admission.waiting > 0 or self.budget.left(now) < self.policy.hedge_reserve
        if not self.router.hedge[attempt.stream].may(now, now - attempt.began, 0, overloaded, self.budget):
            return None
        self.router.reserve(member)
        return member

    def pause_s(self, attempts: int, retry_after_s: float | None) -> float:
        """How long to wait before members that failed are asked again: full jitter, never less than they asked for."""
        bound = min(self.policy.pause_max_s, self.policy.pause_s * 2.0 ** min(attempts, 30))
        return max(0.01, bound * self.chance(), retry_after_s or 0.0)

    # What happens

    def ended(self, attempt: Attempt, now: float, verdict: Verdict, retry_after_s: float | None) -> None:
        """An attempt is over: its place is free."""
        self.router.ended(attempt, now, verdict, self.chance(), retry_after_s)
        member = attempt.member
        member.input_tokens += attempt.input_tokens
        member.output_tokens += attempt.output_tokens
        if verdict == "ok":
            self.admission.served(now - attempt.began)
        elif member.breaker.state == "open":
            self.suspect(member)
        self.judge(now)
        if self.admission.waiting:
            self._admit()

    def judge(self, now: float) -> None:
        """Move the requests that wait at members which have just been found silent."""
        for member in self.router.judge(now):
            self.empty(member)

    def abandoned(self, attempt: Attempt, now: float) -> bool:
        """Whether an attempt shall be given up for the fallback: nothing has come from its member since it began."""
        policy = self.policy
        waited_s = now - attempt.began
        patience_s = max(policy.abandon_s, policy.abandon_factor * self.router.hedge[attempt.stream].delay_s(now))
        return (
            self.has_fallback
            and attempt.member.pace.life < attempt.began
            and waited_s >= min(patience_s, (attempt.deadline - attempt.began) / 2)
        )

    def empty(self, member: Member) -> None:
        """Requests that wait at a member and have got nothing are asked elsewhere."""
        for waiting in list(member.waiting):
            if isinstance(waiting, Attempt):
                waiting.call.moved(waiting)

    def suspect(self, member: Member) -> None:
        """Something is wrong with a member, perhaps."""
        if not member.suspect:
            member.suspect = True
            self.suspicious()

    def examined(self, member: Member, now: float) -> None:
        """A check has added to what is known of a member's health: it may be out now, or back."""
        sick = member.health.failing is not None
        if sick == member.sick:
            return
        member.sick = sick
        if sick:
            member.suspect = False
            self.empty(member)
            return
        self.router.well(member, now)
        member.load.cold(now)
        if self.admission.waiting:
            self._admit()

    def blame(self, suspects: Sequence[Attempt], now: float) -> None:
        """Another member answered what these refused for reasons of their own."""
        for attempt in suspects:
            member = attempt.member
            member.failed += 1
            if ticket := member.breaker.begin(now):
                member.breaker.failed(now, ticket, self.chance())

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold a task until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Refuse whoever waits, and let the attempts beside others end."""
        for ticket in list(self._queue):
            self.admission.leave(self.clock.monotonic(), ticket)
            self._dropped(ticket)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # The queue

    async def _wait(self, ticket: Ticket, ask: Ask, now: float) -> Member:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Member] = loop.create_future()
        self._queue[ticket] = future
        timer = loop.call_later(max(ticket.deadline - now, 0.0), self._expired, ticket)
        self._look_later()
        try:
            return self._fitting(await future, ask)
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.router.release(future.result())
                self._admit()
            raise
        finally:
            timer.cancel()
            self._queue.pop(ticket, None)
            self.admission.leave(self.clock.monotonic(), ticket)

    def _fitting(self, member: Member, ask: Ask) -> Member:
        """The member whose place came free, or, if that cannot do it, another one that has a place."""
        if not member.misfit(ask.needs, ask.tokens):
            return member
        self.router.release(member)
        other = self.choose(self.clock.monotonic(), ask, ())
        if other is None:
            self._admit()
            raise self._overloaded(self.policy.admission.retry_after_min_s, "those that can serve it are full")
        return other

    def _admit(self) -> None:
        """Give free places to those that wait."""
        now = self.clock.monotonic()
        while self.admission.waiting:
            member = self.router.pick(now, _ANY, (), self.chance(), self.chance())
            if member is None:
                return
            ticket, dropped = self.admission.take(now)
            for one in dropped:
                self._dropped(one)
            if ticket is None:
                return
            future = self._queue.pop(ticket, None)
            if future is not None and not future.done():
                self.router.reserve(member)
                future.set_result(member)

    def _dropped(self, ticket: Ticket) -> None:
        future = self._queue.pop(ticket, None)
        if future is not None and not future.done():
            wait_s = self.policy.admission.retry_after_min_s
            future.set_exception(self._overloaded(wait_s, "it cannot be served in time"))

    def _expired(self, ticket: Ticket) -> None:
        self.admission.leave(self.clock.monotonic(), ticket)
        self._dropped(ticket)

    def _look_later(self) -> None:
        """Places also come free by time alone: a rest is over, a limit has risen."""
        if self._queue_timer is None:
            loop = asyncio.get_running_loop()
            self._queue_timer = loop.call_later(self.policy.queue_look_s, self._look)

    def _look(self) -> None:
        self._queue_timer = None
        self._admit()
        if self._queue:
            self._look_later()

    def _serving(self) -> int:
        return sum(member.load.in_flight for member in self.router.members)

    # Saying no

    def _overloaded(self, retry_after_s: float, why: str) -> PoolOverloaded:
        return PoolOverloaded(
            f"model {self.name!r} is overloaded: {why}; ask again in {retry_after_s:.0f} s", retry_after_s
        )

    def _nobody(self, now: float, ask: Ask) -> Exception:
        members = self.router.members
        misfits = [misfit for member in members if (misfit := member.misfit(ask.needs, ask.tokens))]
        if len(misfits) == len(members):
            said = "; ".join(f"{member.name}: {misfit}" for member, misfit in zip(members, misfits, strict=True))
            return EndpointRefused(f"no endpoint of model {self.name!r} can serve this request: {said}", elsewhere=True)
        resting = [member for member in members if now < member.resting_until and not member.drained]
        if resting:
            wait_s = min(member.resting_until for member in resting) - now
            return self._overloaded(wait_s, f"{', '.join(member.name for member in resting)} asked to be left alone")
        return EndpointUnavailable(f"no endpoint of model {self.name!r} is in rotation")


def _nothing() -> None:
    """Nobody checks."""


_ANY = Ask(0.0)
_WHY = {
    "full": "as many requests wait as may",
    "late": "it would not be served before its deadline",
    "standing": "the queue has not been empty for long",
}
