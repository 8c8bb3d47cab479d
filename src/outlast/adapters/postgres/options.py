"""What PostgreSQL is used with: where it is, how safe, how long anything may take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from outlast.kernel.error import ConfigurationError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}\Z")


class PostgresOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the database is reached and used. Its `repr` shows no URL: a URL may hold a password."""

    url: str
    """``postgresql://user:password@host1,host2:5432/database?sslmode=verify-full``, as libpq reads it. Of several hosts
    the writable one of the highest timeline is used."""
    schema: str = "outlast"
    """The schema that holds the tables."""
    region: str = "local"
    """Names the first lineage of a new journal."""
    strong: bool = False
    """Refuse to write unless a synchronous standby has what is acknowledged."""
    replicas: str | None = None
    """A URL of servers that may be behind: lists and counts of runs are read there."""
    memory: Path | None = None
    """A file of this host that remembers how far the database had come; beside it the appends that were acknowledged,
    and ``losses.jsonl``. Without it that is remembered only while the process lives."""
    migrate: bool = True
    """Make or upgrade the tables when they are opened for writing; False for a role without the right to."""
    application: str = "outlast"
    """What the connections are called in ``pg_stat_activity``."""
    connect_s_max: float = 3.0
    """Bound of making one connection, TLS included, in seconds (at least 2: libpq's own)."""
    statement_s_max: float = 5.0
    """Bound of one statement in the server, in seconds."""
    lock_s_max: float = 2.0
    """Bound of waiting for another's transaction, in seconds; an append that waits longer is Unknown."""
    answer_s_max: float = 8.0
    """Bound of waiting for an answer, commit included, in seconds; then the connection is given up. Blobs get more."""
    silence_s_max: float = 5.0
    """From so many seconds without an acknowledgement from its network on, a host counts as dead."""
    readers_max: int = 3
    """Connections for reads. Beside them there are at most five: two for blobs, and one each for appends, for hints,
    and to listen."""
    acknowledged_max: int = 65_536
    """Bound of the acknowledged appends that are remembered outside the database."""

    def __post_init__(self) -> None:
        """Raises ConfigurationError."""
        if not _SCHEMA.match(self.schema) or self.schema.startswith("pg_"):
            raise ConfigurationError(
                f"schema {self.schema[:60]!r} is not understood: use 1 to 48 of a-z, 0-9 and '_', not 'pg_' in front"
            )
        if self.readers_max < 1 or self.acknowledged_max < 1:
            raise ConfigurationError("postgres: readers_max and acknowledged_max must be at least 1")
        for name in ("connect_s_max", "statement_s_max", "lock_s_max", "answer_s_max", "silence_s_max"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"postgres: {name} is {getattr(self, name)}, expected more than 0 seconds")

    def __repr__(self) -> str:
        return f"PostgresOptions(schema={self.schema!r}, region={self.region!r}, strong={self.strong})"

    def __rich_repr__(self) -> Any:
        yield "schema", self.schema
        yield "region", self.region
        yield "strong", self.strong
