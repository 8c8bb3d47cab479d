"""An EventStore in front of another one, that loses, delays, tears and doubles what it may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.adapters.faulty.plan import Dice, FaultPlan
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener
from outlast.journal.stream import Append, EventStore, Head, Outcome, StoredRecord, Unknown, check_append, check_stream
from outlast.kernel.error import StoreUnavailable


class FaultyStore:
    """Every fault is one that the port allows: what is Applied is in the store behind, what is Conflicted is not
    (unless an earlier copy of it was), and what is Unknown may be, now or later. Reads fail, but never lie.
    """

    def __init__(self, behind: EventStore, plan: FaultPlan) -> None:
        self._behind = behind
        self._plan = plan
        self._dice = Dice(plan)
        self._calls = 0
        self._full_until = 0
        self._late: list[tuple[int, Append]] = []
        self._torn_until = 0

    @property
    def faults(self) -> Dice:
        """What was dealt so far."""
        return self._dice

    @property
    def lineage(self) -> Lineage:
        return self._behind.lineage

    async def append(self, append: Append) -> Outcome:
        check_append(append)
        check_stream(append.stream, self.lineage)
        await self._turn()
        plan, dice = self._plan, self._dice
        if self._calls < self._full_until:
            return Unknown("the disk is full")
        if dice.hit("full", plan.full):
            self._full_until = self._calls + dice.upto(plan.full_calls_max)
            return Unknown("the disk is full")
        if dice.hit("lost_request", plan.lost_request):
            return Unknown("the request was lost")
        if dice.hit("late", plan.late):
            self._late.append((self._calls + dice.upto(plan.late_calls_max), append))
            return Unknown("no answer in time")
        if dice.hit("torn", plan.torn):
            self._torn_until = self._calls + dice.upto(plan.torn_calls_max)
        torn = self._calls < self._torn_until
        if torn and dice.upto(2) == 1:
            return Unknown("the commit failed")
        outcome = await self._behind.append(append)
        if dice.hit("doubled", plan.doubled):
            outcome = await self._behind.append(append)
        await self._delay()
        if torn:
            return Unknown("the commit failed")
        if dice.hit("lost_answer", plan.lost_answer):
            return Unknown("the answer was lost")
        return outcome

    async def head(self, stream: str) -> Head:
        await self._reading()
        return await self._behind.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        await self._reading()
        return await self._behind.read(stream, after, limit)

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        await self._reading()
        return await self._behind.streams(kind, after, limit)

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        return self._behind.listen(listener, steps=steps)

    async def settle(self) -> None:
        """Let everything land that is late."""
        late, self._late = self._late, []
        for _, append in late:
            await self._behind.append(append)

    async def _reading(self) -> None:
        await self._turn()
        if self._dice.hit("unreadable", self._plan.unreadable):
            raise StoreUnavailable("the store cannot be read now (a fault on purpose); try again")

    async def _turn(self) -> None:
        """One more call: what is late and due lands first."""
        self._calls += 1
        due = [append for when, append in self._late if when <= self._calls]
        self._late = [item for item in self._late if item[0] > self._calls]
        for append in due:
            await self._behind.append(append)
        await self._delay()

    async def _delay(self) -> None:
        if self._dice.hit("delay", self._plan.delay):
            for _ in range(self._dice.upto(self._plan.delay_turns_max)):
                await _next_turn()


async def _next_turn() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(lambda: future.done() or future.set_result(None))
    await future
