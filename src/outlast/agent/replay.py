"""Outcomes handed to agent code in the order in which they were recorded, live and in replay alike.

Code that races its steps (`asyncio.wait`, a shared list) sees the same winner in replay as it saw live. For that both
keep to one rule: what stands in one record is given out together; before the next record, whoever waits has had the
turns of the loop that it takes to see what was given out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from outlast.agent.history import History, Settled

_turns_between = 4  # loop turns until whoever waits for a task that waits for a step has seen its outcome
_patience_s = 1.0  # code that no longer calls the step whose turn it is must not wait for ever


class _Turns:
    """Calls `then` when everybody has had time to see what was given out."""

    __slots__ = ("_then", "counting")

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self.counting = False

    def begin(self) -> None:
        self.counting = True
        self._count(_turns_between)

    def _count(self, left: int) -> None:
        if left:
            asyncio.get_running_loop().call_soon(self._count, left - 1)
        else:
            self.counting = False
            self._then()


class Replay:
    """A cursor over `History.deliveries`. Outcomes recorded live are given out by `Handing`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._length = len(history.deliveries)
        self._cursor = 0
        self._blocked: dict[str, asyncio.Future[None]] = {}
        self._record = 0
        """That of the last outcome given out; 0: none yet."""
        self._task: asyncio.Task[Any] | None = None
        """Who got it."""
        self._turns = _Turns(self._next)
        self._skip()

    @property
    def running(self) -> bool:
        """Whether recorded outcomes are still to be given out."""
        return self._cursor < self._length

    def remaining(self) -> list[str]:
        """Places whose outcomes nobody has asked for."""
        return [place for place in self._history.deliveries[self._cursor : self._length] if self._owed(place)]

    def ready(self, place: str) -> Settled | None:
        """The outcome if its turn has come; None: `wait` for it.

        The turn of one record's outcomes comes at once, and so does the next for the task that got the last one: it
        does not race with itself.
        """
        if self.running:
            if self._history.deliveries[self._cursor] != place:
                return None
            record = self._history.records[self._cursor]
            if record != self._record and self._record and asyncio.current_task() is not self._task:
                return None
        return self._give(place)

    async def wait(self, place: str) -> Settled:
        """The outcome, once those recorded before it have been given out and seen."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._blocked[place] = future
        self._go_on()
        try:
            await asyncio.wait([future], timeout=_patience_s)
        finally:
            self._blocked.pop(place, None)
        return self._give(place)

    def _owed(self, place: str) -> bool:
        return place in self._history.outcomes and place not in self._history.abandoned

    def _give(self, place: str) -> Settled:
        if self.running and self._history.deliveries[self._cursor] == place:
            self._record = self._history.records[self._cursor]
        self._task = asyncio.current_task()
        settled = self._history.outcomes.pop(place)
        self._skip()
        self._go_on()
        return settled

    def _skip(self) -> None:
        deliveries = self._history.deliveries
        while self._cursor < self._length and not self._owed(deliveries[self._cursor]):
            self._cursor += 1

    def _go_on(self) -> None:
        """Let those go on who wait for what stands in the record given out last; the next record's after some turns."""
        if self._blocked and self.running and not self._release(self._record) and not self._turns.counting:
            self._turns.begin()

    def _next(self) -> None:
        if self.running:
            self._release(self._history.records[self._cursor])

    def _release(self, record: int) -> bool:
        """Whether anybody waited for the next outcomes of this record, in their order."""
        found = False
        for index in range(self._cursor, self._length):
            place = self._history.deliveries[index]
            if not self._owed(place):
                continue
            future = self._blocked.get(place)
            if future is None or self._history.records[index] != record:
                break
            found = True
            if not future.done():
                future.set_result(None)
        return found


class Handing:
    """Gives out what is recorded live: an outcome waits while those of the record before it are being seen."""

    def __init__(self) -> None:
        self._record = 0
        self._turns = _Turns(self._next)
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def under_way(self) -> bool:
        """Whether outcomes of a record are being seen."""
        return self._turns.counting

    async def turn(self, record: int) -> None:
        """Wait until outcomes of `record` may be given out."""
        if not self._turns.counting:
            self._begin(record)
        elif record != self._record:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append((record, future))
            await future

    def _begin(self, record: int) -> None:
        self._record = record
        self._turns.begin()

    def _next(self) -> None:
        if self._queue:
            self._begin(self._queue[0][0])
        while self._queue and self._queue[0][0] == self._record:
            _, future = self._queue.popleft()
            if not future.done():
                future.set_result(None)
