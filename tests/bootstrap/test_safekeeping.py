"""The keeper's schedule on a real project: what it takes, what it says of failures, and what doctor can see."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.store import SqliteStore
from outlast.blueprint.load import load
from outlast.bootstrap.depot import open_depot
from outlast.bootstrap.duty import backs_up, has_duties
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.safekeeping import Safekeeping, read_failures
from outlast.recover.catalog import Catalog
from outlast.recover.trial import last_trial
from tests.contracts.note import fill, key


def project(home: Path, places: str, more: str = "full_every: 1h, test_restore: daily") -> Path:
    (home / "outlast.yaml").write_text(
        "regions: {standby: {aws: eu-west-1}, home: {aws: eu-central-1}}\n"
        f"backup: {{journal: {{{more}, copies: [standby], places: {{{places}}}}}}}\n"
    )
    StateDirectory(home).make()
    return home


async def worked(home: Path) -> None:
    store = SqliteStore.open(StateDirectory(home).journal, OsRandomness())
    await fill(store, key(store, "s", "session"), 5)
    store.close()


async def keep(home: Path, until: str, lines: list[str]) -> None:
    """Let it work until it says something."""
    work = asyncio.ensure_future(
        Safekeeping(home, load(home), lambda level, line: lines.append(f"{level} {line}")).run()
    )
    try:
        async with asyncio.timeout(60):
            while not any(until in line for line in lines):
                await asyncio.sleep(0.02)
                assert not work.done()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_it_takes_and_tries_a_backup_at_each_place(short_dir: Path) -> None:
    home = project(short_dir, "home: one, standby: two")
    await worked(home)
    lines: list[str] = []
    await keep(home, "standby: backup", [])
    for place in ("one", "two"):
        async with open_depot(place, home) as depot:
            assert [one.kind for one in (await Catalog.read(depot)).backups] == ["full"]
    await keep(home, "standby: backup", lines)  # begins anew, and knows what was done: only the rest is
    async with open_depot("two", home) as depot:
        assert len((await Catalog.read(depot)).backups) == 1
        trial = await last_trial(depot)
        assert trial is not None
        assert (trial.passed, trial.events) == (True, 5)
    assert read_failures(home) == []


async def test_a_failure_is_told_kept_and_cleared_by_the_next_success(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.recover.schedule.again_s", 0.1)
    home = project(short_dir, "home: depot", "full_every: 1h")
    await worked(home)
    (home / "depot").write_text("this is no directory")
    lines: list[str] = []
    await keep(home, "failed", lines)
    assert any("warning backup of the journal" in line and "depot" in line for line in lines)
    assert "backups are not written to standby" in lines[0]
    (failure,) = read_failures(home)
    assert failure.place == "home"
    (home / "depot").unlink()
    lines.clear()
    await keep(home, "succeeds again", lines)
    assert read_failures(home) == []


def test_a_keeper_runs_only_where_there_is_a_schedule_and_a_place(short_dir: Path) -> None:
    assert backs_up(load(project(short_dir, "home: depot")))
    assert has_duties(load(project(short_dir, "home: depot")))
    assert not backs_up(load(project(short_dir, "")))
    assert not backs_up(load(project(short_dir, "home: depot", "lock: 30d")))
