"""The endpoints behind one model name: something healthy answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.kernel.randomness import Randomness
from outlast.model.attempt import Attempt, AttemptLost
from outlast.model.endpoint import EndpointError, EndpointRefused, EndpointUnavailable, Interrupted
from outlast.model.member import Member, Target

T = TypeVar("T")

attempts_max = 4
"""Attempts of one call and of all that it leads to, fallback models included."""

Priority = Literal["high", "normal", "low"]


class RetryTree:
    """What all attempts of one request share, whatever pools they go to: how many more there may be.

    Hand the same one to every call that one request leads to, so that retries below retries do not multiply.
    """

    __slots__ = ("left",)

    def __init__(self, attempts: int = attempts_max) -> None:
        self.left = attempts


class Ask(msgspec.Struct, frozen=True):
    """What the pool must know of a request. Its content is the sender's own business."""

    deadline_s: float
    """Seconds from now within which the call ends, whatever happens."""
    priority: Priority = "normal"
    affinity: str = ""
    """Requests with the same one go to the same member while it is well: a session's name, for its prompt cache."""
    tokens: int = 0
    """An estimate of prompt and answer; 0: not known."""
    hedge: bool = True
    """Whether the same request may be under way twice at once."""
    stream: bool = False
    """Whether the answer comes piece by piece: the first piece and a whole answer are timed apart."""
    needs: frozenset[str] = frozenset()
    """Features without which the answer is of no use: ``tools``, ``schema``, ``vision``."""
    tree: RetryTree | None = None


class Served(msgspec.Struct, Generic[T], frozen=True):
    """A value and who gave it."""

    value: T
    endpoint: str
    """The name of the member that answered."""
    model: str
    """What that member calls its model."""
    degraded: bool = False
    """Whether another model than the one asked for answered."""
    attempts: int = 1
    """How many were made in all."""
    hedged: bool = False
    """Whether the attempt that answered was sent beside one that had not failed."""


class Pool:
    """The endpoints behind the model name `name`; `fallback` is asked when none of them can answer."""

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        clock: Clock,
        randomness: Randomness,
        *,
        fallback: Pool | None = None,
    ) -> None:
        if not targets:
            raise ConfigurationError(f"model {name!r} has no endpoints: give it at least one")
        self.name = name
        self.members: tuple[Member, ...] = tuple(Member(target) for target in targets)
        self.fallback = fallback
        self.clock = clock
        self.randomness = randomness

    async def call(self, send: Callable[[Attempt], Awaitable[T]], ask: Ask) -> Served[T]:
        """Have `send` answered by one of the members, within ``ask.deadline_s`` seconds.

        `send` is awaited in the caller's task while all goes well; see `model/attempt.py` for what it must do. Raises
        PoolOverloaded (refused at once; `retry_after_s`), EndpointUnavailable or EndpointOverloaded (nothing answered
        in time), EndpointRefused (the request itself is wrong: not tried again), Interrupted (it broke off after
        `commit`).
        """
        deadline = self.clock.monotonic() + ask.deadline_s
        tree = ask.tree or RetryTree()
        tried: set[str] = set()
        trouble: EndpointError | None = None
        number = 0
        while tree.left > 0 and (member := self._choose(tried)) is not None:
            tree.left -= 1
            number += 1
            tried.add(member.name)
            try:
                value = await self._attempt(send, member, number, deadline)
            except EndpointRefused as error:
                if not error.elsewhere:
                    raise
                trouble = error
                continue
            except Interrupted:
                raise
            except EndpointError as error:
                trouble = error
                if self.clock.monotonic() >= deadline:
                    break
                continue
            return Served(value, member.name, member.model, attempts=number)
        raise trouble or EndpointUnavailable(f"model {self.name!r}: no endpoint may be asked")

    def _choose(self, tried: set[str]) -> Member | None:
        free = [member for member in self.members if member.name not in tried]
        return min(free, key=lambda member: member.in_flight / member.weight) if free else None

    async def _attempt(
        self, send: Callable[[Attempt], Awaitable[T]], member: Member, number: int, deadline: float
    ) -> T:
        now = self.clock.monotonic()
        call = _Call()
        attempt = Attempt(call, member, number, deadline, now, hedge=False)
        member.in_flight += 1
        try:
            async with asyncio.timeout(max(deadline - now, 0.0)):
                value = await send(attempt)
            attempt.commit()
        except TimeoutError:
            attempt.abort()
            message = f"model {self.name!r}: {member.name} did not answer in time"
            raise (Interrupted if attempt.won else EndpointUnavailable)(message) from None
        except EndpointError as error:
            if attempt.won:
                raise Interrupted(f"model {self.name!r}: the answer of {member.name} broke off: {error}") from error
            raise
        except asyncio.CancelledError:
            attempt.abort()
            raise
        finally:
            call.over = True
            member.in_flight -= 1
        return value


class _Call:
    def __init__(self) -> None:
        self.over = False

    def committed(self, attempt: Attempt) -> None:
        if self.over or attempt.aborted:
            raise AttemptLost
        attempt.won = True
