"""A project's journal moves from SQLite to PostgreSQL and back, sealed or not: the same streams, and runs go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.file import make_keys
from outlast.adapters.memory.presence import MemoryPresence
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.agent.run import Run
from outlast.blueprint.load import parse
from outlast.blueprint.run_on import Local, RunOn
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.auditing import audit_journal
from outlast.bootstrap.migrating import check_rest, migrate
from outlast.bootstrap.platform import open_direct_platform
from outlast.bootstrap.reading import open_reading_platform
from outlast.cell.presence import HostBeat
from outlast.cell.worker import Worker
from outlast.journal.audit import KINDS
from outlast.journal.publication import cursor_stream, cursor_version
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import StreamKey
from outlast.kernel.error import ConfigurationError, Conflict, NotFound
from tests.servers.postgres import PostgresServer, required, running

app: App[None] = App("t")


@app.tool(effect="pure")
async def long_text() -> str:
    return "long" * 50_000


@app.agent
async def talk(run: Run[None], text: str) -> int:
    found = await long_text()
    return len(found) + int(await run.signal("go", int))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    required()
    with running() as server:
        yield server


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def home(
    request: pytest.FixtureRequest, short_dir: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("MOVED", server.url())
    seal = "encrypt: file:keys.json, " if request.param else ""
    (short_dir / "outlast.yaml").write_text(
        f"stores: {{journal: {{{seal}postgres: {{url: env:MOVED, namespace: moved_{short_dir.name[3:].lower()}}}}}}}\n"
    )
    make_keys(short_dir / "keys.json", OsRandomness())
    return short_dir


def blueprint(home: Path, engine: Any = "sqlite") -> Blueprint:
    found = parse((home / "outlast.yaml").read_bytes())
    return msgspec.structs.replace(found, run_on=RunOn(Local(journal=engine)))


async def contents(platform: Platform) -> dict[str, list[Any]]:
    store = platform.store
    streams = [stream for kind in KINDS for stream in await store.streams(kind)]
    return {stream: [(record.seq, record.stored) for record in await store.read(stream)] for stream in streams}


async def begin(home: Path) -> str:
    async with open_direct_platform(home, blueprint(home)) as platform:
        control = Control(platform, app)
        async with Worker(app, platform, "worker_a") as worker:
            run = (await control.start("talk", "hello", session="s")).run
            worker.offer(run)
            while "signal.awaited" not in [event.type for event in await control.events(run)]:
                await platform.clock.sleep(0.01)
        return run


async def half_published(home: Path, run: str) -> Snapshot:
    """A cursor as the keeper leaves it."""
    async with open_direct_platform(home, blueprint(home)) as platform:
        stream = str(StreamKey("run", run, platform.store.lineage))
        (first, *_) = await platform.store.read(stream)
        cursor = Snapshot(cursor_stream(stream), first.count, first.hash, cursor_version, stream.encode())
        await platform.snapshots.save(cursor)
        return cursor


async def test_a_journal_moves_there_and_back_and_its_runs_go_on(home: Path, tmp_path: Path) -> None:
    run = await begin(home)
    cursor = await half_published(home, run)
    there = await migrate(home, blueprint(home), "sqlite", "postgres")
    assert there.report.flaws == []
    assert there.report.sealed == 0, "what it seals was looked into"
    assert there.copied.blobs == 1
    async with contextlib.AsyncExitStack() as stack:
        before = await stack.enter_async_context(open_reading_platform(home, blueprint(home)))
        after = await stack.enter_async_context(open_reading_platform(home, blueprint(home, "postgres")))
        assert await contents(after) == await contents(before)
        assert after.store.lineage == before.store.lineage
        assert await after.snapshots.load(cursor.stream) == cursor, "how far it is published is known there too"
    again = await migrate(home, blueprint(home), "sqlite", "postgres")
    assert (again.copied.records, again.copied.there) == (0, there.copied.records)
    async with open_direct_platform(home, blueprint(home, "postgres")) as platform:
        control = Control(platform, app)
        await control.signal(run, "go", 5)
        async with Worker(app, platform, "worker_b") as worker:
            worker.offer(run)
            while (view := await control.view(run)).state != "completed":
                await platform.clock.sleep(0.01)
        assert view.result == 200_005
    with pytest.raises(Conflict, match="another history"):
        await migrate(home, blueprint(home), "sqlite", "postgres")  # it has gone on there
    back = tmp_path / "back"
    back.mkdir()
    for name in ("outlast.yaml", "keys.json"):
        (back / name).write_bytes((home / name).read_bytes())
        (back / name).chmod(0o600)
    assert (await migrate(back, blueprint(home), "postgres", "sqlite")).report.flaws == []
    assert (await audit_journal(back)).whole
    async with open_reading_platform(back, blueprint(home)) as platform:
        assert (await Control(platform, app).view(run)).result == 200_005


async def test_a_journal_that_a_host_works_on_is_not_copied() -> None:
    presence = MemoryPresence()
    await presence.beat(HostBeat("host_a", 1))
    await check_rest(presence)  # it has been dead for as long as anybody looked

    async def work() -> None:
        for count in range(2, 100):
            await presence.beat(HostBeat("host_a", count))
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    with pytest.raises(Conflict, match="host host_a works on this journal"):
        await check_rest(presence)
    working.cancel()


async def test_what_cannot_be_moved_is_said(home: Path) -> None:
    with pytest.raises(NotFound, match="nothing has run"):
        await migrate(home, blueprint(home), "sqlite", "postgres")
    with pytest.raises(ConfigurationError, match="name two engines"):
        await migrate(home, blueprint(home), "sqlite", "sqlite")
    with pytest.raises(ConfigurationError, match="does not say where dynamodb is"):
        await migrate(home, blueprint(home), "dynamodb", "postgres")
