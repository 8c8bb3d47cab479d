"""What a reader has seen in strong mode outlives a failover."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.options import PostgresOptions
from outlast.drill.failover.cluster import Cluster, opened
from outlast.drill.process import send
from outlast.journal.chain import genesis
from outlast.journal.stream import EventStore
from outlast.kernel.error import StoreUnavailable
from tests.contracts.note import applied, key, note
from tests.servers.postgres import required


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.timeout(300)
async def test_what_a_reader_saw_of_a_cancelled_commit_is_still_there(until: Callable[..., Awaitable[None]]) -> None:
    """A commit whose wait for its standby is cut off is visible on the primary, and the standby need not have it."""
    required()
    clock, randomness = SystemClock(), OsRandomness()
    async with opened("sync", clock, randomness) as cluster:
        options = PostgresOptions(url=cluster.url(), strong=True)
        async with (
            PostgresEngine.open(options, clock, randomness) as writer,
            PostgresEngine.open(options, clock, randomness) as reader,
        ):
            stream = key(writer.journal, "x")
            head = applied(await writer.journal.append(note(stream, genesis(stream), "one")))
            for sender in cluster.primary.senders():
                send(sender, signal.SIGSTOP)
            pending = asyncio.ensure_future(writer.journal.append(note(stream, head, "two")))
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

            async def cut_off() -> bool:
                return bool(await cluster.primary.ask(cut))

            await until(cut_off, 20, "a commit that waits for its standby")
            await until(pending.done, 20, "its writer is answered")
            try:
                seen = (await reader.journal.head(stream)).seq
            except StoreUnavailable:  # no standby says that it has it: nobody is told of it
                seen = head.seq
            await _fail_over(cluster)
            assert await _head(reader.journal, stream, until) >= seen


async def _fail_over(cluster: Cluster) -> None:
    old, (new, other) = cluster.primary, cluster.standbys
    await old.kill()
    await new.ask("SELECT pg_promote(true, 30)")
    cluster.primary = new
    conninfo = f"{new.conninfo()} application_name={cluster.names[other.name]}"
    await other.ask(f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'")
    await other.ask("SELECT pg_reload_conf()")


async def _head(journal: EventStore, stream: str, until: Callable[..., Awaitable[None]]) -> int:
    """The number of the last event; a reader in strong mode may well be told to try again."""
    found: list[int] = []

    async def asked() -> bool:
        try:
            found.append((await journal.head(stream)).seq)
        except StoreUnavailable:
            return False
        return True

    await until(asked, 30, "the journal is read")
    return found[-1]
