"""What an append is answered when its commit fails, is lost, waits or is warned about: Unknown; resending decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

import psycopg
import pytest

from outlast.adapters.postgres.engine import PostgresEngine
from outlast.journal.chain import genesis, link
from outlast.journal.index import HintPatch
from outlast.journal.stream import Append, Applied, Conflicted, Head, Outcome, Unknown
from outlast.kernel.error import StoreUnavailable, UsageError
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import applied, everything, fill, key, names, note, settle
from tests.servers.postgres import PostgresServer, running

Until = Callable[..., Awaitable[None]]


@pytest.fixture(scope="module")
def waiting_server() -> Iterator[PostgresServer]:
    """Its commits wait for a standby that there is not."""
    with running(settings=["synchronous_standby_names = 'nobody'"]) as server:
        server.execute("ALTER ROLE outlast SET synchronous_commit = 'local'")  # the engine's own setting wins
        yield server


def backends(server: PostgresServer, what: str = "true") -> list[int]:
    rows = server.execute(f"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'outlast %' AND {what}")
    return [int(str(pid)) for (pid,) in rows]


def waiting(server: PostgresServer) -> list[int]:
    return backends(server, "wait_event = 'SyncRep'")


def cancel(server: PostgresServer, pids: Sequence[int], how: str = "cancel") -> None:
    for pid in pids:
        server.execute(f"SELECT pg_{how}_backend({pid})")


@pytest.fixture
async def stalled(waiting_server: PostgresServer, until: Until) -> Callable[..., Awaitable[Outcome]]:
    """Sends an append whose commit waits for its standby, and ends the wait in the given way."""

    async def send(engine: PostgresEngine, append: Append, how: str) -> Outcome:
        task = asyncio.create_task(engine.journal.append(append))
        await until(lambda: asyncio.to_thread(waiting, waiting_server), 20, "the commit waits")
        assert not task.done()
        await asyncio.to_thread(cancel, waiting_server, waiting(waiting_server), how)
        return await asyncio.wait_for(task, 20)

    return send


async def freed(server: PostgresServer, task: asyncio.Task[Outcome]) -> Outcome:
    """The outcome of an append, with every wait for a standby cancelled under it."""
    while not task.done():
        await asyncio.to_thread(cancel, server, waiting(server))
        await asyncio.wait({task}, timeout=0.02)
    return task.result()


def settled(server: PostgresServer, value: str) -> None:
    for _ in range(1000):
        if server.execute("SHOW synchronous_standby_names")[0][0] == value:
            return
    raise AssertionError("the setting did not arrive")


def standbys(server: PostgresServer, names: str) -> None:
    """Have the server's commits wait for these standbys from now on."""
    server.settings[:] = [f"synchronous_standby_names = '{names}'"]
    server.reload()
    settled(server, names)


async def prepared(server: PostgresServer) -> Site:
    """A schema with tables, made while nothing waits for a standby."""
    standbys(server, "")
    site = Site.on(server)
    async with opened(site):
        pass
    standbys(server, "nobody")
    return site


@pytest.mark.parametrize("strong", [True, False])
@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_commit_whose_standby_was_not_waited_for_is_unknown_and_resending_succeeds_once(
    waiting_server: PostgresServer, stalled: Callable[..., Awaitable[Outcome]], how: str, strong: bool
) -> None:
    site = await prepared(waiting_server)
    async with opened(site, strong=strong) as engine:
        store = engine.journal
        stream = key(store, "a")
        append = note(stream, genesis(stream), "once", hint=HintPatch("a", agent="desk"))
        first = await stalled(engine, append, how)
        assert isinstance(first, Unknown), first
        if how == "cancel":
            assert "warning" in first.reason
        head = Head(1, link(append.expected.hash, append.body))
        again = asyncio.create_task(store.append(append))
        if strong:
            await asyncio.sleep(0)
            assert not again.done()
            outcome = await freed(waiting_server, again)
            assert isinstance(outcome, Unknown), "a conflict with a record that is not replicated yet must wait for it"
            standbys(waiting_server, "")
            assert isinstance(await store.append(append), Unknown), "strong mode noticed that nobody is waited for"
            with pytest.raises(StoreUnavailable, match="may not be on a standby yet"):
                await store.head(stream)
        else:
            assert await again == Conflicted(head)
    standbys(waiting_server, "")
    async with opened(site) as engine:
        assert await names(engine.journal, stream) == ["once"]


