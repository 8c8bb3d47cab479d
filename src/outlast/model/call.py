"""One call of a pool while it runs: attempts one after another, at most one beside another, exactly one winner.

The first attempt, and each one that follows a failure, is awaited in the caller's own task; only an attempt beside one
that waits (a hedge) has a task of its own. One timer of the loop wakes the call: when an attempt has waited for longer
than such requests do, when a stream has fallen silent, and at the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from outlast.model.ask import Ask, RetryTree
from outlast.model.attempt import Attempt, AttemptLost
from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointRefused, EndpointUnavailable, Interrupted
from outlast.model.member import Member
from outlast.model.router import Verdict
from outlast.model.traffic import Traffic

T = TypeVar("T")


class Call(Generic[T]):
    """See the module. `run` gives the value; `winner` is then the attempt that gave it."""

    __slots__ = (
        "_ask", "_cancelling", "_deadline", "_fatal", "_live", "_loop", "_moves", "_now", "_over", "_send", "_side",
        "_suspects", "_timer", "_timer_at", "_traffic", "_tree", "_tried", "_trouble", "_value", "_wake", "_was_out",
        "attempts", "done", "hedged", "winner",
    )  # fmt: skip

    def __init__(
        self,
        traffic: Traffic,
        send: Callable[[Attempt], Awaitable[T]],
        ask: Ask,
        tree: RetryTree,
        deadline: float,
    ) -> None:
        self._traffic = traffic
        self._send = send
        self._ask = ask
        self._tree = tree
        self._deadline = deadline
        self._now = traffic.clock.monotonic
        self._loop = asyncio.get_running_loop()
        self._live: list[Attempt] = []
        self._side: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._tried: list[Member] = []
        self._suspects: list[Attempt] | None = None
        self._trouble: EndpointError | None = None
        self._fatal: BaseException | None = None
        self._was_out = False
        self._moves = 0
        self._over = False
        self._wake: asyncio.Future[None] | None = None
        self._value: T | None = None
        self._cancelling = 0
        self.attempts = 0
        self.done = False
        self.hedged = False
        self.winner: Attempt | None = None

    # What the caller's task does

    async def run(self, member: Member) -> T:
        """The value, asked of `member` first, where a place is reserved. Raises EndpointError when nobody answers."""
        task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        try:
            while True:
                await self._attempt(self._begin(member, hedge=False), task)
                if self._side is not None and not self.done:
                    await self._beside_ended()
                if self.done:
                    return self._value  # type: ignore[return-value] # it is set when `done` is
                if self._fatal is not None:
                    raise self._fatal
                member = await self._again()
        finally:
            self._end()

    async def _again(self) -> Member:
        """The next member to ask after a failure; raises what went wrong when there is none to be asked."""
        traffic = self._traffic
        while True:
            now = self._now()
            if self.winner is not None:  # its sender does not let itself be stopped
                raise Interrupted(f"the answer of {self.winner.member.name} broke off: its time was over")
            trouble = self._trouble or EndpointUnavailable(f"model {traffic.name!r}: nobody answered in time")
            if self._over or now >= self._deadline or self._tree.left <= traffic.kept_back:
                raise trouble
            member = traffic.choose(now, self._ask, self._tried)
            if member is not None:
                if not self._may_go_on(member, now):
                    traffic.router.release(member)
                    raise trouble
                return member
            delay_s = traffic.pause_s(self.attempts, trouble.retry_after_s)
            elsewhere = traffic.has_fallback and not traffic.router.is_full(now, self._ask)
            if elsewhere or now + delay_s >= self._deadline:
                raise trouble
            self._tried.clear()
            await traffic.clock.sleep(delay_s)

    def _may_go_on(self, member: Member, now: float) -> bool:
        """Whether another attempt is paid for: leaving a member that is out for one that is in rotation is free."""
        traffic = self._traffic
        if self._was_out and self._moves < traffic.policy.moves_max and not member.is_out(now):
            self._moves += 1
            traffic.moved += 1
            return True
        return traffic.budget.withdraw(now)

    def _begin(self, member: Member, *, hedge: bool) -> Attempt:
        """An attempt at a member where a place is reserved."""
        self.attempts += 1
        self._tree.left -= 1
        now = self._now()
        attempt = Attempt(
            self,
            member,
            self.attempts,
            self._deadline,
            now,
            hedge=hedge,
            stream=self._ask.stream,
        )
        attempt.live = True
        self._traffic.router.began(attempt, now)
        self._tried.append(member)
        self._live.append(attempt)
        self._arm(min(attempt.wake_at, self._deadline), now)
        return attempt

    async def _attempt(self, attempt: Attempt, task: asyncio.Task[Any]) -> None:
        """Sends in `task`; returns when the attempt is over, raises when the call is."""
        if attempt.stopped:  # before its task began
            attempt.live = False
            self._leave_stopped(attempt)
            return
        attempt.task = task
        try:
            value = await self._send(attempt)
        except BaseException as error:  # noqa: BLE001 # sorted, and raised again if it is not about the endpoint
            attempt.live = False
            self._failed(attempt, error, self._is_cancelled(attempt, task))
            return
        attempt.live = False
        if self._is_cancelled(attempt, task):  # the sender swallowed it
            attempt.stop("left")
            self._leave(attempt, "dropped")
            raise asyncio.CancelledError
        self._answered(attempt, value)

    def _is_cancelled(self, attempt: Attempt, task: asyncio.Task[Any]) -> bool:
        """Whether somebody other than this call has cancelled the task; takes back this call's own cancellation."""
        left = task.uncancel() if attempt.stopped else task.cancelling()
        return left > (0 if attempt.hedge else self._cancelling)

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for attempt in self._live:
            attempt.stop("left")
        self._trouble = self._fatal = None  # no cycle of tracebacks is left behind

    # What ends an attempt

    def _answered(self, attempt: Attempt, value: T) -> None:
        try:
            attempt.commit()
        except AttemptLost:
            self._leave_stopped(attempt)
            return
        self._value = value
        self.done = True
        self._leave(attempt, "ok")
        if self._suspects is not None:
            self._traffic.blame(self._suspects, self._now())

    def _failed(self, attempt: Attempt, error: BaseException, cancelled: bool) -> None:
        """Sorts what a sender raised; raises when it ends the call."""
        if cancelled or not isinstance(error, (EndpointError, AttemptLost, asyncio.CancelledError)):
            attempt.stop("left")
            self._leave(attempt, "dropped")
            raise asyncio.CancelledError if cancelled else error
        if attempt.won:
            self._leave(attempt, "failed")
            raise Interrupted(f"the answer of {attempt.member.name} broke off: {_reason(attempt, error)}") from error
        if attempt.stopped or isinstance(error, AttemptLost):
            self._leave_stopped(attempt)
            return
        if isinstance(error, asyncio.CancelledError):
            self._leave(attempt, "dropped")
            problem = "a sender was cancelled from inside: it must not cancel its own task"
            raise RuntimeError(problem) from error  # noqa: TRY004 # nothing has a wrong type
        self._trouble = error
        if isinstance(error, EndpointRefused):
            self._leave(attempt, "refused")
            if not error.elsewhere:
                raise error
            self._suspects = [*(self._suspects or ()), attempt]
        else:
            overloaded = isinstance(error, EndpointOverloaded)
            self._leave(attempt, "overloaded" if overloaded else "failed", error.retry_after_s)

    def _leave_stopped(self, attempt: Attempt) -> None:
        """It was stopped before it had anything."""
        name = attempt.member.name
        if attempt.stopped == "moved":
            self._trouble = EndpointUnavailable(f"{name} gave no sign of life, and its requests were moved elsewhere")
            self._leave(attempt, "failed")
        elif attempt.stopped == "deadline":
            waited_s = self._now() - attempt.began
            self._trouble = EndpointUnavailable(f"{name} did not answer within the {waited_s:.3g} s that were left")
            self._leave(attempt, "failed" if attempt.late else "dropped")
        else:
            self._leave(attempt, "lost" if attempt.stopped == "lost" else "dropped")

    def _leave(self, attempt: Attempt, verdict: Verdict, retry_after_s: float | None = None) -> None:
        now = self._now()
        self._live.remove(attempt)
        self._traffic.ended(attempt, now, verdict, retry_after_s)
        self._was_out = attempt.member.is_out(now)

    # What attempts, timers and other calls tell

    def committed(self, attempt: Attempt) -> None:
        if self._over or attempt.stopped or self.winner is not None:
            raise AttemptLost
        self.winner = attempt
        attempt.won = True
        self._traffic.router.first(attempt, self._now())
        if len(self._live) > 1:
            for other in self._live:
                if other is not attempt:
                    other.stop("lost")

    def moved(self, attempt: Attempt) -> None:
        if not attempt.won and not self._over and self._tree.left > self._traffic.kept_back:
            attempt.stop("moved")

    def _arm(self, at: float, now: float) -> None:
        """Be woken at `at`, or before."""
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(at - now, 0.0), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._now()
        if now >= self._deadline:
            self._over = True
            for attempt in list(self._live):
                attempt.stop("deadline")
            self._wake_up()
            return
        at = self._deadline
        if self.winner is not None:
            silent_at = self.winner.last_token + self._traffic.policy.stall_s
            if now >= silent_at:
                self.winner.stop("stalled")
                return
            at = min(at, silent_at)
        else:
            for attempt in list(self._live):
                if attempt.wake_at <= now:
                    attempt.wake_at = now + self._traffic.policy.look_again_s
                    self._late(attempt, now)
                at = min(at, attempt.wake_at)
        self._arm(at, now)

    # The attempt beside

    def _late(self, attempt: Attempt, now: float) -> None:
        """It has waited for long: perhaps its member is dead, perhaps another answers sooner."""
        traffic = self._traffic
        attempt.late = True
        traffic.suspect(attempt.member)
        traffic.judge(now)
        if not attempt.stopped and traffic.abandoned(attempt, now):
            attempt.stop("moved")
        if attempt.stopped or self.hedged or not self._ask.hedge or self._tree.left <= traffic.kept_back:
            return
        member = traffic.choose_beside(now, attempt, self._ask, self._tried)
        if member is not None:
            self.hedged = True
            self._side = self._loop.create_task(self._beside(self._begin(member, hedge=True)))
            traffic.keep(self._side)

    async def _beside(self, attempt: Attempt) -> None:
        """A hedge, in a task of its own; what ends the call is left in `_fatal` for the caller's task to raise."""
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._attempt(attempt, task)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 # it is raised in the caller's task
            self._fatal = error
            for other in self._live:
                other.stop("left")
        finally:
            self._side = None
            self._wake_up()

    async def _beside_ended(self) -> None:
        self._wake = self._loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def _reason(attempt: Attempt, error: BaseException) -> str:
    if attempt.stopped == "deadline":
        return "its time was over"
    if attempt.stopped == "stalled":
        return "nothing more came"
    return str(error)
