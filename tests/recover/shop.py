"""A cell in this process that has done something, and what is written outside of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.depot import MemoryDepot
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.adapters.memory.store import MemoryStore
from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.platform import Platform
from outlast.agent.run import Run
from outlast.agent.verdict import Done
from outlast.journal.audit import KINDS
from outlast.journal.seal import Sealer
from outlast.journal.stream import StoredRecord
from outlast.kernel.clock import Clock
from outlast.kernel.error import NotDone
from outlast.recover.backup import Backup, Terms
from outlast.recover.catalog import Catalog, Chain
from outlast.recover.contents import Contents, DepotBlobs
from outlast.recover.cut import Cut
from outlast.recover.manifest import Manifest
from outlast.recover.restore import Phase, Restore, Restored


class Shop:
    """An agent that buys twice, waits for a word, and buys once more; the ledger is outside."""

    def __init__(self, *, verified: bool = True) -> None:
        self.app: App[None] = App("t")
        self.ledger: list[str] = []

        @self.app.tool(effect="once")
        async def buy(ctx: Context[None], n: int) -> int:
            self.ledger.append(ctx.key)
            return n

        if verified:

            @buy.verify
            async def check(ctx: Context[None], n: int) -> Any:
                return Done(n) if ctx.key in self.ledger else NotDone

        @self.app.tool(effect="pure")
        async def long_text(n: int) -> str:
            return f"{n}" * 80_000

        @self.app.agent(session_ttl="1h")
        async def shop(run: Run[None]) -> list[Any]:
            found: list[Any] = [await buy(1), len(await long_text(3))]
            return [*found, await run.signal("go"), await buy(2)]

        @self.app.agent
        async def quick(run: Run[None], n: int) -> int:
            return await buy(n)


class Memory:
    """A Log."""

    def __init__(self) -> None:
        self.phase: Phase = "before"

    def reach(self, phase: Phase) -> None:
        self.phase = phase


def terms(**more: Any) -> Terms:
    return Terms("shop", "memory", "0", **more)


async def take(
    store: Any, blobs: Any, depot: Any, *, clock: Clock | None = None, sealer: Sealer | None = None, **more: Any
) -> Manifest:
    return await Backup(store, blobs, depot, clock or SystemClock(), OsRandomness(), terms(**more), sealer).take()


async def contents_of(depot: Any, backup: Manifest | None = None) -> Contents:
    catalog = await Catalog.read(depot)
    chosen = backup or catalog.check_found(depot)
    return Contents(depot, await Chain.read(depot, catalog.chain(chosen)))


async def cut(depot: Any, at: float | None = None, backup: Manifest | None = None) -> Cut:
    newest = (await contents_of(depot)).chain.heads()
    return await Cut.make(await contents_of(depot, backup), at, None, newest)


def platform(store: MemoryStore, blobs: MemoryBlobs) -> Platform:
    return Platform(SystemClock(), OsRandomness(), store, store, store, blobs, MemoryExecutors())


async def restore(
    depot: Any, store: Any, blobs: Any, at: float | None = None, *, nothing_later: bool = False, log: Any = None
) -> Restored:
    made = await cut(depot, at)
    behind = getattr(store, "behind", store)

    @contextlib.asynccontextmanager
    async def seen() -> AsyncIterator[Platform]:
        yield platform(behind, blobs)

    return await Restore(
        made, DepotBlobs(depot), store, blobs, seen, log or Memory(), SystemClock(), "test", nothing_later=nothing_later
    ).run()


async def everything(store: Any) -> Mapping[str, list[StoredRecord]]:
    streams = [stream for kind in KINDS for stream in await store.streams(kind)]
    return {stream: list(await store.read(stream, 0, 100_000)) for stream in streams}


__all__ = ["MemoryDepot"]
