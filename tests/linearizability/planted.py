"""Stores that break their word in one way, each some of the time: what the checker is there to catch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.adapters.memory.store import MemoryStore
from outlast.journal.chain import link
from outlast.journal.stream import Append, Applied, Conflicted, Head, Outcome, StoredRecord
from outlast.kernel.randomness import derived


class Planted(MemoryStore):
    """Right but for what a subclass does to one call in `every`."""

    every = 12

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = derived("planted", str(seed))
        self.struck = 0

    async def turns(self) -> None:
        """As a server does: it takes a while, and others come in between."""
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)

    def strikes(self) -> bool:
        strikes = self._chance.randrange(self.every) == 0
        self.struck += strikes
        return strikes


class StaleRead(Planted):
    """A read that leaves out the last record, which its writer has been told of."""

    every = 4

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        await self.turns()
        records = await super().read(stream, after, limit)
        if records and len(records) < limit and self.strikes():
            return records[:-1]
        return records


class StaleHead(Planted):
    """A head that goes back by one record."""

    async def head(self, stream: str) -> Head:
        await self.turns()
        records = self._streams.get(stream, [])
        if len(records) > 1 and self.strikes():
            return Head(records[-2].seq + records[-2].count - 1, records[-2].hash)
        return await super().head(stream)


class LostAppend(Planted):
    """Acknowledged, and never written."""

    async def append(self, append: Append) -> Outcome:
        await self.turns()
        if self.end(append.stream) == append.expected and self.strikes():
            return Applied(Head(append.head, link(append.expected.hash, append.body)))
        return await super().append(append)


class ForgottenEnd(Planted):
    """As a standby promoted too early: what was acknowledged last is gone a little later."""

    every = 40

    async def append(self, append: Append) -> Outcome:
        await self.turns()
        outcome = await super().append(append)
        if isinstance(outcome, Conflicted) and outcome.head.seq > 2 and self.strikes():
            self._streams[append.stream].pop()
        return outcome


class AppliedTwice(Planted):
    """The same bytes at two places."""

    async def append(self, append: Append) -> Outcome:
        await self.turns()
        outcome = await super().append(append)
        if isinstance(outcome, Applied) and self.strikes():
            self.put(
                _moved(append, outcome.head),
                Head(outcome.head.seq + append.count, link(outcome.head.hash, append.body)),
            )
        return outcome


class AppliedAfterConflict(Planted):
    """Refused with the end that it expected, and written."""

    async def append(self, append: Append) -> Outcome:
        await self.turns()
        before = self.end(append.stream)
        outcome = await super().append(append)
        return Conflicted(before) if isinstance(outcome, Applied) and self.strikes() else outcome


class TwoAtOnePlace(Planted):
    """Both of two rivals are told that they were first; the second one stands."""

    async def append(self, append: Append) -> Outcome:
        await self.turns()
        records = self._streams.get(append.stream, [])
        if records and records[-1].seq == append.expected.seq + 1 and self.strikes():
            records.pop()
        return await super().append(append)


class BlindAppend(Planted):
    """Written although the stream has moved: after the end, whatever was expected."""

    async def append(self, append: Append) -> Outcome:
        await self.turns()
        end = self.end(append.stream)
        if end != append.expected and self.strikes():
            head = Head(end.seq + append.count, link(end.hash, append.body))
            self.put(_moved(append, end), head)
            return Applied(head)
        return await super().append(append)


def _moved(append: Append, end: Head) -> Append:
    return Append(append.stream, end, append.append_id, append.count, append.body)


VIOLATIONS: dict[str, Callable[[int], Planted]] = {
    "a stale read after an acknowledged append": StaleRead,
    "a head that goes back": StaleHead,
    "an acknowledged append that is lost": LostAppend,
    "an acknowledged end that is forgotten": ForgottenEnd,
    "an append that is applied twice": AppliedTwice,
    "an append that is applied after a conflict": AppliedAfterConflict,
    "two appends at one place": TwoAtOnePlace,
    "an append at another place than it expected": BlindAppend,
}
