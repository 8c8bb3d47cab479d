"""Who tells the index what an append changed about its run. It may be late, and never makes an append fail."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import msgspec

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.entry import Said, Stored, stored
from outlast.adapters.aws.dynamodb.table import Table
from outlast.journal.index import HintPatch
from outlast.journal.lineage import Lineage
from outlast.journal.stream import StreamKey
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreError, UsageError


class HintBounds(msgspec.Struct, frozen=True):
    """Bounds of what waits to be told; times in seconds. Above one a hint is dropped and counted: left to the sweep."""

    runs_max: int = 10_000
    """Runs of which something is to be told."""
    tries_max: int = 10
    """How often one is tried, with `first_s` before the second try, doubled up to `max_s`."""
    first_s: float = 0.1
    max_s: float = 30.0
    remembered_max: int = 10_000
    """Entries that are remembered, so that they need not be read before they are written."""
    races_max: int = 8
    """How often in one try another process may write the same entry first."""


class _Waiting:
    __slots__ = ("other", "own", "told")

    def __init__(self) -> None:
        self.own: Said | None = None
        self.other: Said | None = None
        self.told: list[asyncio.Future[None]] = []


class Hints:
    """Writes entries, those of one run one after the other. What comes while one is written goes with the next."""

    def __init__(self, table: Table, lineage: Lineage, clock: Clock, bounds: HintBounds | None = None) -> None:
        self._table = table
        self._lineage = lineage
        self._clock = clock
        self._bounds = bounds or HintBounds()
        self._waiting: dict[str, _Waiting] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._remembered: OrderedDict[str, Stored] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Of how many runs something is to be told."""
        return len(self._tasks)

    async def tell(self, stream: str, seq: int, patch: HintPatch, *, sure: bool = True) -> None:
        """Returns when it is written, or once it could not be: then it is tried again in the background.

        `seq`: the number of the last event of the append that carries it; `sure`: that append is durable.
        """
        key = StreamKey.parse(stream)
        own = key.kind == "run" and key.id == patch.run
        said = Said(patch, seq if own else None, sure)
        run = patch.run
        waiting = self._waiting.get(run)
        if waiting is None:
            if len(self._waiting) >= self._bounds.runs_max:
                self._table.usage.hints_lost += 1
                return
            waiting = self._waiting[run] = _Waiting()
        if own:
            waiting.own = said.over(waiting.own)
        else:
            waiting.other = said.over(waiting.other)
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.told.append(told)
        if run not in self._tasks:
            self._tasks[run] = asyncio.get_running_loop().create_task(self._run(run))
        await told

    async def close(self, patience_s: float) -> None:
        """Write what waits, for so long at most; what is left is lost to the sweep."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=patience_s)
        for task in list(self._tasks.values()):
            self._table.usage.hints_lost += 1
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, run: str) -> None:
        rest_s, tries = self._bounds.first_s, 0
        try:
            while (waiting := self._waiting.get(run)) is not None:
                taken = (waiting.other, waiting.own)
                told, waiting.told = waiting.told, []
                try:
                    await self._write(run, [said for said in taken if said is not None])
                except StoreError:
                    tries += 1
                    if tries >= self._bounds.tries_max:
                        self._table.usage.hints_lost += 1
                        return
                    _release(told)
                    await self._clock.sleep(rest_s)
                    rest_s = min(rest_s * 2, self._bounds.max_s)
                    continue
                except UsageError:  # an entry that no item can hold
                    self._table.usage.hints_lost += 1
                finally:
                    _release(told)
                rest_s, tries = self._bounds.first_s, 0
                if (waiting.other, waiting.own) == taken:
                    return
                waiting.other = None if waiting.other == taken[0] else waiting.other
                waiting.own = None if waiting.own == taken[1] else waiting.own
        finally:
            del self._tasks[run]
            waiting = self._waiting.pop(run, None)
            if waiting is not None:
                _release(waiting.told)

    async def _write(self, run: str, said: list[Said]) -> None:
        """Raises StoreError, UsageError."""
        before = self._remembered.pop(run, None)
        for _ in range(self._bounds.races_max):
            if before is None:
                before = stored(run, await self._table.get(layout.hint(run, self._lineage)))
            after = before
            for one in said:
                after = after.after(one)
            if after == before and before.rev > 0:
                self._remember(run, before)
                return
            item = after.written(self._lineage)
            if await self._table.replace(item, before.rev or None, before.item):
                self._remember(run, msgspec.structs.replace(after, rev=before.rev + 1, item=item))
                return
            before = None
        raise StoreError(f"the entry of run {run} is written by too many at once")

    def _remember(self, run: str, entry: Stored) -> None:
        self._remembered[run] = entry
        while len(self._remembered) > self._bounds.remembered_max:
            self._remembered.popitem(last=False)


def _release(told: list[asyncio.Future[None]]) -> None:
    for future in told:
        if not future.done():
            future.set_result(None)
