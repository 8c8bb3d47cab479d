"""Lists and counts may come from a replica that is behind; how far is measured, and all else comes from the primary."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from outlast.journal.index import Behind, HintPatch
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import applied, key, note
from tests.servers.postgres import PostgresServer, running

Until = Callable[..., Awaitable[None]]


async def test_lists_and_counts_come_from_the_replica_and_its_lag_is_known(until: Until) -> None:
    with running() as primary:
        replica = PostgresServer()
        try:
            await asyncio.to_thread(replica.copy_of, primary)
            await asyncio.to_thread(replica.start)
            site = Site.on(primary)
            async with opened(site, replicas=replica.url()) as engine:
                store = engine.journal

                async def create(run: str) -> None:
                    stream = key(store, run)
                    head = await store.head(stream)
                    applied(await store.append(note(stream, head, run, hint=HintPatch(run, created_at=1.0))))

                await create("a")
                await until(lambda: _runs(replica, site) == [("a",)], 20)
                assert [entry.run for entry in await store.list()] == ["a"]

                async def level() -> bool:
                    return await store.staleness() == 0.0

                await until(level, 20)
                await asyncio.to_thread(replica.execute, "SELECT pg_wal_replay_pause()")
                await create("b")
                behind = await store.list()
                assert [entry.run for entry in behind] == ["a"]
                assert isinstance(behind, Behind)
                assert behind.behind_s is not None
                assert behind.behind_s > 0
                fresh = await store.list(fresh=True)
                assert [entry.run for entry in fresh] == ["b", "a"], "who decides on it reads the primary"
                assert not isinstance(fresh, Behind)
                assert await store.counts() == {"ready": 1}
                assert (await store.entry("b")) is not None, "everything else reads the primary"
                assert [entry.run for entry in await store.due(0.0)] == ["a", "b"]
                of_primary = await store.list(before="b")
                assert [entry.run for entry in of_primary] == ["a"], "b is not known there yet"
                assert not isinstance(of_primary, Behind)
                lag = await store.staleness()
                assert lag is not None
                assert lag > 0
                await asyncio.to_thread(replica.kill)
                assert await store.counts() == {"ready": 2}, "without it the primary is asked"
                assert not isinstance(await store.list(), Behind)
                assert await store.staleness() is None
            async with opened(site) as engine:
                assert await engine.journal.staleness() == 0.0
        finally:
            replica.remove()


def _runs(server: PostgresServer, site: Site) -> list[tuple[object, ...]]:
    try:
        return server.execute(f"SELECT run FROM {site.schema}.run ORDER BY run")
    except Exception:
        return []
