"""Recorded outcomes handed to agent code in the order in which they were recorded.

Code that races its steps (`asyncio.wait`, a shared list) sees the same winner in replay as it saw live.
"""

from __future__ import annotations

import asyncio

from outlast.agent.history import History, Settled

_turns_between = 4  # loop turns until whoever waits for a task that waits for a step has seen its outcome
_patience_s = 1.0  # code that no longer calls the step whose turn it is must not wait for ever


class Replay:
    """A cursor over `History.deliveries`. Outcomes recorded live are given out at once by who recorded them."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._length = len(history.deliveries)
        self._cursor = 0
        self._blocked: dict[str, asyncio.Future[None]] = {}
        self._skip()

    @property
    def running(self) -> bool:
        """Whether recorded outcomes are still to be given out."""
        return self._cursor < self._length

    def remaining(self) -> list[str]:
        """Places whose outcomes nobody has asked for."""
        return [place for place in self._history.deliveries[self._cursor : self._length] if self._owed(place)]

    def ready(self, place: str) -> Settled | None:
        """The outcome if it is the next one; None: `wait` for it."""
        if self.running and self._history.deliveries[self._cursor] != place:
            return None
        return self._give(place)

    async def wait(self, place: str) -> Settled:
        """The outcome, once those recorded before it have been given out."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._blocked[place] = future
        try:
            await asyncio.wait([future], timeout=_patience_s)
        finally:
            self._blocked.pop(place, None)
        return self._give(place)

    def _owed(self, place: str) -> bool:
        return place in self._history.outcomes and place not in self._history.abandoned

    def _give(self, place: str) -> Settled:
        settled = self._history.outcomes.pop(place)
        self._skip()
        if self._blocked:
            self._later(_turns_between)
        return settled

    def _skip(self) -> None:
        deliveries = self._history.deliveries
        while self._cursor < self._length and not self._owed(deliveries[self._cursor]):
            self._cursor += 1

    def _later(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._later, turns - 1)
        elif self.running:
            future = self._blocked.get(self._history.deliveries[self._cursor])
            if future is not None and not future.done():
                future.set_result(None)
