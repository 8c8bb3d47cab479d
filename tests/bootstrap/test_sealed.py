"""A whole application on a real journal with keys: all of it is there, and no payload is readable in any file.

The same application without keys is the control: there the same scan finds what it looks for.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.sqlite.reader import SqliteReader
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.agent.rehearsal import rehearse
from outlast.agent.run import Run
from outlast.agent.view import RunView
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.home import state_directory
from outlast.bootstrap.platform import open_direct_platform
from outlast.cell.worker import Worker
from outlast.journal.seal import Sealer
from outlast.journal.sealed import SealedBlobs, sealed
from outlast.journal.stream import quick
from outlast.kernel.error import Conflict, NotDone, OutlastError, StoreSealed
from tests.journal.ring import Ring, key_named

MARK = "hunter2-of-Zanzibar"
OLD, NEW = key_named("old"), key_named("new")


def forms(mark: str) -> list[bytes]:
    """A text as a file may hold it: plain, in UTF-16, in hexadecimal, in base64 wherever it begins."""
    raw = mark.encode()
    found = [raw, raw.decode().encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode()]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        whole = text[4 if before else 0 : len(text) - 2]
        found += [whole, whole.translate(bytes.maketrans(b"+/", b"-_"))]
    return found


def findings(home: Path) -> list[str]:
    """Which files hold the mark, in whatever form: also in their names."""
    looked = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") or path.suffix == ".sqlite" for path in looked)
    return [
        f"{path.relative_to(home)}: {form!r}"
        for path in looked
        for form in forms(MARK)
        if form in path.read_bytes() or form in str(path).encode()
    ]


def application(*, changed: bool = False) -> App[None]:
    app: App[None] = App("secretive")

    @app.tool(effect="pure")
    async def look(what: str) -> dict[str, str]:
        return {MARK: f"result of {what} {MARK}"}

    @app.tool(effect="pure")
    async def large(times: int) -> str:
        return f"{MARK} " * times

    @app.tool(effect="pure", retry=1)
    async def broken(what: str) -> str:
        raise ValueError(f"failure of {what}: {MARK}")

    @app.tool(effect="once")
    async def undone(what: str) -> str:
        raise NotDone(f"not done {what}")

    @app.agent
    async def talk(run: Run[None], text: str) -> list[str]:
        run.session.say("user", text)
        run.session.state["known"] = {"about": text}
        found = await look(text + (" reworded" if changed else ""))
        big = await large(6_000)
        try:
            await broken(text)
        except Exception as error:
            run.session.say("assistant", str(error))
        told = await run.signal("go")
        return [found[MARK], big, told]

    @app.agent
    async def fail(run: Run[None], text: str) -> None:
        raise ValueError(f"the run failed: {text}")

    @app.agent
    async def doubtful(run: Run[None], text: str) -> None:
        await lose(text)

    @app.tool(effect="once")
    async def lose(what: str) -> None:
        raise ConnectionError(f"lost {what}")

    return app


class Site:
    """A worker on a journal in a directory, and what finds work for it."""

    def __init__(self, app: App[None], platform: Platform) -> None:
        self.platform = platform
        self.control = Control(platform, app)
        self.reports: list[str] = []
        self.worker = Worker(app, platform, "w1", report=self.reports.append)

    async def until(self, run: str, *states: str) -> RunView:
        entry = None
        try:
            async with asyncio.timeout(60):
                while True:
                    for entry in await self.platform.index.due(self.platform.clock.now()):
                        self.worker.offer(entry.run)
                    entry = await self.platform.index.entry(run)
                    if entry is not None and entry.state in states:
                        return await self.control.view(run)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimeoutError(f"run {run} is not {states}: {entry}, {self.reports}") from None


@contextlib.asynccontextmanager
async def site(home: Path, sealer: Sealer | None, app: App[None] | None = None) -> AsyncIterator[Site]:
    settings = Settings(session_snapshot_every=1, park_after_s=0.05)
    async with open_direct_platform(home, Blueprint(), settings=settings) as opened:
        platform = opened
        if sealer is not None:
            store, blobs = sealed(platform.store, platform.blobs, sealer)  # type: ignore[arg-type] # it is all three
            platform = dataclasses.replace(platform, store=store, index=store, snapshots=store, blobs=blobs)
        place = Site(app or application(), platform)
        async with place.worker:
            yield place


async def live(home: Path, sealer: Sealer | None, rotate: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Everything that a payload can go through; returns the runs."""
    runs: dict[str, str] = {}
    async with site(home, sealer) as place:
        control = place.control
        assert (quick(place.platform.store) is not None) == (quick(place.platform.store) is place.platform.store)
        for name in ("first", "second"):
            runs[name] = (await control.start("talk", f"{name} {MARK}", session="s")).run
            await place.until(runs[name], "parked")
            rotate()
            await control.signal(runs[name], "go", f"{MARK} told " * (10_000 if name == "second" else 1), id="sig")
            view = await place.until(runs[name], "completed")
            assert view.result[0] == f"result of {name} {MARK} {MARK}"
            assert len(view.result[1]) > 100_000
        runs["fail"] = (await control.start("fail", MARK)).run
        await place.until(runs["fail"], "failed")
        runs["doubtful"] = (await control.start("doubtful", MARK)).run
        await place.until(runs["doubtful"], "held")
        runs["cancelled"] = (await control.start("talk", MARK, session="own")).run
        await place.until(runs["cancelled"], "parked")
        await control.cancel(runs["cancelled"], f"because of {MARK}")
        await place.until(runs["cancelled"], "cancelled")
        await control.stop_agent("fail", f"stopped for {MARK}")
        session = await control.session("s")
        assert session.state == {"known": {"about": f"second {MARK}"}}
        assert MARK in session.messages[-1].content
        entry = await place.platform.index.entry(runs["fail"])
        assert entry is not None
        assert MARK in entry.reason
        key = f"session/s@{place.platform.store.lineage}"
        snapshot = await place.platform.snapshots.load(key)
        assert snapshot is not None
        assert MARK.encode() in snapshot.body
        assert findings(home) if sealer is None else not findings(home), "also while it runs"
    return runs


