"""One supervisor, or one direct user, for each state directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from outlast.kernel.error import Conflict

_tries_max = 5
_try_again_s = 0.02  # `holder` holds the lock for an instant: an instant is waited out


def _locked(fd: int) -> bool:
    for left in range(_tries_max - 1, -1, -1):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(_try_again_s)
        else:
            return True
    return False


def _text(fd: int) -> str:
    return os.pread(fd, 64, 0).decode(errors="replace").strip()


class DirectoryLock:
    """Holds ``lock`` in a directory by flock until it is closed or the process ends, however it ends.

    Raises Conflict that names the process which holds it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(self._fd):
            other = _text(self._fd)
            os.close(self._fd)
            raise Conflict(
                f"{directory} is in use by process {other or 'unknown'}: stop that one first, or use another directory"
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder(directory: Path) -> int | None:
    """The number of the process that holds the directory now, None if nobody does."""
    try:
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = _text(fd)
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)
