"""Opening the journal's database: the right library, the right file, the right format, a clear error otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import apsw

from outlast.adapters.sqlite.anchor import SqliteAnchors, beside
from outlast.adapters.sqlite.connection import Connection, connect, connect_to_read
from outlast.adapters.sqlite.fault import translating
from outlast.adapters.sqlite.filesystem import check_local, mounts, sync_directory
from outlast.adapters.sqlite.schema import STATEMENTS, application_id, format_current
from outlast.journal.lineage import Lineage
from outlast.kernel.error import ConfigurationError, StoreCorrupt, StoreUnavailable, UsageError

Durability = Literal["power", "process"]
"""power: what is acknowledged survives a power cut · process: only the death of processes."""

busy_timeout_ms = 2000
"""How long another program that holds the database's lock (a shell, a backup) is waited for."""


def check_library(version: str) -> None:
    """Refuse SQLite versions that can corrupt a log while it is reset (https://sqlite.org/wal.html)."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    fixed = (major, minor, patch) >= (3, 51, 3) or ((major, minor) in ((3, 50), (3, 44)) and patch >= _BACKPORT[minor])
    if not fixed:
        raise ConfigurationError(
            f"SQLite {version} can corrupt a write-ahead log: 3.51.3 or later (or 3.50.7, 3.44.6) is needed; "
            "install a current apsw, which brings its own"
        )


_BACKPORT = {50: 7, 44: 6}


def open_writable(path: Path, durability: Durability, first: Lineage) -> tuple[Connection, Lineage]:
    """Open `path` for writing, made with lineage `first` if it is not there.

    The caller holds the WriteLock. Raises StoreUnavailable, StoreCorrupt, ConfigurationError.
    """
    check_library(apsw.sqlite_lib_version())
    if durability not in ("power", "process"):
        raise ConfigurationError(f"durability {durability!r} is not known: write 'power' or 'process'")
    check_local(path.parent, mounts())
    _check_header(path)
    _check_not_lost(path)
    with translating(path):
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        connection = connect(path, flags)
        try:
            _configure(connection, path, durability)
            return connection, _prepare(connection, path, first)
        except BaseException:
            connection.close()
            raise


def open_readable(path: Path) -> tuple[Connection, Lineage]:
    """Open `path` read-only. Raises StoreUnavailable (also if it is not there), StoreCorrupt, ConfigurationError."""
    check_library(apsw.sqlite_lib_version())
    if not path.exists():
        raise StoreUnavailable(f"journal {path} is not there: start `outlast up` in this directory first")
    _check_header(path)
    with translating(path):
        connection = connect_to_read(path)
        try:
            connection.set_busy_timeout(busy_timeout_ms)
            _check_format(connection, path)
            return connection, read_lineage(connection, path)
        except BaseException:
            connection.close()
            raise


def _check_header(path: Path) -> None:
    """Before SQLite sees the file: it must not be shorter than its one page, nor something else altogether.

    Only done while no connection of this process has it open: closing a file drops this process's locks on it.
    """
    try:
        size = path.stat().st_size
    except OSError:
        return
    if path.is_dir():
        raise StoreUnavailable(f"journal {path} is a directory: name a file")
    if 0 < size < 512:
        raise StoreCorrupt(f"journal {path} is truncated to {size} bytes: restore it from a backup")


def _check_not_lost(path: Path) -> None:
    """A journal that was there once is not begun anew without a word: its anchors remember it."""
    anchors = beside(path)
    if not anchors.exists() or (path.exists() and path.stat().st_size):
        return
    known = SqliteAnchors.open_readable(anchors)
    try:
        count = known.count()
    except StoreCorrupt:
        return  # it is put aside, as evidence, when anchoring begins
    finally:
        known.close()
    if count:
        raise StoreCorrupt(
            f"journal {path} is gone, but {anchors} remembers {count} streams of it: restore it from a backup, or move "
            "the anchors away to begin anew"
        )


def _configure(connection: Connection, path: Path, durability: Durability) -> None:
    connection.set_busy_timeout(busy_timeout_ms)
    if connection.readonly("main"):
        raise StoreUnavailable(f"journal {path} is read-only for this user: make the file and its directory writable")
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StoreUnavailable(f"journal {path} cannot use a write-ahead log here (mode {mode}): use a local disk")
    connection.pragma("synchronous", "full" if durability == "power" else "normal")
    if os.uname().sysname == "Darwin":
        # a plain fsync on macOS leaves the bytes in the drive's cache
        connection.pragma("fullfsync", 1 if durability == "power" else 0)
        connection.pragma("checkpoint_fullfsync", 1)
    connection.pragma("temp_store", "memory")
    connection.wal_autocheckpoint(0)  # done by the engine, which sees its errors


def _prepare(connection: Connection, path: Path, first: Lineage) -> Lineage:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.pragma("schema_version") == 0:
            _create(connection, first)
        _check_format(connection, path)
        lineage = read_lineage(connection, path)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    sync_directory(path.parent)
    return lineage


def _create(connection: Connection, lineage: Lineage) -> None:
    try:
        Lineage.parse(str(lineage))
    except UsageError:
        raise ConfigurationError(
            f"region {lineage.region!r} is not understood: use 1 to 32 lower-case letters, digits or '-'"
        ) from None
    for statement in STATEMENTS:
        connection.execute(statement)
    connection.execute("INSERT INTO meta (name, value) VALUES ('lineage', ?)", (str(lineage),))
    connection.pragma("application_id", application_id)
    connection.pragma("user_version", format_current)


def _check_format(connection: Connection, path: Path) -> None:
    found = connection.pragma("application_id")
    if found != application_id:
        raise StoreCorrupt(
            f"{path} is a SQLite database, but not a journal (application id {found:#x}, expected "
            f"{application_id:#x}): name another file"
        )
    version = connection.pragma("user_version")
    if version != format_current:
        raise ConfigurationError(
            f"journal {path} has format {version}, this release reads {format_current}: use the release that wrote it"
        )


def read_lineage(connection: Connection, path: Path) -> Lineage:
    """The lineage that the database was made with, or was given by the last takeover."""
    rows = connection.execute("SELECT value FROM meta WHERE name = 'lineage'").fetchall()
    try:
        return Lineage.parse(str(rows[0][0]) if rows else "")
    except UsageError as error:
        raise StoreCorrupt(f"journal {path} does not say its lineage: {error}") from None
