"""A project's journal is backed up and restored elsewhere, from and to real engines and places, sealed or not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.file import make_keys
from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.control import Control
from outlast.agent.run import Run
from outlast.blueprint.load import load
from outlast.bootstrap.auditing import audit_journal
from outlast.bootstrap.backing import back_up, place_named
from outlast.bootstrap.depot import open_depot
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.platform import open_direct_platform
from outlast.bootstrap.reading import open_reading_platform
from outlast.bootstrap.restoring import restore
from outlast.cell.worker import Worker
from outlast.journal.audit import KINDS
from outlast.kernel.error import ConfigurationError, Conflict, NotFound, StoreSealed, UsageError
from outlast.recover.check import Check
from tests.crash.engines import Servers, credentials

ledger: list[str] = []
app: App[None] = App("t")


@app.tool(effect="pure")
async def long_text() -> str:
    return "long" * 50_000


@app.tool(effect="once")
async def buy(ctx: Context[None], n: int) -> int:
    ledger.append(ctx.key)
    return n


@app.agent
async def talk(run: Run[None], text: str) -> int:
    found = await long_text()
    return len(found) + int(await run.signal("go", int)) + await buy(1)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture
async def yaml(request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What two projects say of their engines: the one that is backed up, and the one that is restored into."""
    if request.param == "sqlite":
        return ["", ""]
    if request.param == "sealed":
        return ["stores: {journal: {encrypt: file:keys.json}}\n"] * 2
    found: list[str] = []
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    for number in range(2):
        engine = await servers.engine(request.param)
        found.append(engine.yaml.replace("CRASH_POSTGRES", f"RESTORED_{number}"))
        if request.param == "postgres":
            monkeypatch.setenv(f"RESTORED_{number}", engine.environment["CRASH_POSTGRES"])
    return found


