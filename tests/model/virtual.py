"""Virtual time for pools: a seeded loop, its clock, and endpoints in memory that behave as told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointUnavailable
from outlast.simulation.loop import SimLoop

T = TypeVar("T")


class VirtualClock:
    """Implements `kernel.clock.Clock` with the time of the running loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SeededRandomness:
    """Implements `kernel.randomness.Randomness`."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self) -> float:
        return self._random.random()


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]], seed: int = 0) -> T:
    """Run `main` on a loop whose time passes only where nothing else is to be done."""
    loop = SimLoop(Random(seed))
    try:
        result = loop.run_until_complete(main())
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not left, f"tasks are left behind: {left}"
        assert not loop.errors, loop.errors
        return result
    finally:
        loop.close()


class Endpoints:
    """A sender: each name behaves as its entry in `does` says; `asked` tells who was asked, in order."""

    def __init__(self, **does: Callable[[Attempt], Awaitable[Any]]) -> None:
        self.does = does
        self.asked: list[str] = []
        self.stopped: list[str] = []

    async def __call__(self, attempt: Attempt) -> Any:
        name = attempt.member.name
        self.asked.append(name)
        attempt.on_abort(lambda: self.stopped.append(name))
        return await self.does[name](attempt)


def answers(after_s: float = 0.01, value: str = "") -> Callable[[Attempt], Awaitable[str]]:
    """Answers after so many seconds."""

    async def answer(attempt: Attempt) -> str:
        await asyncio.sleep(after_s)
        attempt.commit()
        return value or attempt.member.name

    return answer


async def silent(attempt: Attempt) -> str:
    """Accepts and says nothing."""
    await asyncio.get_running_loop().create_future()
    return "never"


def fails(error: Exception | None = None, after_s: float = 0.001) -> Callable[[Attempt], Awaitable[str]]:
    """Fails after so many seconds."""

    async def fail(attempt: Attempt) -> str:
        await asyncio.sleep(after_s)
        raise error or EndpointUnavailable("down")

    return fail
