"""The tables of the journal's database. Bodies are JSON text, readable with any SQL shell."""

from __future__ import annotations

application_id = 0x4F55544C
"""``OUTL``: tells a journal from other databases."""
format_current = 1
"""`PRAGMA user_version`. A newer one is refused, an older one is upgraded when it is opened for writing."""

STATEMENTS = (
    """
    CREATE TABLE meta (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE stream (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE  -- kind/id@lineage
    )
    """,
    """
    CREATE TABLE record (  -- one for each append, in the order of commits: the log of this store
        id INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        seq INTEGER NOT NULL,    -- number of its first event
        count INTEGER NOT NULL,  -- how many events
        body TEXT NOT NULL,      -- JSON
        hash BLOB NOT NULL       -- of the chain, after this record
    )
    """,
    "CREATE UNIQUE INDEX record_place ON record (stream, seq)",
    """
    CREATE TABLE snapshot (  -- folded state; always rebuildable
        stream TEXT NOT NULL,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,    -- of the chain at seq
        v INTEGER NOT NULL,
        digest BLOB NOT NULL,  -- checksum of the other columns
        body BLOB NOT NULL,
        PRIMARY KEY (stream, seq)
    )
    """,
    """
    CREATE TABLE run (  -- hints by which runs are found; the streams decide
        run TEXT NOT NULL PRIMARY KEY,
        agent TEXT NOT NULL DEFAULT '',
        pool TEXT NOT NULL DEFAULT '',
        session TEXT NOT NULL DEFAULT '',
        parent TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL DEFAULT 'ready',
        owner TEXT NOT NULL DEFAULT '',
        wake_at REAL NOT NULL DEFAULT 0,
        mail INTEGER NOT NULL DEFAULT 0,
        seen INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        created_at REAL NOT NULL DEFAULT 0,
        updated_at REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    # partial ones stay small, however many runs have ended
    "CREATE INDEX run_ready ON run (state, updated_at) WHERE state IN ('ready', 'trial')",
    "CREATE INDEX run_wake ON run (wake_at) WHERE state = 'parked' AND wake_at > 0",
    "CREATE INDEX run_mail ON run (state) WHERE mail > seen",
    "CREATE INDEX run_owner ON run (owner) WHERE state = 'running'",
    "CREATE INDEX run_newest ON run (created_at, run)",
    "CREATE INDEX run_state ON run (state, created_at, run)",
    "CREATE INDEX run_agent ON run (agent, created_at, run)",
    "CREATE INDEX run_session ON run (session, created_at, run) WHERE session <> ''",
)
