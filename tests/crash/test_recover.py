"""Backups and restores under SIGKILL, and a cell that is restored after its host was lost under load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.adapters.sqlite.store import SqliteStore
from outlast.agent.event import RunEnd
from outlast.blueprint.load import load
from outlast.bootstrap.auditing import audit_journal
from outlast.bootstrap.backing import back_up
from outlast.bootstrap.depot import open_depot
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.platform import open_direct_platform
from outlast.bootstrap.restoring import restore
from outlast.journal.audit import KINDS
from outlast.kernel.error import Conflict
from outlast.recover.catalog import Catalog
from outlast.recover.check import Check
from outlast.recover.trial import last_trial
from tests.contracts.note import fill, key
from tests.crash.engines import Servers, credentials
from tests.crash.system import System

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]


def strike(*arguments: object) -> bool:
    """Whether it was killed; it must not end in another way."""
    done = subprocess.run([sys.executable, "-m", "tests.crash.strike", *map(str, arguments)], timeout=60)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


async def written(home: Path, streams: int, count: int) -> None:
    """A journal of notes: agents' switches, of which nobody reads what they say here."""
    state = StateDirectory(home)
    state.make()
    store = SqliteStore.open(state.journal, OsRandomness(), durability="process")
    for number in range(streams):
        await fill(store, key(store, f"s{number:02d}", "session"), count, size=40_000)
    store.close()


async def contents(home: Path) -> dict[str, list[Any]]:
    store = SqliteReader.open(StateDirectory(home).journal)
    streams = [stream for kind in KINDS for stream in await store.streams(kind)]
    found = {stream: [(record.seq, record.body) for record in await store.read(stream)] for stream in streams}
    store.close()
    return found


async def test_a_backup_that_is_killed_at_any_write_is_gone_on_with(short_dir: Path) -> None:
    await written(short_dir, 12, 40)  # three segments
    strikes = 0
    for where in ("before", "within", "behind"):
        place = short_dir / f"depot-{where}"
        number = 1
        while strike("backup", short_dir, place, number, where):
            strikes += 1
            async with open_depot(str(place), short_dir) as depot:
                assert (await Check(depot).run()).whole
                complete = (await Catalog.read(depot)).backups
                if complete:  # killed behind its manifest
                    break
            number = min(number + 1, 4)  # each time it comes further, since it goes on where it was
        else:
            async with open_depot(str(place), short_dir) as depot:
                complete = (await Catalog.read(depot)).backups
        assert len({one.series for one in complete}) == 1, "it went on, and did not begin anew"
        assert complete[0].events == 12 * 40
        target = short_dir / f"restored-{where}"
        async with open_depot(str(place), short_dir) as depot:
            assert (await restore(depot, target, None)).restored.report.flaws == []
        assert await contents(target) == await contents(short_dir)
    assert strikes >= 9


async def test_a_restore_that_is_killed_at_any_append_is_gone_on_with(short_dir: Path) -> None:
    home = short_dir / "home"
    home.mkdir()
    await written(home, 6, 10)
    place = short_dir / "depot"
    assert not strike("backup", home, place, 0, "before")
    for number, where in ((1, "before"), (1, "behind"), (31, "before"), (60, "before"), (60, "behind")):
        target = short_dir / f"to-{number}-{where}"
        assert strike("restore", place, target, number, where)
        with pytest.raises(Conflict, match="not finished"):
            async with open_direct_platform(target, load(target)):
                pass
        again = strike("restore", place, target, 3, "before")
        assert again or number == 60, "there is enough left to be killed again"
        if again:
            assert not strike("restore", place, target, 0, "before")
        assert await contents(target) == await contents(home)
        assert (await audit_journal(target)).whole