async def test_strong_mode_notices_when_nobody_is_waited_for_any_more(waiting_server: PostgresServer) -> None:
    site = await prepared(waiting_server)
    async with opened(site, strong=True) as engine:
        stream = key(engine.journal, "a")
        standbys(waiting_server, "")
        append = note(stream, genesis(stream), "alone")
        outcome = await engine.journal.append(append)
        assert isinstance(outcome, Unknown)
        assert "is empty now" in outcome.reason
        outcome = await engine.journal.append(append)
        assert isinstance(outcome, Unknown)
        assert "set it" in outcome.reason


async def test_strong_mode_answers_once_the_standby_is_there(waiting_server: PostgresServer, until: Until) -> None:
    site = await prepared(waiting_server)
    async with opened(site, strong=True, answer_s_max=60) as engine:
        store = engine.journal
        stream = key(store, "a")
        task = asyncio.create_task(store.append(note(stream, genesis(stream), "held")))
        await until(lambda: asyncio.to_thread(waiting, waiting_server), 20)
        assert not task.done()
        standby = PostgresServer()
        try:
            await asyncio.to_thread(standby.copy_of, waiting_server, name="s1")
            await asyncio.to_thread(standby.start)
            assert not task.done()
            standbys(waiting_server, "s1")
            head = applied(await asyncio.wait_for(task, 30))
            assert head.seq == 1
            assert (await fill(store, stream, 3)).seq == 4
            record = f"SELECT max(seq) FROM {site.schema}.record WHERE stream = '{stream}'"
            await until(lambda: standby.execute(record) == [(4,)], 10, "the standby shows it")
        finally:
            standby.remove()


async def test_strong_mode_refuses_a_server_without_standbys_and_says_what_to_do(site: Site) -> None:
    with pytest.raises(StoreUnavailable, match="synchronous_standby_names is empty: set it"):
        async with opened(site, strong=True):
            pass


async def test_commits_that_wait_for_ever_are_bounded_in_number(waiting_server: PostgresServer) -> None:
    site = await prepared(waiting_server)
    async with opened(site, strong=True, answer_s_max=0.5, lock_s_max=0.2) as engine:
        store = engine.journal
        outcomes: list[Outcome] = []
        for index in range(5):
            stream = key(store, f"r{index}")
            outcomes.append(await store.append(note(stream, genesis(stream), "x")))
        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        assert "answer_s_max" in outcomes[0].reason  # type: ignore[union-attr]
        assert "wait for a synchronous standby" in outcomes[-1].reason  # type: ignore[union-attr]
        stuck = await asyncio.to_thread(waiting, waiting_server)
        assert len(stuck) == 2
        await asyncio.to_thread(cancel, waiting_server, stuck, "terminate")


async def test_a_connection_that_was_ended_between_two_appends_comes_back(site: Site, server: PostgresServer) -> None:
    async with opened(site) as engine:
        store = engine.journal
        stream = key(store, "a")
        await fill(store, stream, 2)
        for _ in range(3):
            await asyncio.to_thread(cancel, server, backends(server), "terminate")
            head = await store.head(stream)
            outcome = await settle(store, note(stream, head, f"a{head.seq + 1}"))
            assert isinstance(outcome, Applied)
        assert len(await everything(store, stream)) == 5


async def test_terminated_at_any_moment_nothing_is_lost_or_doubled(site: Site, server: PostgresServer) -> None:
    stop = asyncio.Event()
    terminated = 0

    async def terminate() -> None:
        nonlocal terminated
        while not stop.is_set():
            active = await asyncio.to_thread(backends, server, "state = 'active'")
            await asyncio.to_thread(cancel, server, active, "terminate")
            terminated += len(active)

    async with opened(site) as engine:
        store = engine.journal
        killer = asyncio.create_task(terminate())

        async def write(name: str) -> list[str]:
            stream = key(store, name)
            head = genesis(stream)
            written: list[str] = []
            while len(written) < 25 or terminated < 5:
                outcome = await settle(store, note(stream, head, f"{name}-{len(written)}", "x" * 2000))
                head = applied(outcome)
                written.append(f"{name}-{len(written)}")
            return written

        written = await asyncio.gather(*(write(f"r{index}") for index in range(8)))
        stop.set()
        await killer
        for index, expected in enumerate(written):
            assert await _patiently(lambda index=index: names(store, key(store, f"r{index}"))) == expected


