"""With a key no payload is readable in PostgreSQL's tables, DynamoDB's items or S3's objects; without one it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.file import make_keys
from outlast.agent.platform import Settings
from outlast.blueprint.load import load
from outlast.bootstrap.platform import open_direct_platform
from tests.bootstrap.test_sealed import MARK, Site, application, forms
from tests.crash.engines import NAMES, Servers, credentials
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


async def live(home: Path) -> None:
    """Inputs, results, a large one, failures, a signal, a session with its snapshot, a reason."""
    settings = Settings(session_snapshot_every=1, park_after_s=0.05)
    async with open_direct_platform(home, load(home), settings=settings) as platform:
        place = Site(application(), platform)
        async with place.worker:
            run = (await place.control.start("talk", f"first {MARK}", session="s")).run
            await place.until(run, "parked")
            await place.control.signal(run, "go", f"{MARK} told")
            view = await place.until(run, "completed")
            assert view.result[2] == f"{MARK} told"
            failed = (await place.control.start("fail", MARK)).run
            await place.until(failed, "failed")
            entry = await platform.index.entry(failed)
            assert entry is not None
            assert MARK in entry.reason


def in_postgres(server: PostgresServer, database: str) -> bytes:
    """Every row of every table of its own, as text; bytes in hexadecimal."""
    tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'outlast'", database)
    rows = [row for (table,) in tables for row in server.execute(f"SELECT t::text FROM outlast.{table} t", database)]
    assert rows
    return "\n".join(str(text) for (text,) in rows).encode()


def in_aws(servers: Servers) -> bytes:
    """Every item of every table and every object of every bucket."""
    found: list[bytes] = []
    tables: Any = servers.client("dynamodb")
    for table in tables.list_tables()["TableNames"]:
        for page in tables.get_paginator("scan").paginate(TableName=table):
            found.append(json.dumps(page["Items"], default=lambda raw: bytes(raw).decode("latin-1")).encode("latin-1"))
            found += [bytes(value["B"]) for item in page["Items"] for value in item.values() if "B" in value]
    objects: Any = servers.client("s3")
    for bucket in objects.list_buckets()["Buckets"]:
        for one in objects.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            found.append(objects.get_object(Bucket=bucket["Name"], Key=one["Key"])["Body"].read())
    assert found
    return b"\n".join(found)


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_sealed_is_not_readable_and_what_is_not_is(
    name: str, servers: Servers, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in credentials.items():
        monkeypatch.setenv(variable, value)
    for sealed in (True, False):
        home = short_dir / ("sealed" if sealed else "plain")
        home.mkdir()
        engine = await servers.engine(name)
        for variable, value in engine.environment.items():
            monkeypatch.setenv(variable, value)
        make_keys(home / "keys.json", OsRandomness())
        seal = "journal: {encrypt: file:keys.json, " if sealed else "journal: {"
        (home / "outlast.yaml").write_text(engine.yaml.replace("journal: {", seal, 1))
        await live(home)
        raw = in_aws(servers) if name == "dynamodb" else in_postgres(servers.postgres, servers.database)
        assert any(form in raw for form in forms(MARK)) is not sealed
