"""The protection of a model pool around any other dependency of the user: a vector store, a search, a service.

Source: the stability patterns of Nygard's "Release It!" (2nd ed., 2018): time-out, circuit breaker, bulkhead, fail
fast; retries and hedges on a budget as in `policy/retry_budget.py`. From the outside in: cache, one flight per key,
retry, hedge, breaker and bulkhead, time-out; whatever fails, then a stale answer, then the fallback, and both are said.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, Literal, ParamSpec, TypeVar

import msgspec

from outlast.kernel.deadline import deadline, remaining_s
from outlast.kernel.error import ConfigurationError, OutlastError, UsageError
from outlast.kernel.identity import check_name
from outlast.kernel.randomness import derived
from outlast.kernel.unit import Duration, seconds
from outlast.kernel.use import note_use
from outlast.model.cache import Cache, Hit
from outlast.policy.breaker import Breaker, BreakerPolicy, State
from outlast.policy.hedge import Hedge, HedgePolicy
from outlast.policy.retry import Retry
from outlast.policy.retry_budget import RetryBudget, RetryBudgetPolicy

P = ParamSpec("P")
T = TypeVar("T")

Source = Literal["dependency", "cache", "fallback"]

fallback_share = 0.25
"""Of the time that its caller has, a guard keeps this share for what stands in for the dependency."""


class DependencyUnavailable(OutlastError):
    """A guarded dependency was not asked, or did not answer in time, and nothing could stand in for it.

    `why`: ``open`` (it has failed too often; it is asked again after `retry_after_s`), ``full`` (as many calls as are
    allowed are under way) or ``late``.
    """

    code: ClassVar[str] = "dependency_unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, why: Literal["open", "full", "late"], retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.why = why
        self.retry_after_s = retry_after_s


class Guarded(msgspec.Struct, Generic[T], frozen=True):
    """What a guarded call gave."""

    value: T
    degraded: bool = False
    """Whether it is not what the dependency would have answered now: the fallback's value, or a stale one."""
    stale: bool = False
    """Whether it is an earlier answer that is past its time to live."""
    source: Source = "dependency"
    why: str = ""
    """If degraded, why, in words."""
    age_s: float = 0.0
    """How long ago the dependency gave it, in seconds, if it comes from the cache."""


class GuardView(msgspec.Struct, frozen=True):
    """What a guard has seen: counters since it was made, and how it stands."""

    name: str
    state: State
    in_flight: int
    calls: int
    cached: int
    """Calls answered with a fresh value from the cache."""
    coalesced: int
    """Calls that joined one that was under way."""
    asked: int
    """Attempts at the dependency, retries and hedges included."""
    failed: int
    """Attempts that failed or were given up as too late."""
    rejected: int
    """Calls that were not let through to the dependency."""
    retried: int
    hedged: int
    stale: int
    fallback: int


class _Try(Generic[T]):
    __slots__ = ("began", "task", "ticket")

    def __init__(self, task: asyncio.Task[T], ticket: int, began: float) -> None:
        self.task = task
        self.ticket = ticket
        self.began = began