async def _patiently(ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
    for _ in range(50):
        with suppress(StoreUnavailable):
            return await ask()
    return await ask()


async def test_a_server_that_is_killed_has_what_was_acknowledged_and_the_rest_resolves(until: Until) -> None:
    with running() as server:
        async with opened(Site.on(server), connect_s_max=2) as engine:
            store = engine.journal
            streams = [key(store, f"r{index}") for index in range(6)]
            acknowledged: dict[str, Head] = {stream: genesis(stream) for stream in streams}
            unknown = 0
            end = False

            async def write(stream: str) -> None:
                nonlocal unknown
                while not end:
                    head = acknowledged[stream]
                    append = note(stream, head, f"a{head.seq + 1}")
                    outcome = await store.append(append)
                    while isinstance(outcome, Unknown):
                        unknown += 1
                        await asyncio.sleep(0.02)
                        outcome = await settle(store, append, 1)
                    acknowledged[stream] = applied(
                        await settle(store, append) if isinstance(outcome, Conflicted) else outcome
                    )

            writers = [asyncio.create_task(write(stream)) for stream in streams]
            for _ in range(2):
                goal = 50 + sum(head.seq for head in acknowledged.values())
                await until(lambda goal=goal: sum(head.seq for head in acknowledged.values()) > goal, 30)
                await asyncio.to_thread(server.kill)
                known = dict(acknowledged)
                await asyncio.to_thread(server.start)
                for stream, head in known.items():
                    assert (await _head(engine, stream)).seq >= head.seq
            end = True
            await asyncio.gather(*writers)
            assert unknown > 0
            for stream in streams:
                expected = [f"a{seq}" for seq in range(1, acknowledged[stream].seq + 1)]
                assert await names(store, stream) == expected
            assert engine.losses() == []


async def _head(engine: PostgresEngine, stream: str) -> Head:
    while True:
        try:
            return await engine.journal.head(stream)
        except StoreUnavailable:
            await asyncio.sleep(0.05)


async def test_a_row_that_another_holds_makes_the_append_unknown_and_no_more(site: Site) -> None:
    async with opened(site, lock_s_max=0.3) as engine:
        store = engine.journal
        stream, other = key(store, "a"), key(store, "b")
        append = note(stream, genesis(stream), "mine")
        async with await psycopg.AsyncConnection.connect(site.url) as rival:
            taken = f"INSERT INTO {site.schema}.record VALUES (%s, 1, 1, '{{}}', '\\x00')"
            await rival.execute(taken.encode(), (stream,))
            outcomes = await asyncio.gather(
                store.append(append), store.append(note(other, genesis(other), "neighbour"))
            )
            assert isinstance(outcomes[0], Unknown)
            assert "lock_s_max" in outcomes[0].reason
            assert isinstance(outcomes[1], Applied), "who has nothing to do with it is written"
            assert (await fill(store, other, 3)).seq == 4
            await rival.rollback()
        assert isinstance(await store.append(append), Applied)


async def test_ends_that_others_have_moved_are_seen(site: Site) -> None:
    async with opened(site) as one, opened(site) as two:
        stream = key(one.journal, "a")
        head = genesis(stream)
        for index in range(10):
            store, rival = (one.journal, two.journal) if index % 2 else (two.journal, one.journal)
            late = note(stream, head, f"late{index}")
            head = applied(await store.append(note(stream, head, f"n{index}")))
            assert await rival.append(late) == Conflicted(head)
            assert await rival.head(stream) == head


async def test_what_the_tables_cannot_hold_is_refused_alone(site: Site) -> None:
    async with opened(site) as engine:
        store = engine.journal
        stream = key(store, "a")
        with pytest.raises(UsageError, match="NUL"):
            await store.append(Append(stream, genesis(stream), "a", 1, b'{"a":"\x00"}'))
        with pytest.raises(UsageError, match="hint_text_bytes_max"):
            await store.append(note(stream, genesis(stream), "a", hint=HintPatch("a", session="s" * 1025)))
        applied(await store.append(note(stream, genesis(stream), "a", hint=HintPatch("a", reason="nul \x00 here"))))
        entry = await store.entry("a")
        assert entry is not None
        assert entry.reason == "nul \ufffd here"


async def test_a_closed_journal_says_so(site: Site) -> None:
    async with opened(site) as engine:
        store = engine.journal
        stream = key(store, "a")
    assert await store.append(note(stream, genesis(stream), "late")) == Unknown("journal is closed: open it again")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.head(stream)