async def test_without_a_key_the_scan_finds_payloads_in_the_journal_and_in_blobs(short_dir: Path) -> None:
    await live(short_dir, None)
    found = findings(short_dir)
    assert any("journal" in line for line in found)
    assert any("blobs" in line for line in found)


async def test_with_a_key_no_payload_is_readable_in_any_file(short_dir: Path) -> None:
    await live(short_dir, Ring(OLD))
    assert not findings(short_dir)


async def test_keys_that_rotate_while_runs_are_under_way_lose_nothing(short_dir: Path) -> None:
    ring = Ring(OLD)
    runs = await live(short_dir, ring, lambda: ring.keys.insert(0, key_named(f"k{len(ring.keys)}")))
    assert len(ring.keys) == 3
    assert not findings(short_dir)
    async with site(short_dir, ring) as place:
        view = await place.control.view(runs["first"])
        assert view.result[0] == f"result of first {MARK} {MARK}"
    async with site(short_dir, Ring(*ring.keys[1:])) as place:
        assert (await place.control.view(runs["first"])).result
        with pytest.raises(StoreSealed, match=ring.keys[0].id):
            await place.control.view(runs["fail"])


async def test_the_same_large_signal_after_a_rotation_is_the_same(short_dir: Path) -> None:
    ring = Ring(OLD)
    async with site(short_dir, ring) as place:
        run = (await place.control.start("talk", MARK, session="s")).run
        await place.until(run, "parked")
        payload = f"{MARK} " * 10_000
        await place.control.signal(run, "other", payload, id="once")
        ring.keys.insert(0, NEW)
        await place.control.signal(run, "other", payload, id="once")
        with pytest.raises(Conflict, match="used before with other content"):
            await place.control.signal(run, "other", payload + "!", id="once")


async def test_a_rehearsal_knows_a_large_result_again_that_is_sealed(short_dir: Path) -> None:
    ring = Ring(OLD)
    runs = await live(short_dir, ring)
    ring.keys.insert(0, NEW)
    async with site(short_dir, ring) as place:
        report = await rehearse(application(), place.platform, runs["first"])
        assert (report.verdict, report.reason) == ("same", "")
        report = await rehearse(application(changed=True), place.platform, runs["first"])
        assert report.verdict == "drift"


async def test_a_history_from_before_the_key_goes_on_sealed(short_dir: Path) -> None:
    async with site(short_dir, None) as place:
        run = (await place.control.start("talk", "no secret yet", session="own")).run
        await place.until(run, "parked")
    ring = Ring(OLD)
    async with site(short_dir, ring) as place:
        await place.control.signal(run, "go", f"told {MARK}" * 10_000)
        view = await place.until(run, "completed")
        assert MARK in view.result[2]
    reader = SqliteReader.open(short_dir / state_directory / "journal.sqlite")
    records = await reader.read(f"run/{run}@{reader.lineage}")
    reader.close()
    assert not records[0].body.startswith(b'{"format":2,')
    assert records[-1].body.startswith(b'{"format":2,')


async def test_without_its_key_a_worker_lets_a_run_be_and_says_which_key_is_missing(short_dir: Path) -> None:
    async with site(short_dir, Ring(OLD)) as place:
        run = (await place.control.start("talk", MARK, session="own")).run
        await place.until(run, "parked")
        await place.control.signal(run, "go", "now")
    for without in (None, Ring(NEW)):
        async with site(short_dir, without) as place:
            with pytest.raises(StoreSealed, match=OLD.id):
                await place.control.view(run)
            completed = asyncio.ensure_future(place.until(run, "completed"))
            async with asyncio.timeout(60):
                while len(place.reports) < 2:  # noqa: ASYNC110 (it is offered the run again and again)
                    await asyncio.sleep(0.01)
            completed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await completed
            assert all(OLD.id in line for line in place.reports)
    async with site(short_dir, Ring(OLD)) as place:
        assert (await place.until(run, "completed")).result[2] == "now"


async def test_a_kill_switch_that_cannot_be_read_counts_as_pulled(short_dir: Path) -> None:
    async with site(short_dir, Ring(OLD)) as place:
        await place.control.stop_agent("fail", "for a reason")
    async with site(short_dir, Ring(NEW)) as place:
        assert OLD.id in place.worker._stopped_agents["fail"]
        with pytest.raises(OutlastError):
            await place.control.agent_stopped("fail")


async def test_a_blob_that_is_sealed_is_not_read_as_if_it_were_plain(short_dir: Path) -> None:
    async with site(short_dir, Ring(OLD)) as place:
        blobs: Any = place.platform.blobs
        assert isinstance(blobs, SealedBlobs)
        ref = await blobs.put(b'"payload"')
        assert b"payload" not in await blobs._blobs.get(ref)
