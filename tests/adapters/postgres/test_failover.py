"""A standby is promoted: its timeline is used, the old primary refused, and what was lost is said to the event."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.loss import LossReport, losses_beside, read_losses
from outlast.journal.chain import genesis
from outlast.journal.loss import Losses, Lost
from outlast.journal.stream import Applied, Head, Unknown
from outlast.kernel.error import StoreUnavailable
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import fill, key, names, note, settle
from tests.servers.postgres import PASSWORD, USER, PostgresServer

Until = Callable[..., Awaitable[None]]


class Pair:
    """A primary and a standby that follows it; one URL names both."""

    def __init__(self) -> None:
        self.primary = PostgresServer().start()
        self.standby = PostgresServer()
        self.standby.copy_of(self.primary, name="s1")
        self.standby.start()
        hosts = ",".join(f"{server.host}:{server.port}" for server in (self.primary, self.standby))
        self.url = f"postgresql://{USER}:{PASSWORD}@{hosts}/postgres"

    def synchronous(self) -> None:
        """Have commits wait for the standby."""
        self.primary.settings.append("synchronous_standby_names = 's1'")
        self.primary.reload()

    def remove(self) -> None:
        self.primary.remove()
        self.standby.remove()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.remove()


def promoted(server: PostgresServer) -> int:
    server.promote()
    found = server.execute("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")
    return int(str(found[0][0]))


async def test_a_failover_is_followed_and_a_returned_primary_refused(pair: Pair, tmp_path: Path, until: Until) -> None:
    site = Site(pair.url, "outlast")
    memory = tmp_path / "postgres.json"
    reports: list[LossReport] = []
    pair.synchronous()
    names_set = "SHOW synchronous_standby_names"
    await until(lambda: pair.primary.execute(names_set) == [("s1",)])
    async with opened(site, memory=memory, lost=reports.append, answer_s_max=3) as engine:
        store = engine.journal
        stream = key(store, "a")
        head = await fill(store, stream, 20)
        assert f":{pair.primary.port}" in str(await store._pool.ask(_where))
        await asyncio.to_thread(pair.primary.kill)
        late = note(stream, head, f"a{head.seq + 1}")
        assert isinstance(await store.append(late), Unknown)
        assert await asyncio.to_thread(promoted, pair.standby) == 2
        outcome = await settle(store, late)
        assert isinstance(outcome, Applied)
        assert f":{pair.standby.port}" in str(await store._pool.ask(_where))
        await asyncio.to_thread(pair.primary.start)  # it is back, and takes itself for the primary
        await fill(store, stream, 5)
        assert await names(store, stream) == [f"a{seq}" for seq in range(1, 27)]
        assert (reports, engine.losses()) == ([], [])
    # both can be written: of the two, the one of the higher timeline is used
    async with opened(site, memory=memory) as engine:
        assert (await engine.journal.head(stream)).seq == 26
        await fill(engine.journal, stream, 1)
    async with opened(site) as engine:
        assert (await engine.journal.head(stream)).seq == 27
    # the old one alone is refused by whoever has seen the new one, on this host also after a restart
    alone = Site(pair.primary.url(), "outlast")
    with pytest.raises(StoreUnavailable, match="on timeline 1, timeline 2 is known here") as refused:
        async with opened(alone, memory=memory):
            pass
    assert "pg_rewind" in str(refused.value)
    await asyncio.to_thread(pair.standby.stop)
    with pytest.raises(StoreUnavailable, match="timeline 1"):
        async with opened(site, memory=memory):
            pass


async def test_a_primary_that_is_frozen_is_given_up_and_its_successor_found(pair: Pair) -> None:
    async with opened(Site(pair.url, "outlast"), answer_s_max=1, connect_s_max=2) as engine:
        store = engine.journal
        stream = key(store, "a")
        head = await fill(store, stream, 3)
        await asyncio.to_thread(pair.primary.signal, signal.SIGSTOP)
        late = note(stream, head, "a4")
        outcome = await store.append(late)
        assert isinstance(outcome, Unknown)
        assert "answer_s_max" in outcome.reason
        await asyncio.to_thread(promoted, pair.standby)
        assert isinstance(await settle(store, late), Applied)
        assert await names(store, stream) == ["a1", "a2", "a3", "a4"]


async def test_strong_mode_that_is_refused_says_so_and_that_it_is_over(pair: Pair, until: Until) -> None:
    names_set = "SHOW synchronous_standby_names"
    pair.synchronous()
    await until(lambda: pair.primary.execute(names_set) == [("s1",)])
    said: list[str] = []
    async with opened(Site(pair.url, "outlast"), strong=True, complain=said.append) as engine:
        store = engine.journal
        stream = key(store, "a")
        head = await fill(store, stream, 1)
        assert said == []
        pair.primary.settings[-1] = "synchronous_standby_names = ''"
        pair.primary.reload()
        await until(lambda: pair.primary.execute(names_set) == [("",)])
        late = note(stream, head, "a2")
        for _ in range(4):
            assert isinstance(await store.append(late), Unknown)
        assert len(said) == 1, said
        assert "strong mode needs a synchronous standby" in said[0]
        pair.synchronous()
        await until(lambda: pair.primary.execute(names_set) == [("s1",)])
        assert isinstance(await settle(store, late), Applied)
        assert len(said) == 2
        assert "takes writes: runs go on" in said[1]


async def _where(session: object) -> str:
    return session.place  # type: ignore[attr-defined]


async def test_a_primary_that_returns_under_a_running_engine_is_refused(pair: Pair) -> None:
    site = Site(pair.url, "outlast")
    said: list[str] = []
    async with opened(site, answer_s_max=3, complain=said.append) as engine:  # without a file: the process remembers
        store = engine.journal
        stream = key(store, "a")
        head = await fill(store, stream, 3)
        await asyncio.to_thread(pair.primary.kill)
        await asyncio.to_thread(promoted, pair.standby)
        late = note(stream, head, "a4")
        await settle(store, late)
        await asyncio.to_thread(pair.standby.stop)
        await asyncio.to_thread(pair.primary.start)
        head = await _end(pair, stream)
        append = note(stream, head, "a5")
        assert isinstance(await store.append(append), Unknown)  # the connection was lost
        outcome = await store.append(append)
        assert isinstance(outcome, Unknown)
        assert "timeline" in outcome.reason
        with pytest.raises(StoreUnavailable, match="timeline"):
            await store.head(stream)
        refusals = [line for line in said if "is on timeline 1, timeline 2 is known here" in line]
        assert len(refusals) == 1, said
        assert refusals[0].startswith("nothing can be written, runs wait: ")


async def _end(pair: Pair, stream: str) -> Head:
    async with opened(Site(pair.primary.url(), "outlast")) as other:  # one that has seen nothing takes it for real
        return await other.journal.head(stream)


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_an_asynchronous_standby_had_not_got_is_reported_to_the_event(
    pair: Pair, tmp_path: Path, until: Until, restarted: bool
) -> None:
    site = Site(pair.url, "outlast")
    memory = tmp_path / "deep" / "postgres.json"
    reports: list[LossReport] = []
    losses = Losses()
    async with opened(site, memory=memory, lost=reports.append, losses=losses, answer_s_max=3) as engine:
        store = engine.journal
        kept, cut, gone = (key(store, name) for name in ("kept", "cut", "gone"))
        await fill(store, kept, 4)
        head = await fill(store, cut, 3)
        await until(lambda: _count(pair.standby) == 7, 20, "the standby has the first ones")
        receiver = "SELECT pid FROM pg_stat_replication"
        await asyncio.to_thread(_cut_off, pair)
        await until(lambda: pair.primary.execute(receiver) == [], 20, "the standby is cut off")
        head = await fill(store, cut, 2)
        assert head.seq == 5
        head = await fill(store, gone, 6)
        if not restarted:
            await asyncio.to_thread(pair.primary.kill)
            await asyncio.to_thread(promoted, pair.standby)
            assert isinstance(await settle(store, note(kept, await _settled_head(engine, kept), "a5")), Applied)
            assert (await store.head(cut)).seq == 3
    if restarted:  # another process of the host finds the books of the one that ended
        await asyncio.to_thread(pair.primary.kill)
        await asyncio.to_thread(promoted, pair.standby)
        async with opened(site, memory=memory, lost=reports.append, losses=losses):
            pass
    (report,) = reports
    assert [(gap.lost, gap.ours) for gap in losses.untold()] == [(one, True) for one in report.lost]
    assert {gap.failover for gap in losses.untold()} == {f"{report.system}/2"}
    assert list(report.lost) == [Lost(cut, 4, 5), Lost(gone, 1, 6)]
    assert (report.events, report.timeline, report.complete) == (8, 2, True)
    assert f":{pair.standby.port}/" in report.place
    assert list(read_losses(losses_beside(memory))) == [report]
    assert PASSWORD not in losses_beside(memory).read_text()
    later = Losses()
    async with opened(site, memory=memory, lost=reports.append, losses=later) as engine:
        assert list(engine.losses()) == [report], "it is said once, and kept"
        assert len(reports) == 1
    assert [(gap.lost, gap.ours) for gap in later.untold()] == [(one, False) for one in report.lost]
    losses_beside(memory).write_text("nonsense\n")
    async with opened(site, memory=memory):
        pass  # what cannot be read keeps nobody from working


async def test_another_process_of_the_host_knows_of_a_loss_before_it_reads_the_new_primary(
    pair: Pair, tmp_path: Path, until: Until
) -> None:
    site = Site(pair.url, "outlast")
    options: dict[str, Any] = {"memory": tmp_path / "postgres.json", "answer_s_max": 3}
    reports: list[LossReport] = []
    losses = Losses()
    async with (
        opened(site, **options) as engine,
        opened(site, **options, lost=reports.append, losses=losses) as other,
    ):
        store = engine.journal
        stream = key(store, "a")
        await fill(store, stream, 2)
        await until(lambda: _count(pair.standby) == 2, 20, "the standby has the first ones")
        await asyncio.to_thread(_cut_off, pair)
        receiver = "SELECT pid FROM pg_stat_replication"
        await until(lambda: pair.primary.execute(receiver) == [], 20, "the standby is cut off")
        await fill(store, stream, 3)
        await asyncio.to_thread(pair.primary.kill)
        await asyncio.to_thread(promoted, pair.standby)
        assert (await _settled_head(other, stream)).seq == 2
        assert [(gap.lost, gap.ours) for gap in losses.untold()] == [(Lost(stream, 3, 5), False)]
        assert reports == [], "it is for the one whose books they are in to report it"


def _count(server: PostgresServer) -> int:
    try:
        return int(str(server.execute("SELECT count(*) FROM outlast.record")[0][0]))
    except Exception:
        return -1


def _cut_off(pair: Pair) -> None:
    pair.standby.settings.append("primary_conninfo = ''")
    pair.standby.reload()


async def _settled_head(engine: PostgresEngine, stream: str) -> Head:
    while True:
        try:
            return await engine.journal.head(stream)
        except StoreUnavailable:
            await asyncio.sleep(0.05)


async def test_another_cluster_under_the_same_url_is_refused(
    site: Site, server: PostgresServer, tmp_path: Path
) -> None:
    memory = tmp_path / "postgres.json"
    async with opened(site, memory=memory):
        pass
    known = msgspec.json.decode(memory.read_bytes())
    memory.write_bytes(msgspec.json.encode({**known, "system": "1"}))
    with pytest.raises(StoreUnavailable, match="another cluster"):
        async with opened(site, memory=memory):
            pass


async def test_a_schema_that_is_gone_is_a_loss(site: Site, server: PostgresServer, tmp_path: Path) -> None:
    memory = tmp_path / "postgres.json"
    reports: list[LossReport] = []
    async with opened(site, memory=memory) as engine:
        stream = key(engine.journal, "a")
        await fill(engine.journal, stream, 3)
    server.execute(f"DROP SCHEMA {site.schema} CASCADE")
    async with opened(site, memory=memory, lost=reports.append) as engine:
        assert await engine.journal.streams("run") == []
        assert await engine.journal.head(stream) == genesis(stream)
    assert [report.lost for report in reports] == [(Lost(stream, 1, 3),)]