class Guard:
    """``answer = await guard(function, ...)`` asks ``function(...)`` and gives a `Guarded`, degraded or not.

    `timeout` bounds the dependency, in all; inside a tool never more than the tool has left. `fallback` is called with
    the same arguments, sync or async, when the dependency has failed. `retry`: attempts in all, or a `Retry`; `hedge`:
    ask a second time beside an answer that takes longer than this, or than 95% of the answers take (``"p95"``). Both
    mean that asking twice does no harm; both are on a budget. `concurrency`: so many calls are under way at most, the
    ones that take no notice of their end included. `slow`: a slower answer counts against the dependency. `refused`:
    exceptions that are the caller's own fault, raised as they are; `UsageError` always is. `breaker`: its bounds.
    `cache`: see `Cache`.

    Make one for each dependency and keep it. For one event loop at a time.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout: Duration = "10s",
        fallback: Callable[..., Any] | None = None,
        retry: Retry | int = 1,
        hedge: Duration | None = None,
        concurrency: int = 100,
        slow: Duration | None = None,
        refused: tuple[type[Exception], ...] = (),
        breaker: BreakerPolicy | None = None,
        cache: Cache[Any] | None = None,
    ) -> None:
        if concurrency < 1:
            raise ConfigurationError(f"guard {name!r}: concurrency is {concurrency}, write one or more")
        self.name = check_name("guard", name)
        self.timeout_s = seconds(timeout)
        self.cache = cache
        self._fallback = fallback
        self._retry = Retry.of(retry, Retry(attempts=1, first_s=0.05, max_s=1.0))
        self._hedge = None if hedge is None else Hedge(_hedge_policy(hedge))
        self._concurrency = concurrency
        self._slow_s = None if slow is None else seconds(slow)
        self._own_fault: tuple[type[Exception], ...] = (UsageError, *refused)
        self._breaker = Breaker(breaker or BreakerPolicy())
        self._budget = RetryBudget(RetryBudgetPolicy())
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._calls = self._cached = self._asked = self._failed = self._rejected = 0
        self._retried = self._stale = self._fallen = 0

    def __repr__(self) -> str:
        return f"<guard {self.name}: {self._breaker.state}>"

    @property
    def state(self) -> State:
        """Of its breaker: ``closed`` is well, ``open`` asks nobody, ``half_open`` tries again."""
        return self._breaker.state

    def view(self) -> GuardView:
        coalesced = 0 if self.cache is None else self.cache.coalesced
        hedged = 0 if self._hedge is None else self._hedge.hedged
        return GuardView(
            self.name, self.state, len(self._in_flight), self._calls, self._cached, coalesced, self._asked,
            self._failed, self._rejected, self._retried, hedged, self._stale, self._fallen,
        )  # fmt: skip

    async def __call__(
        self, function: Callable[P, Awaitable[T]], /, *arguments: P.args, **keywords: P.kwargs
    ) -> Guarded[T]:
        """Ask the dependency, or what stands in for it.

        Raises what the dependency raised, or DependencyUnavailable, if nothing does; what the fallback raises; and the
        caller's own faults as they are.
        """
        now = asyncio.get_running_loop().time()
        self._calls += 1
        note_use(self.name)
        hit: Hit[T] | None = None
        try:
            ask = functools.partial(self._ask, functools.partial(function, *arguments, **keywords))
            if self.cache is None:
                return Guarded(await ask(self._limit_s(now, self._fallback is not None)))
            key = self.cache.key_of(function, arguments, keywords)
            hit = self.cache.get(now, key)
            if hit is not None and not hit.stale:
                self._cached += 1
                return Guarded(hit.value, source="cache", age_s=hit.age_s)
            limit_s = self._limit_s(now, self._fallback is not None or hit is not None)
            flight = self.cache.join(key, functools.partial(ask, self.timeout_s))
            return Guarded(await self._bounded(flight, limit_s, self.name))
        except self._own_fault:
            raise
        except Exception as error:
            if hit is not None:
                self._stale += 1
                return Guarded(hit.value, True, True, "cache", _reason(error), hit.age_s)
            if self._fallback is None:
                raise
            self._fallen += 1
            return Guarded(await self._instead(arguments, keywords, error), True, False, "fallback", _reason(error))

    def _limit_s(self, now: float, stand_in: bool) -> float:
        left_s = remaining_s(now)
        if left_s is None:
            return self.timeout_s
        return min(self.timeout_s, left_s * (1 - fallback_share) if stand_in else left_s)

    async def _bounded(self, awaitable: Awaitable[T], limit_s: float, what: str) -> T:
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                return await awaitable
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._late(what, limit_s) from None

    def _late(self, what: str, limit_s: float) -> DependencyUnavailable:
        return DependencyUnavailable(f"{what} did not answer within {limit_s:.3g} s", "late")

    async def _instead(self, arguments: tuple[Any, ...], keywords: dict[str, Any], error: Exception) -> Any:
        assert self._fallback is not None
        try:
            value = self._fallback(*arguments, **keywords)
            if inspect.isawaitable(value):
                left_s = remaining_s(asyncio.get_running_loop().time())
                limit_s = self.timeout_s if left_s is None else left_s
                value = await self._bounded(value, limit_s, f"the fallback of {self.name}")
        except Exception as second:
            raise second from error
        return value

    async def _ask(self, call: Callable[[], Awaitable[T]], limit_s: float) -> T:
        """All attempts at one answer, within `limit_s` seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._budget.deposit(began)
        for failed in range(1, self._retry.attempts + 1):
            try:
                return await self._race(call, began + limit_s, limit_s)
            except (*self._own_fault, DependencyUnavailable):
                raise
            except Exception as error:
                if isinstance(error, OutlastError) and not error.retryable:
                    raise
                now = loop.time()
                delay_s = self._retry.delay_s(failed, self._chance(now), getattr(error, "retry_after_s", None))
                if delay_s is None or now + delay_s >= began + limit_s or not self._budget.withdraw(now):
                    raise
            self._retried += 1
            await _pause(loop, delay_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _race(self, call: Callable[[], Awaitable[T]], end: float, limit_s: float) -> T:
        """One attempt, and perhaps a second beside it; the first answer counts."""
        loop = asyncio.get_running_loop()
        tries = [self._begin(loop, call, end)]
        began = tries[0].began
        hedge_at = end if self._hedge is None else began + self._hedge.delay_s(began)
        try:
            while True:
                now = loop.time()
                if now >= end:
                    raise self._late(self.name, limit_s)
                if now >= hedge_at:
                    hedge_at = end
                    if self._may_hedge(now, now - began):
                        tries.append(self._begin(loop, call, end))
                wait_s = min(end, hedge_at) - now
                await asyncio.wait([each.task for each in tries], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                for each in [each for each in tries if each.task.done()]:
                    tries.remove(each)
                    error = self._judge(each, loop.time())
                    if error is None:
                        return each.task.result()
                    if not tries or isinstance(error, self._own_fault):
                        raise error
        finally:
            for each in tries:
                self._give_up(each, loop.time())

    def _begin(self, loop: asyncio.AbstractEventLoop, call: Callable[[], Awaitable[T]], end: float) -> _Try[T]:
        now = loop.time()
        ticket = self._breaker.begin(now)
        if not ticket:
            self._rejected += 1
            again_s = max(0.0, (self._breaker.until or now) - now)
            raise DependencyUnavailable(
                f"{self.name} is not asked for {again_s:.3g} s more: {self._breaker.why}", "open", again_s
            )
        if len(self._in_flight) >= self._concurrency:
            self._breaker.dropped(now, ticket)
            self._rejected += 1
            taken = f"{self._concurrency} of {self._concurrency} places are taken"
            raise DependencyUnavailable(f"{self.name} is not asked: {taken}", "full")
        context = contextvars.copy_context()
        context.run(deadline.set, end)
        task = loop.create_task(_run(call, self.name), context=context)
        self._asked += 1
        self._in_flight.add(task)
        task.add_done_callback(self._ended)
        return _Try(task, ticket, now)

    def _may_hedge(self, now: float, waited_s: float) -> bool:
        crowded = self._breaker.state != "closed" or 2 * len(self._in_flight) > self._concurrency
        return self._hedge is not None and self._hedge.may(now, waited_s, 0, crowded, self._budget)

    def _waited(self, each: _Try[Any], now: float) -> None:
        if self._hedge is not None:
            self._hedge.observed(now, now - each.began)

    def _judge(self, each: _Try[Any], now: float) -> Exception | None:
        """Tell the breaker how an attempt ended; the error it ended in, if it did."""
        if each.task.cancelled():
            error: BaseException | None = RuntimeError(f"{self.name} was cancelled from inside")
        else:
            error = each.task.exception()
        if error is None or isinstance(error, self._own_fault):
            self._waited(each, now)
            slow = self._slow_s is not None and now - each.began > self._slow_s
            self._breaker.ok(now, each.ticket, slow, self._chance(now) if slow else 0.0)
            return error
        self._failed += 1
        self._breaker.failed(now, each.ticket, self._chance(now))
        if not isinstance(error, Exception):
            raise error
        return error

    def _give_up(self, each: _Try[Any], now: float) -> None:
        """Nobody wants its answer any more. It is to blame if it had at least half of the guard's time."""
        each.task.cancel()
        self._waited(each, now)
        if now - each.began >= self.timeout_s / 2:
            self._failed += 1
            self._breaker.failed(now, each.ticket, self._chance(now))
        else:
            self._breaker.dropped(now, each.ticket)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # it may have ended in one after it was given up: asyncio need not complain

    def _chance(self, now: float) -> float:
        """Different in each process, because their clocks are; the same in a simulation, because its clock is."""
        return derived("guard", self.name, repr(now)).random()


async def _run(call: Callable[[], Awaitable[T]], name: str) -> T:
    awaitable: Any = call()
    if not inspect.isawaitable(awaitable):
        raise UsageError(f"guard {name!r} was given a function that is not async: await asyncio.to_thread(...) in one")
    return await awaitable


async def _pause(loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
    over = loop.create_future()
    timer = loop.call_later(delay_s, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


def _hedge_policy(hedge: Duration) -> HedgePolicy:
    if hedge == "p95":
        return HedgePolicy()
    after_s = seconds(hedge)
    return HedgePolicy(delay_min_s=after_s, delay_max_s=after_s, unknown_s=after_s)


def _reason(error: Exception) -> str:
    """What may be shown to anybody: a foreign error's text may hold a secret."""
    return str(error) if isinstance(error, OutlastError) else type(error).__name__
