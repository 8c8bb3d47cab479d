"""What was cut off, rewritten or taken out of PostgreSQL or DynamoDB shows, though its chains are whole."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Preparation, prepare
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.options import PostgresOptions
from outlast.blueprint.load import load
from outlast.bootstrap.auditing import audit_journal
from outlast.bootstrap.engine import open_engine
from outlast.journal.audit import Report
from outlast.journal.removal import record_removals
from outlast.journal.stream import EventStore, Head
from outlast.kernel.point import NoPoints
from tests.contracts.note import applied, fill, key, note
from tests.crash.engines import Servers, credentials
from tests.servers.moto import moto

_numbers = count()
UNGUARDED = Preparation(deletion_protection=False)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture(scope="module")
def address_of_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as address:
        yield address


class Postgres:
    """A database of its own, and whoever may change it behind everybody's back."""

    def __init__(self, servers: Servers, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = servers.postgres
        self._name = f"anchored{next(_numbers)}"
        self._url = self._server.create_database(self._name)
        monkeypatch.setenv("ANCHORED", self._url)
        (home / "outlast.yaml").write_text(
            "stores: {journal: {postgres: {url: env:ANCHORED}}}\nrun_on: {local: {journal: postgres}}\n"
        )

    async def prepare(self) -> None: ...

    async def cut(self, stream: str, after: int) -> None:
        self._server.execute(f"DELETE FROM outlast.record WHERE stream = '{stream}' AND seq > {after}", self._name)

    @asynccontextmanager
    async def unseen(self) -> AsyncIterator[EventStore]:
        options = PostgresOptions(url=self._url)
        async with PostgresEngine.open(options, SystemClock(), OsRandomness()) as engine:
            yield engine.journal


class Dynamo:
    """The same of a table."""

    def __init__(self, address: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable, value in credentials.items():
            monkeypatch.setenv(variable, value)
        name = f"anchored{next(_numbers)}"
        self._options = AwsOptions(name, f"{name}-blobs", "eu-central-1", address)
        (home / "outlast.yaml").write_text(
            f"stores: {{journal: {{dynamodb: {{table: {name}, bucket: {name}-blobs, region: eu-central-1, "
            f'endpoint_url: "{address}"}}}}}}\nrun_on: {{local: {{journal: dynamodb}}}}\n'
        )

    async def prepare(self) -> None:
        await prepare(self._options, SystemClock(), OsRandomness(), UNGUARDED)

    async def cut(self, stream: str, after: int) -> None:
        async with AwsEngine.open(self._options, SystemClock(), OsRandomness(), NoPoints()) as engine:
            for item in await engine.table.query(stream, f"{after:016d}"):
                await engine.table.delete({"pk": dict(item["pk"]), "sk": dict(item["sk"])})

    @asynccontextmanager
    async def unseen(self) -> AsyncIterator[EventStore]:
        async with AwsEngine.open(self._options, SystemClock(), OsRandomness(), NoPoints()) as engine:
            yield engine.journal


class Place:
    """A journal with two runs, written as a cell writes it."""

    def __init__(self, home: Path, engine: Postgres | Dynamo) -> None:
        self.home = home
        self.engine = engine
        self.heads: dict[str, Head] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EventStore]:
        async with open_engine(self.home, load(self.home), NoPoints()) as engine:
            yield engine.journal

    async def write(self) -> None:
        async with self.opened() as journal:
            for name, records in (("a", 12), ("b", 5)):
                stream = key(journal, name)
                self.heads[stream] = await fill(journal, stream, records)

    async def audit(self) -> Report:
        return await audit_journal(self.home)

    async def damages(self) -> list[tuple[str, str]]:
        return [(flaw.damage, flaw.subject) for flaw in (await self.audit()).flaws if flaw.grave]

    async def rewrite(self, stream: str, records: int) -> None:
        """Another history in its place, its chain whole."""
        await self.engine.cut(stream, 0)
        async with self.engine.unseen() as journal:
            head = await journal.head(stream)
            for number in range(records):
                head = applied(await journal.append(note(stream, head, f"forged{number}")))


@pytest.fixture(params=["postgres", "ministack", "moto"])
async def place(
    request: pytest.FixtureRequest, servers: Servers, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    engine: Any
    if request.param == "postgres":
        engine = Postgres(servers, short_dir, monkeypatch)
    else:
        address = servers.address if request.param == "ministack" else request.getfixturevalue("address_of_moto")
        engine = Dynamo(address, short_dir, monkeypatch)
    made = Place(short_dir, engine)
    await engine.prepare()
    await made.write()
    return made


async def test_a_whole_journal_is_whole_and_its_heads_are_anchored(place: Place) -> None:
    report = await place.audit()
    assert [flaw for flaw in report.flaws if flaw.grave] == []
    assert report.anchors == 2


async def test_a_history_that_was_cut_off_shows(place: Place) -> None:
    stream = next(iter(place.heads))
    await place.engine.cut(stream, 11)
    assert await place.damages() == [("truncated", stream)]


async def test_a_stream_that_vanished_shows_unless_its_removal_is_on_record(place: Place) -> None:
    gone, other = place.heads
    await place.engine.cut(gone, 0)
    assert await place.damages() == [("truncated", gone)]
    async with place.opened() as journal:
        await record_removals(journal, [(gone, place.heads[gone])], SystemClock(), OsRandomness())
    report = await place.audit()
    assert [flaw for flaw in report.flaws if flaw.grave] == []
    assert report.removed == 1
    await place.engine.cut(other, 0)
    assert await place.damages() == [("truncated", other)], "and no other one is excused by it"


@pytest.mark.parametrize("records", [12, 20])
async def test_another_history_in_its_place_shows_whether_as_long_or_longer(place: Place, records: int) -> None:
    stream = next(iter(place.heads))
    await place.rewrite(stream, records)
    assert await place.damages() == [("diverged", stream)]


async def test_a_stream_of_a_name_that_was_removed_is_watched_again(place: Place) -> None:
    stream = next(iter(place.heads))
    async with place.opened() as journal:
        await record_removals(journal, [(stream, place.heads[stream])], SystemClock(), OsRandomness())
    await place.engine.cut(stream, 0)
    async with place.opened() as journal:
        await fill(journal, stream, 4, 2)
    assert await place.damages() == []
    assert not (place.home / ".outlast" / "losses.jsonl").exists(), "what was let go is not lost"
    await place.engine.cut(stream, 3)
    assert await place.damages() == [("truncated", stream)]


async def test_the_record_of_removals_is_anchored_itself(place: Place) -> None:
    stream = next(iter(place.heads))
    async with place.opened() as journal:
        await record_removals(journal, [(stream, place.heads[stream])], SystemClock(), OsRandomness())
        (record,) = await journal.streams("removal")
    await place.engine.cut(record, 0)
    assert await place.damages() == [("truncated", record)]


async def test_a_host_that_anchored_nothing_says_so(place: Place) -> None:
    elsewhere = place.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "outlast.yaml").write_bytes((place.home / "outlast.yaml").read_bytes())
    report = await audit_journal(elsewhere)
    assert report.whole
    assert "no heads are anchored where this host looks" in report.flaws[0].message


@pytest.mark.parametrize("name", ["postgres", "dynamodb"])
async def test_what_one_host_anchored_in_s3_is_known_to_another(
    name: str, servers: Servers, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in credentials.items():
        monkeypatch.setenv(variable, value)
    engine: Any
    if name == "postgres":
        engine = Postgres(servers, short_dir, monkeypatch)
    else:
        engine = Dynamo(servers.address, short_dir, monkeypatch)
    bucket = f"anchors{next(_numbers)}"
    servers.client("s3").create_bucket(
        Bucket=bucket, ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )  # fmt: skip
    said = (short_dir / "outlast.yaml").read_text()
    anchors = f'anchors: {{s3: {bucket}, lock: 1h, region: eu-central-1, endpoint_url: "{servers.address}"}}, '
    (short_dir / "outlast.yaml").write_text(said.replace("journal: {", "journal: {" + anchors, 1))
    place = Place(short_dir, engine)
    await engine.prepare()
    await place.write()
    other = Place(short_dir / "other", engine)
    other.home.mkdir()
    (other.home / "outlast.yaml").write_bytes((short_dir / "outlast.yaml").read_bytes())
    report = await other.audit()
    assert (report.flaws, report.anchors) == ([], 2) or not [flaw for flaw in report.flaws if flaw.grave]
    assert report.anchors == 2
    stream = next(iter(place.heads))
    await engine.cut(stream, 11)
    assert await other.damages() == [("truncated", stream)]
