"""What psycopg raises, as the errors of the journal. No message holds more of a URL than host, port and database."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from outlast.kernel.error import ConfigurationError, OutlastError, StoreCorrupt, StoreUnavailable

_CORRUPT = (errors.DataCorrupted, errors.IndexCorrupted)
_PASSING = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected, errors.SerializationFailure)


def text_of(error: BaseException) -> str:
    """One line of what a server or libpq said, without what it quotes of our values."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((said or str(error)).split())[:300] or type(error).__name__


def translated(error: psycopg.Error, place: str) -> OutlastError:
    """The error that `error`, raised at the server `place`, means."""
    name, text = f"postgres {place}", text_of(error)
    if isinstance(error, _CORRUPT):
        return StoreCorrupt(f"{name} is damaged ({text}): restore it from a backup")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName):
        return StoreCorrupt(f"{name} lacks a table or column ({text}): restore it, or prepare the schema as its owner")
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigurationError(f"{name} refuses this role ({text}): grant it what docs/postgres.md lists")
    if isinstance(error, errors.DiskFull):
        return StoreUnavailable(f"{name} cannot grow ({text}): free some space, work goes on by itself")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreUnavailable(f"{name} takes no writes any more: it is a standby now; the primary is looked for")
    if isinstance(error, errors.LockNotAvailable):
        return StoreUnavailable(f"{name}: another process held what this one waited for (lock_s_max); try again")
    if isinstance(error, errors.TooManyConnections):
        return StoreUnavailable(f"{name} has no connection left ({text}): raise max_connections or run fewer processes")
    return StoreUnavailable(f"{name} failed: {text}")


def is_passing(error: psycopg.Error) -> bool:
    """Whether the same connection may go on after `error`."""
    return isinstance(error, _PASSING)


@contextmanager
def translating(place: str) -> Generator[None]:
    """Raise the errors of the journal instead of what psycopg raises."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, place) from None
