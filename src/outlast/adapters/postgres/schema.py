"""The tables, and who may do what with them. Bodies are JSON text, readable with any SQL shell."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.adapters.postgres.options import PostgresOptions
from outlast.kernel.error import ConfigurationError

FIRST = (
    """
    CREATE TABLE record (  -- one for each append; never changed
        stream text COLLATE "C" NOT NULL,  -- kind/id@lineage
        seq bigint NOT NULL,               -- number of its first event
        count bigint NOT NULL,             -- how many events
        body text NOT NULL,                -- JSON
        hash bytea NOT NULL,               -- of the chain, after this record
        PRIMARY KEY (stream, seq)
    )
    """,
    """
    CREATE TABLE snapshot (  -- folded state; always rebuildable
        stream text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        hash bytea NOT NULL,    -- of the chain at seq
        v bigint NOT NULL,
        digest bytea NOT NULL,  -- checksum of the other columns
        body bytea NOT NULL,
        PRIMARY KEY (stream, seq)
    )
    """,
    """
    CREATE TABLE run (  -- hints by which runs are found; the streams decide
        run text COLLATE "C" NOT NULL PRIMARY KEY,
        agent text COLLATE "C" NOT NULL DEFAULT '',
        pool text COLLATE "C" NOT NULL DEFAULT '',
        session text COLLATE "C" NOT NULL DEFAULT '',
        parent text COLLATE "C" NOT NULL DEFAULT '',
        state text COLLATE "C" NOT NULL DEFAULT 'ready',
        owner text COLLATE "C" NOT NULL DEFAULT '',
        wake_at double precision NOT NULL DEFAULT 0,
        mail bigint NOT NULL DEFAULT 0,
        seen bigint NOT NULL DEFAULT 0,
        reason text NOT NULL DEFAULT '',
        created_at double precision NOT NULL DEFAULT 0,
        updated_at double precision NOT NULL DEFAULT 0,
        said bigint NOT NULL DEFAULT 0  -- which of the columns the last patch set, as bits: see statement.py
    ) WITH (fillfactor = 80)
    """,
    # partial ones stay small, however many runs have ended
    "CREATE INDEX run_ready ON run (state, updated_at, run) WHERE state IN ('ready', 'trial')",
    "CREATE INDEX run_wake ON run (wake_at) WHERE state = 'parked' AND wake_at > 0",
    "CREATE INDEX run_mail ON run (state) WHERE mail > seen",
    "CREATE INDEX run_owner ON run (owner, run) WHERE state = 'running'",
    "CREATE INDEX run_newest ON run (created_at, run)",
    "CREATE INDEX run_state ON run (state, created_at, run)",
    "CREATE INDEX run_agent ON run (agent, created_at, run)",
    "CREATE INDEX run_session ON run (session, created_at, run) WHERE session <> ''",
    """
    CREATE TABLE blob (
        sha256 bytea NOT NULL PRIMARY KEY,
        size bigint NOT NULL,
        content bytea NOT NULL
    )
    """,
    "ALTER TABLE blob ALTER COLUMN content SET STORAGE EXTERNAL",  # no compression: it is looked at as bytes
    """
    CREATE TABLE host (  -- signs of life, written over and over
        host text COLLATE "C" NOT NULL PRIMARY KEY,
        count bigint NOT NULL,
        workers text NOT NULL  -- JSON
    ) WITH (fillfactor = 50)
    """,
)

_SECOND = (
    # when a blob was put last: what nothing names goes once it is old
    "ALTER TABLE blob ADD COLUMN put_at timestamptz NOT NULL DEFAULT now()",
)

STEPS: tuple[Sequence[str], ...] = (FIRST, _SECOND)
"""What leads from each format to the next: the first makes the tables. Released ones are never changed."""
format_current = len(STEPS)
"""`meta.format`. A newer one is refused, an older one is upgraded when it is opened for writing."""

_WRITES = {
    "meta": "SELECT",
    "record": "SELECT, INSERT",
    "snapshot": "SELECT, INSERT, UPDATE, DELETE",
    "run": "SELECT, INSERT, UPDATE",
    "blob": "SELECT, INSERT, UPDATE",
    "host": "SELECT, INSERT, UPDATE, DELETE",
}


_REMOVES = {"record": "DELETE", "run": "DELETE", "blob": "DELETE"}


def grants(role: str, schema: str = "outlast", *, read_only: bool = False, removes: bool = False) -> str:
    """SQL that gives `role` what Outlast needs on a prepared schema, and no more: it can neither change nor delete a
    record. `removes`: it lets ended runs go after their time, so it may delete. Raises ConfigurationError.
    """
    PostgresOptions(url="", schema=schema)
    if not role or "\x00" in role:
        raise ConfigurationError("role is empty or malformed: name the role that shall be granted access")
    name = '"' + role.replace('"', '""') + '"'
    lines = [f"GRANT USAGE ON SCHEMA {schema} TO {name};"]
    lines += [
        f"GRANT {'SELECT' if read_only else rights} ON {schema}.{table} TO {name};" for table, rights in _WRITES.items()
    ]
    if removes:
        lines += [f"GRANT {rights} ON {schema}.{table} TO {name};" for table, rights in _REMOVES.items()]
    return "\n".join(lines) + "\n"
