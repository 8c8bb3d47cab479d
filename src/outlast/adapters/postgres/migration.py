"""Making the tables and bringing them up to date: in one transaction, one process at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from outlast.adapters.postgres.fault import translating
from outlast.adapters.postgres.schema import STEPS
from outlast.adapters.postgres.session import Session
from outlast.journal.lineage import Lineage
from outlast.kernel.error import ConfigurationError, StoreCorrupt, UsageError

_META = 'CREATE TABLE meta (name text COLLATE "C" NOT NULL PRIMARY KEY, value text NOT NULL)'


async def migrate(session: Session, schema: str, lineage: Lineage, steps: Sequence[Sequence[str]] = STEPS) -> Lineage:
    """Make the schema if it is not there, with `lineage`, or upgrade it; the lineage that it has.

    Raises ConfigurationError (a newer format, no right to make it), StoreCorrupt (something else is there),
    StoreUnavailable.
    """
    try:
        Lineage.parse(str(lineage))
    except UsageError:
        raise ConfigurationError(
            f"region {lineage.region!r} is not understood: use 1 to 32 lower-case letters, digits or '-'"
        ) from None
    found = await _format(session, schema)
    if found is None or found < len(steps):
        try:
            with translating(session.place):
                await session.transact(lambda connection: _upgrade(connection, schema, lineage, steps, session.place))
        except ConfigurationError:
            raise ConfigurationError(
                f"postgres {session.place}: this role may not make or upgrade schema {schema}: run "
                "outlast.adapters.postgres.engine.prepare as its owner, and grant this role what docs/postgres.md lists"
            ) from None
    return await opened(session, schema, len(steps))


async def opened(session: Session, schema: str, known: int = len(STEPS)) -> Lineage:
    """The lineage of a schema that must be there in the format `known`. Raises as `migrate`."""
    found = await _format(session, schema)
    if found is None:
        raise ConfigurationError(f"postgres {session.place} has no schema {schema} with a journal: prepare it first")
    if found != known:
        advice = "use the release that wrote it" if found > known else "upgrade it: open it for writing, or prepare it"
        raise ConfigurationError(
            f"postgres {session.place}: schema {schema} has format {found}, this release reads {known}: {advice}"
        )
    rows = await session.rows("SELECT value FROM meta WHERE name = 'lineage'")
    try:
        return Lineage.parse(str(rows[0][0]) if rows else "")
    except UsageError as error:
        raise StoreCorrupt(f"postgres {session.place}: schema {schema} does not say its lineage: {error}") from None


async def _format(session: Session, schema: str) -> int | None:
    """The format of the schema; None if there is nothing."""
    tables = await session.rows(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v')",
        (schema,),
    )
    if not tables:
        return None
    if ("meta",) not in tables:
        raise _foreign(session.place, schema)
    # by its full name: a schema that a role may not use is passed over in its search path
    rows = await session.rows(f"SELECT value FROM {schema}.meta WHERE name = 'format'")  # noqa: S608 (a valid name)
    if len(rows) != 1 or not str(rows[0][0]).isdecimal():
        raise _foreign(session.place, schema)
    return int(rows[0][0])


def _foreign(place: str, schema: str) -> StoreCorrupt:
    return StoreCorrupt(f"postgres {place}: schema {schema} holds tables that are no journal: name another schema")


async def _upgrade(
    connection: psycopg.AsyncConnection[Any], schema: str, lineage: Lineage, steps: Sequence[Sequence[str]], place: str
) -> None:
    """Within a transaction."""
    lock = int.from_bytes(hashlib.sha256(f"outlast:{schema}".encode()).digest()[:8], "big", signed=True)
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
    there = await (await connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", (schema,))).fetchone()
    if not (there and there[0]):
        await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))
    made = await (await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.meta",))).fetchone()
    if not (made and made[0]):
        await connection.execute(_META)
        await connection.execute(
            "INSERT INTO meta (name, value) VALUES ('format', '0'), ('lineage', %s)", (str(lineage),)
        )
    row = await (await connection.execute("SELECT value FROM meta WHERE name = 'format' FOR UPDATE")).fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise _foreign(place, schema)
    found = int(row[0])  # another process may have been first
    for step in steps[found:]:
        for statement in step:
            await connection.execute(sql.SQL(statement))  # type: ignore[arg-type] # fixed text
    if found < len(steps):
        await connection.execute("UPDATE meta SET value = %s WHERE name = 'format'", (str(len(steps)),))
