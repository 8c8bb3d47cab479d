"""What SQLite raises, as the errors of the journal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw

from outlast.kernel.error import StoreCorrupt, StoreError, StoreUnavailable

_CORRUPT = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SchemaChangeError)


def translated(error: Exception, path: Path) -> StoreError:
    """The StoreError that `error`, raised by apsw on the database `path`, means."""
    name = f"journal {path}"
    text = str(error)
    if isinstance(error, apsw.NotADBError):
        return StoreCorrupt(f"{name} is not a SQLite database: restore it from a backup, or move it away to begin anew")
    if isinstance(error, _CORRUPT):
        return StoreCorrupt(f"{name} is corrupt or truncated ({text}): restore it from a backup")
    if isinstance(error, apsw.FullError):
        return StoreUnavailable(f"{name} cannot grow: the disk is full; free some space, work goes on by itself")
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError):
        return StoreUnavailable(f"{name} is read-only for this user: make the file and its directory writable")
    if isinstance(error, apsw.CantOpenError):
        return StoreUnavailable(f"{name} cannot be opened ({text}): check that the directory exists and is writable")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreUnavailable(f"{name} is locked by another program: close what else has it open for writing")
    if isinstance(error, apsw.IOError):
        return StoreUnavailable(f"{name} failed to read or write ({text}): check the disk and the system's log")
    if isinstance(error, apsw.SQLError) and "no such" in text:
        return StoreCorrupt(f"{name} lacks a table or column ({text}): restore it from a backup")
    return StoreUnavailable(f"{name} failed: {type(error).__name__}: {text}")


@contextmanager
def translating(path: Path) -> Generator[None]:
    """Raise StoreError instead of what apsw raises."""
    try:
        yield
    except apsw.Error as error:
        raise translated(error, path) from error
    except UnicodeDecodeError as error:
        raise StoreCorrupt(f"journal {path} is corrupt: it holds text that is not UTF-8 ({error})") from error