@pytest.fixture
def place(request: pytest.FixtureRequest, servers: Servers, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "directory":
        return str(short_dir / "depot")
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    bucket = f"backups-{short_dir.name.lower().replace('_', '-')}-x"
    servers.client("s3").create_bucket(
        Bucket=bucket, ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )  # fmt: skip
    return f"s3://{bucket}/desk?region=eu-central-1&endpoint_url={servers.address}"


def project(directory: Path, name: str, yaml: str) -> Path:
    home = directory / name
    home.mkdir()
    (home / "outlast.yaml").write_text(f"name: desk\n{yaml}")
    if "encrypt" in yaml:
        keys = directory / "keys.json"
        if not keys.exists():
            make_keys(keys, OsRandomness())
        (home / "keys.json").write_bytes(keys.read_bytes())
        (home / "keys.json").chmod(0o600)
    return home


@contextlib.asynccontextmanager
async def cell(home: Path, worker: str) -> AsyncIterator[tuple[Control, Any]]:
    async with open_direct_platform(home, load(home)) as platform:
        control = Control(platform, app)
        async with Worker(app, platform, worker) as one:

            async def until(run: str, *states: str) -> Any:
                while True:
                    entry = await platform.index.entry(run)
                    if entry is not None and entry.due(platform.clock.now()):
                        one.offer(run)
                    if entry is not None and entry.state in states:
                        return await control.view(run)
                    await platform.clock.sleep(0.01)

            yield control, until


async def contents(home: Path) -> dict[str, list[Any]]:
    async with open_reading_platform(home, load(home)) as platform:
        store = platform.store
        streams = [stream for kind in KINDS for stream in await store.streams(kind)]
        return {stream: [(record.seq, record.stored) for record in await store.read(stream)] for stream in streams}


@pytest.mark.parametrize(
    ("yaml", "place"),
    [("sqlite", "directory"), ("sqlite", "s3"), ("sealed", "directory"), ("postgres", "directory"), ("dynamodb", "s3")],
    indirect=True,
)
async def test_a_cell_is_backed_up_while_it_runs_and_restored_elsewhere(
    yaml: list[str], place: str, short_dir: Path
) -> None:
    ledger.clear()
    home, other, third = (project(short_dir, name, yaml[min(index, 1)]) for index, name in enumerate("abc"))
    async with cell(home, "worker_a") as (control, until), open_depot(place, home) as depot:
        run = (await control.start("talk", "hello", session="s")).run
        await until(run, "parked")
        first = await back_up(home, load(home), depot)
        done = (await control.start("talk", "hello")).run
        await control.signal(done, "go", 1)
        await until(done, "completed")
        instant = control.platform.clock.now()
        second = await back_up(home, load(home), depot)
        assert (first.kind, second.kind) == ("full", "increment")
        await control.signal(run, "go", 5)
        await until(run, "completed")
        await back_up(home, load(home), depot)
        assert (await Check(depot).run()).flaws == []
    assert len(ledger) == 2
    async with open_depot(place, other) as depot:
        outcome = await restore(depot, other, instant)
        assert outcome.restored.report.whole
        assert outcome.restored.told.held == (run,)
        with pytest.raises(Conflict, match="not empty"):
            await restore(depot, other, instant)
    before, after = await contents(home), await contents(other)
    assert all(before[stream][: len(records)] == records for stream, records in after.items() if "inbox" not in stream)
    assert (await audit_journal(other)).whole
    async with cell(other, "worker_b") as (control, until):
        assert (await control.view(done)).result == 200_002
        view = await until(run, "held")
        assert "restored from a backup" in view.reason
        await control.redrive(run)
        await control.signal(run, "go", 5)
        while "may have been done" not in (view := await until(run, "held")).reason:
            await control.platform.clock.sleep(0.01)
    assert len(ledger) == 2, "nothing is bought again on a guess"
    if "postgres" in yaml[0] or "dynamodb" in yaml[0]:
        return
    async with open_depot(place, third) as depot:
        newest = await back_up(other, load(other), depot)
        assert newest.kind == "full"
        assert newest.forked, "the restored cell is another history"
        await restore(depot, third, None)
    assert len(await contents(third)) == len(await contents(other))


async def worked(home: Path, place: str) -> str:
    async with cell(home, "worker_a") as (control, until), open_depot(place, home) as depot:
        run = (await control.start("talk", "hello")).run
        await until(run, "parked")
        await control.platform.clock.sleep(0.1)
        await back_up(home, load(home), depot)
    return run


async def test_nothing_runs_where_a_restore_is_not_finished_and_only_that_one_goes_on(short_dir: Path) -> None:
    home, other = project(short_dir, "a", ""), project(short_dir, "b", "")
    place = str(short_dir / "depot")
    await worked(home, place)
    async with open_depot(place, home) as depot:

        class Broken(Exception):
            pass

        def breaks(copied: Any) -> None:
            raise Broken

        with pytest.raises(Broken):
            await restore(depot, other, None, progress=breaks)
        with pytest.raises(Conflict, match="is not finished, so nothing may run there"):
            async with open_direct_platform(other, load(other)):
                pass
        with pytest.raises(Conflict, match="broke off"):
            await restore(depot, other, None, nothing_later=True)
        await back_up(home, load(home), depot)  # a newer one does not change what goes on
        outcome = await restore(depot, other, None)
        assert outcome.resumed
        assert outcome.restored.report.whole
        assert not StateDirectory(other).restoring.exists()
        async with open_direct_platform(other, load(other)):
            pass


async def test_what_cannot_be_restored_is_said(short_dir: Path) -> None:
    home, other = project(short_dir, "a", ""), project(short_dir, "b", "")
    place = str(short_dir / "depot")
    async with open_depot(place, home) as depot:
        with pytest.raises(NotFound, match="no complete backup"):
            await restore(depot, other, None)
        with pytest.raises(NotFound, match="nothing to back up"):
            await back_up(home, load(home), depot)
        await worked(home, place)
        with pytest.raises(UsageError, match="is after the newest backup"):
            await restore(depot, other, 9e9)
        with pytest.raises(NotFound, match="there is no backup"):
            await restore(depot, other, None, backup="series_0123456789abcdefghijkl/1")
        assert (await restore(depot, other, 0.0)).restored.report.events <= 1, "there was nothing but is a letter"


async def test_sealed_backups_are_verified_without_the_keys_and_restored_with_them(short_dir: Path) -> None:
    home = project(short_dir, "a", "stores: {journal: {encrypt: file:keys.json}}\n")
    bare = project(short_dir, "b", "")
    place = str(short_dir / "depot")
    await worked(home, place)
    secret = b"longlonglong"
    async with open_depot(place, home) as depot:
        assert (await Check(depot).run()).flaws == []
        for name in await depot.names():
            assert secret not in await depot.get(name)
        with pytest.raises(StoreSealed, match="encrypt"):
            await restore(depot, bare, None)


def test_a_place_is_named_by_the_command_or_by_the_blueprint(short_dir: Path) -> None:
    home = project(short_dir, "a", "backup: {journal: {places: {home: /mnt/backups}}}\n")
    assert place_named(load(home), None) == "/mnt/backups"
    assert place_named(load(home), "s3://bucket/x") == "s3://bucket/x"
    with pytest.raises(ConfigurationError, match="nothing says where"):
        place_named(msgspec.structs.replace(load(home), backup={}), None)


@pytest.mark.parametrize("place", ["", "ftp://x/y", "s3://B_/x?region=r", "s3://bucket/x?where=here"])
async def test_a_place_that_is_none_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        async with open_depot(place, tmp_path):
            pass
