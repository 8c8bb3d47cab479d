"""Exit codes: what each of them says to a script."""

from __future__ import annotations

import enum

from outlast.kernel.error import (
    Conflict,
    NotFound,
    OutlastError,
    StoreUnavailable,
    UsageError,
)


class ExitCode(enum.IntEnum):
    """What the process returns; the same for every command."""

    OK = 0
    FAILED = 1
    """The command ran and its verdict is negative: the run failed, the chain is broken, a check did not pass."""
    USAGE = 2
    """The command line or the configuration is wrong; the same call will fail again."""
    NOT_FOUND = 3
    CONFLICT = 4
    """Somebody else was first, or the thing is not in a state that allows it."""
    UNAVAILABLE = 5
    """What the command needs cannot be reached now; the same call may succeed later."""
    INTERRUPTED = 130


class Unavailable(OutlastError):
    """The server, or a part of the machine that the command needs, cannot be reached now."""

    code = "unavailable"
    retryable = True


_CODES: dict[str, ExitCode] = {"unauthorized": ExitCode.USAGE, "forbidden": ExitCode.USAGE}


def exit_code(error: OutlastError) -> ExitCode:
    """The exit code for an error."""
    if isinstance(error, UsageError):
        return ExitCode.USAGE
    if isinstance(error, NotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, Conflict):
        return ExitCode.CONFLICT
    if isinstance(error, StoreUnavailable) or error.retryable:
        return ExitCode.UNAVAILABLE
    return _CODES.get(error.code, ExitCode.FAILED)
