"""What is used of apsw, with types: its own stubs leave the values of rows unknown to a strict checker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, cast
from urllib.parse import quote

import apsw

Row = tuple[Any, ...]


class Cursor(Protocol):
    """As `apsw.Cursor`."""

    def execute(self, statements: str, bindings: Sequence[Any] | None = None) -> Cursor: ...
    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]]) -> Cursor: ...
    def fetchall(self) -> list[Row]: ...
    def close(self, force: bool = False) -> None: ...


class Connection(Protocol):
    """As `apsw.Connection`."""

    def cursor(self) -> Cursor: ...
    def execute(self, statements: str, bindings: Sequence[Any] | None = None) -> Cursor: ...
    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]]) -> Cursor: ...
    def pragma(self, name: str, value: Any = None) -> Any: ...
    def set_busy_timeout(self, milliseconds: int) -> None: ...
    def wal_autocheckpoint(self, n: int) -> None: ...
    def wal_checkpoint(self, dbname: str | None = None, mode: int = 0) -> tuple[int, int]: ...
    def set_wal_hook(self, callable: Callable[[Any, str, int], int] | None) -> None: ...
    def last_insert_rowid(self) -> int: ...
    def readonly(self, name: str) -> bool: ...
    def close(self, force: bool = False) -> None: ...
    def __enter__(self) -> Connection: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...
    @property
    def in_transaction(self) -> bool: ...


def connect(path: Path, flags: int) -> Connection:
    """A connection; raises what apsw raises."""
    return cast("Connection", apsw.Connection(str(path), flags=flags, statementcachesize=200))


def connect_to_read(path: Path) -> Connection:
    """As `connect`, read-only. On a file system that is read-only too, a log that is not there cannot be made: without
    one nobody writes, and the file is read as it stands. Source: SQLite, "Write-Ahead Logging", Read-Only Databases.
    """
    if os.statvfs(path).f_flag & os.ST_RDONLY and not Path(f"{path}-wal").exists():
        name = f"file:{quote(str(path.absolute()))}?immutable=1"
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return cast("Connection", apsw.Connection(name, flags=flags, statementcachesize=200))
    return connect(path, apsw.SQLITE_OPEN_READONLY)