@pytest.mark.parametrize(("engine", "where"), [("sqlite", "directory"), ("postgres", "s3")])
async def test_a_cell_that_was_lost_under_load_is_restored_and_does_nothing_twice(
    short_dir: Path, servers: Servers, engine: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in credentials.items():
        monkeypatch.setenv(variable, value)
    stores, environments = ["", ""], [dict(credentials), dict(credentials)]
    if engine != "sqlite":
        for number in range(2):
            made = await servers.engine(engine)
            stores[number] = made.yaml
            environments[number] |= made.environment
    place = str(short_dir / "depot")
    if where == "s3":
        bucket = f"load-{short_dir.name.lower().replace('_', '-')}-x"
        servers.client("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        place = f"s3://{bucket}/desk?region=eu-central-1&endpoint_url={servers.address}"
    asked = f'full_every: 1h, point_in_time: 7d, test_restore: daily, places: {{home: "{place}"}}'
    asked = f"backup: {{journal: {{{asked}}}}}\n"
    homes = [short_dir / "old", short_dir / "new"]
    for one in homes:
        one.mkdir()
    for variable, value in environments[0].items():
        monkeypatch.setenv(variable, value)
    ended_before: set[str] = set()
    async with System(homes[0], yaml=stores[0] + asked, world=short_dir, environment=environments[0]) as system:
        runs: list[str] = []

        async def load_on() -> None:
            while True:
                runs.append(await system.start_run("far_bookings", tag=f"t{len(runs)}", count=6, seconds=0.02))
                await asyncio.sleep(0.05)

        loading = asyncio.ensure_future(load_on())
        evidence = system.state.path / "evidence.jsonl"

        def shown() -> bool:
            return evidence.exists() and evidence.read_bytes().endswith(b"\n")

        await system.until(shown, 60, "the keeper has backed up and tried to restore")
        assert json.loads(evidence.read_bytes().splitlines()[0])["passed"]
        async with open_depot(place, homes[0]) as depot:
            trial = await last_trial(depot)
            assert trial is not None
            assert trial.passed
            taken = 0
            while taken < 3:
                await asyncio.sleep(0.2)
                ended = {run for run in runs if await has_ended(system, run)}
                with contextlib.suppress(Conflict):  # the keeper is at it
                    await back_up(homes[0], load(homes[0]), depot)
                    taken, ended_before = taken + 1, ended
            await asyncio.sleep(0.3)
            assert not loading.done()
            system.kill_whole()
            loading.cancel()
            assert (await Check(depot).run()).whole
            newest = (await Catalog.read(depot)).check_found(depot)
    assert ended_before
    for variable, value in environments[1].items():
        monkeypatch.setenv(variable, value)
    (homes[1] / "outlast.yaml").write_text(f"outlast: 1\n{stores[1]}")
    async with open_depot(place, homes[1]) as depot:
        outcome = await restore(depot, homes[1], None)
    assert outcome.backup == newest.id
    assert outcome.restored.report.whole
    assert outcome.restored.told.held
    async with System(homes[1], yaml=stores[1], world=short_dir, environment=environments[1]) as system:
        for run in sorted(ended_before):
            assert (await system.control.view(run)).state == "completed", "nothing is lost up to the backup"
        views = await system.all_settled(outcome.restored.told.held)
        assert {view.state for view in views} == {"held"}
        assert all(count == 1 for count in system.attempts().values())
        for view in views:
            await system.control.redrive(view.run)
        for run in outcome.restored.told.held:
            while (await system.control.view(run)).state == "held":  # noqa: ASYNC110 (other processes go on)
                await asyncio.sleep(0.02)
        assert {view.state for view in await system.all_settled(outcome.restored.told.held)} == {"completed"}
        assert all(count == 1 for count in system.attempts().values()), "no effect is doubled"
        fresh = await system.start_run("bookings", tag="fresh", count=2, seconds=0.0)
        assert (await system.settled(fresh)).state == "completed"
        await system.verify_chains()


async def has_ended(system: System, run: str) -> bool:
    from outlast.agent.ending import last_event

    return isinstance(await last_event(system.platform, run), RunEnd)
