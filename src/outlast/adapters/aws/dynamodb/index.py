"""The run index: five indexes of the table find hints, which may lag behind the streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import get_args

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.entry import entry_of
from outlast.adapters.aws.dynamodb.size import Item
from outlast.adapters.aws.dynamodb.table import Table, batch_keys_max
from outlast.journal.index import RunEntry, State
from outlast.journal.lineage import Lineage
from outlast.kernel.error import NotFound

ripe_max = 1000
"""Of how many parked runs whose time has come the oldest update is looked for; of more, among those ripe longest."""
_page_min = 25
_last = "\uffff"

Accept = Callable[[RunEntry], bool]


class Index:
    """Questions to the hints of one lineage."""

    def __init__(self, table: Table, lineage: Lineage) -> None:
        self._table = table
        self._lineage = lineage

    async def entry(self, run: str) -> RunEntry | None:
        """As in RunIndex; as of now."""
        item = await self._table.get(layout.hint(run, self._lineage))
        return None if item is None else entry_of(item)

    async def due(self, now: float, limit: int, pool: str | None) -> list[RunEntry]:
        """As in RunIndex."""

        def accept(entry: RunEntry) -> bool:
            return entry.due(now) and pool in (None, entry.pool)

        waiting, ripe = await asyncio.gather(
            self._opened("due/", f"due/{_last}", accept, limit),
            self._opened("timer/", f"timer/{layout.moment(now)}/{_last}", accept, max(limit, ripe_max)),
        )
        found = {entry.run: entry for entry in [*waiting, *ripe]}
        return sorted(found.values(), key=lambda entry: (entry.updated_at, entry.run))[:limit]

    async def next_wake(self, now: float) -> float | None:
        """As in RunIndex, of runs that are not due for another reason."""
        start = f"timer/{layout.moment(now)}/{_last}"
        found = await self._opened(start, f"timer/{_last}", lambda entry: entry.wake_at > now, 1)
        return found[0].wake_at if found else None

    async def owned(self, owner: str | None, limit: int) -> list[RunEntry]:
        """As in RunIndex."""

        def accept(entry: RunEntry) -> bool:
            return entry.state == "running" and owner in (None, entry.owner)

        prefix = "owner/" if owner is None else f"owner/{layout.short(owner)}/"
        found = await self._opened(prefix, prefix + _last, accept, limit)
        return sorted(found, key=lambda entry: entry.run)

    async def list(
        self, state: str | None, agent: str | None, session: str | None, before: str | None, limit: int
    ) -> list[RunEntry]:
        """As in RunIndex. By the narrowest index; what else is asked for is looked at run by run."""
        last: RunEntry | None = None
        if before is not None:
            last = await self.entry(before)
            if last is None:
                raise NotFound(f"run {before!r} is not known: a page continues after a run of the page before it")

        def accept(entry: RunEntry) -> bool:
            return (
                state in (None, entry.state) and agent in (None, entry.agent) and session in (None, entry.session)
                and (last is None or (entry.created_at, entry.run) < (last.created_at, last.run))
            )  # fmt: skip

        index, stems = self._narrowest(state, agent, session)
        end = _last if last is None else layout.newest_at(last)
        page = max(_page_min, limit // len(stems) + 1)
        finds = [self._table.find(index, stem, "", end, page, newest_first=True) for stem in stems]
        range_name = layout.INDEXES[index][1]
        found: list[RunEntry] = []
        keys: list[layout.Key] = []
        async for item in _in_order(finds, range_name, newest_first=True):
            keys.append({"pk": dict(item["pk"]), "sk": dict(item["sk"])})
            if len(keys) >= min(batch_keys_max, page):
                found += await self._entries(keys, accept)
                keys = []
                if len(found) >= limit:
                    break
        found += await self._entries(keys, accept)
        found.sort(key=lambda entry: (entry.created_at, entry.run), reverse=True)
        return found[:limit]

    async def counts(self) -> dict[str, int]:
        """As in RunIndex."""
        states = get_args(State)
        totals = await asyncio.gather(*(self._count(state) for state in states))
        return {state: total for state, total in zip(states, totals, strict=True) if total}

    def _narrowest(self, state: str | None, agent: str | None, session: str | None) -> tuple[str, list[str]]:
        if session:
            return "session", [f"{self._lineage}/{layout.short(session)}"]
        if agent is not None:
            return "agent", self._spread(f"{layout.short(agent)}/")
        if state is not None:
            return "state", self._spread(f"{state}/")
        return "newest", self._spread("")

    def _spread(self, middle: str) -> list[str]:
        return [f"{self._lineage}/{middle}{number}" for number in range(layout.shards)]

    async def _count(self, state: str) -> int:
        stems = self._spread(f"{state}/")
        return sum(await asyncio.gather(*(self._table.count("state", stem) for stem in stems)))

    async def _entries(self, keys: Sequence[layout.Key], accept: Accept) -> list[RunEntry]:
        found = [entry_of(item) for item in await self._table.get_all(keys)] if keys else []
        return [entry for entry in found if entry is not None and accept(entry)]

    async def _opened(self, start: str, end: str, accept: Accept, limit: int) -> list[RunEntry]:
        """Entries of runs that have not ended, in the order of what they wait for, as the index shows them."""
        found: list[RunEntry] = []
        if limit < 1:
            return found
        page = max(_page_min, limit // layout.shards + 1)
        finds = [self._table.find("open", stem, start, end, page) for stem in self._spread("")]
        async for item in _in_order(finds, "open_at"):
            entry = entry_of(item)
            if entry is not None and accept(entry):
                found.append(entry)
                if len(found) >= limit:
                    break
        return found


async def _in_order(
    finds: Sequence[AsyncIterator[Item]], name: str, *, newest_first: bool = False
) -> AsyncIterator[Item]:
    """What several partitions hold, in the order of one attribute."""
    firsts = await asyncio.gather(*(anext(find, None) for find in finds))
    heads = [(item, find) for item, find in zip(firsts, finds, strict=True) if item is not None]
    while heads:
        chosen = (max if newest_first else min)(range(len(heads)), key=lambda place: heads[place][0][name]["S"])
        item, find = heads[chosen]
        yield item
        following = await anext(find, None)
        if following is None:
            heads.pop(chosen)
        else:
            heads[chosen] = (following, find)
