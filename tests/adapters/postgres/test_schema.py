"""Who may make the tables, upgrade them, or only use them; what else lies there is refused."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres import migration, schema
from outlast.adapters.postgres.engine import prepare, reading
from outlast.adapters.postgres.options import PostgresOptions
from outlast.journal.blob import BlobRef
from outlast.journal.index import HintPatch
from outlast.journal.lineage import Lineage
from outlast.journal.reach import blob_age_s_min
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import ConfigurationError, NotFound, OutlastError, StoreCorrupt, StoreUnavailable
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import applied, everything, fill, key, note
from tests.contracts.shrinking import a_run
from tests.servers.postgres import PASSWORD, PostgresServer


def role(server: PostgresServer, name: str) -> str:
    """A role that may do nothing but connect; its URL."""
    server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p-{name}'")
    return server.url(user=name, password=f"p-{name}")


async def test_processes_that_start_at_once_make_the_tables_once(site: Site) -> None:
    async def lineage() -> Lineage:
        async with opened(site) as engine:
            return engine.journal.lineage

    assert len(set(await asyncio.gather(*(lineage() for _ in range(5))))) == 1


async def test_a_role_without_rights_works_on_a_prepared_schema_and_can_neither_change_nor_delete_a_record(
    site: Site, server: PostgresServer
) -> None:
    url = role(server, "worker")
    with pytest.raises(ConfigurationError, match=r"may not make or upgrade schema .*: run .*prepare"):
        async with opened(Site(url, site.schema)):
            pass
    lineage = await prepare(PostgresOptions(url=site.url, schema=site.schema), OsRandomness())
    with pytest.raises(OutlastError, match="grant it what"):
        async with opened(Site(url, site.schema)):
            pass
    server.execute(schema.grants("worker", site.schema))
    for migrate in (True, False):
        async with opened(Site(url, site.schema), migrate=migrate) as engine:
            store = engine.journal
            assert store.lineage == lineage
            stream = key(store, "a")
            head = await store.head(stream)
            head = applied(await store.append(note(stream, head, f"n{head.seq}", hint=HintPatch("a", agent="desk"))))
            await store.save(Snapshot(stream, head.seq, head.hash, 1, b"{}"))
            assert await engine.blobs.get(await engine.blobs.put(b"content")) == b"content"
            assert await engine.presence.all() == []
            assert len(await store.list()) == 1
            assert len(await everything(store, stream)) == head.seq
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "UPDATE {}.record SET body = ''",
            "DELETE FROM {}.record",
            "TRUNCATE {}.record",
            "UPDATE {}.meta SET value = ''",
            "CREATE TABLE {}.mine ()",
            "DROP TABLE {}.record",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.format(site.schema))  # type: ignore[arg-type]


async def test_only_a_role_that_may_removes_runs_and_blobs(site: Site, server: PostgresServer) -> None:
    await prepare(PostgresOptions(url=site.url, schema=site.schema), OsRandomness())
    url = role(server, "keeper")
    server.execute(schema.grants("keeper", site.schema))
    async with opened(Site(url, site.schema)) as engine:
        run = await a_run(engine.journal, "old")
        with pytest.raises(ConfigurationError, match="grant it what"):
            await engine.journal.remove([run])
        assert len(await everything(engine.journal, run.heads[-1][0])) == 3
    server.execute(schema.grants("keeper", site.schema, removes=True))
    async with opened(Site(url, site.schema)) as engine:
        await engine.journal.remove([run])
        assert await engine.journal.entry("old") is None
        await engine.blobs.sweep(set(), blob_age_s_min)


async def test_a_reader_reads_and_cannot_write(site: Site, server: PostgresServer) -> None:
    url = role(server, "reader")
    wanted = PostgresOptions(url=url, schema=site.schema)
    with pytest.raises(ConfigurationError, match="prepare it first"):
        async with reading(wanted, OsRandomness()):
            pass
    async with opened(site) as engine:
        stream = key(engine.journal, "a")
        await fill(engine.journal, stream, 3)
        ref = await engine.blobs.put(b"content")
    server.execute(schema.grants("reader", site.schema, read_only=True))
    async with reading(wanted, OsRandomness()) as seen:
        assert len(await everything(seen.journal, stream)) == 3  # type: ignore[arg-type]
        assert await seen.blobs.get(ref) == b"content"
        with pytest.raises(NotFound):
            await seen.blobs.get(BlobRef.of(b"other"))
        with pytest.raises(OutlastError):
            await seen.blobs.put(b"other")
    async with reading(PostgresOptions(url=site.url, schema=site.schema), OsRandomness()) as seen:
        with pytest.raises(StoreUnavailable, match="takes no writes"):  # not even for the owner
            await seen.blobs.put(b"other")


async def test_an_older_format_is_upgraded_and_a_newer_one_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(site) as engine:
        stream = key(engine.journal, "a")
        lineage = engine.journal.lineage
        await fill(engine.journal, stream, 3)
    later = (*schema.STEPS, ("ALTER TABLE blob ADD COLUMN extra double precision", "CREATE TABLE extra (a int)"))
    original = migration.migrate.__defaults__
    monkeypatch.setattr(migration.migrate, "__defaults__", (later,))
    async with opened(site) as engine:
        assert engine.journal.lineage == lineage
        assert (await fill(engine.journal, stream, 1)).seq == 4
    monkeypatch.setattr(migration.migrate, "__defaults__", original)
    for migrate in (True, False):
        with pytest.raises(ConfigurationError, match="has format 3, this release reads 2: use the release"):
            async with opened(site, migrate=migrate):
                pass


async def test_an_upgrade_that_fails_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(site):
        pass
    original = migration.migrate.__defaults__
    broken = (*schema.STEPS, ("CREATE TABLE extra (a int)", "ALTER TABLE nothing ADD COLUMN a int"))
    monkeypatch.setattr(migration.migrate, "__defaults__", (broken,))
    with pytest.raises(StoreCorrupt):
        async with opened(site):
            pass
    monkeypatch.setattr(migration.migrate, "__defaults__", original)
    async with opened(site) as engine:
        await fill(engine.journal, key(engine.journal, "a"), 1)


async def test_a_schema_of_something_else_is_refused_and_left_alone(site: Site, server: PostgresServer) -> None:
    server.execute(f"CREATE SCHEMA {site.schema}")
    async with opened(Site(site.url, site.schema)):  # an empty one is taken
        pass
    server.execute(f"DROP SCHEMA {site.schema} CASCADE")
    server.execute(f"CREATE SCHEMA {site.schema}")
    server.execute(f"CREATE TABLE {site.schema}.record (id int)")
    with pytest.raises(StoreCorrupt, match="holds tables that are no journal"):
        async with opened(site):
            pass
    tables = f"SELECT tablename FROM pg_tables WHERE schemaname = '{site.schema}'"
    assert server.execute(tables) == [("record",)]


async def test_a_database_that_is_not_utf8_is_refused(server: PostgresServer) -> None:
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(ConfigurationError, match="encoded as LATIN1, expected UTF8"):
        async with opened(Site(server.url("latin"), "outlast")):
            pass


@pytest.mark.parametrize(
    "url",
    [
        f"postgres//outlast:{PASSWORD}@127.0.0.1/x",
        f"postgresql://outlast:{PASSWORD}%zz@127.0.0.1/x",
        f"postgresql://outlast:{PASSWORD}@127.0.0.1/x?nonsense={PASSWORD}",
        f"postgresql://outlast:{PASSWORD}@a,b,c:1,2/x",
        f"postgresql://outlast:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://outlast:wrong-{PASSWORD}@127.0.0.1:PORT/postgres",
        f"postgresql://nobody:{PASSWORD}@127.0.0.1:PORT/postgres",
        f"postgresql://outlast:{PASSWORD}@127.0.0.1:PORT/no-such-database",
        f"postgresql://outlast:{PASSWORD}@no-such-host.invalid/x",
    ],
)
async def test_no_error_says_the_password(server: PostgresServer, url: str) -> None:
    site = Site(url.replace("PORT", str(server.port)), "outlast")
    with pytest.raises(OutlastError) as caught:
        async with opened(site, connect_s_max=2):
            pass
    assert PASSWORD not in str(caught.value)
    assert "postgres" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert error.__suppress_context__ or error.__context__ is None or PASSWORD not in str(error.__context__)
        error = error.__cause__
    assert PASSWORD not in repr(PostgresOptions(url=site.url))


@pytest.mark.parametrize("options", [{"schema": "Out last"}, {"schema": "pg_x"}, {"readers_max": 0}, {"lock_s_max": 0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        PostgresOptions(url="postgresql://x", **options)  # type: ignore[arg-type]


async def test_a_region_that_is_no_name_is_refused(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="region"):
        async with opened(site, region="Mars!"):
            pass
