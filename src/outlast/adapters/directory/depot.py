"""A depot in a directory: each object is a read-only file that is never written again.

An object is written under a name of its own, synced, and given its name by a hard link, which fails where that name is
taken; then the directory is synced. Files are read-only (0444), so that a slip does not change them. Whoever owns the
directory, and root, can: a lock here is kept by `outlast backup prune` alone, not by the file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from outlast.kernel.error import Conflict, NotFound, StoreUnavailable, UsageError
from outlast.kernel.randomness import Randomness

_unfinished = ".unfinished-"
_tries_max = 10


class DirectoryDepot:
    """A Depot."""

    def __init__(self, directory: Path, randomness: Randomness) -> None:
        self._directory = directory
        self._randomness = randomness

    @property
    def where(self) -> str:
        return str(self._directory)

    async def put(self, name: str, content: bytes, locked_until: float = 0.0) -> None:
        await asyncio.to_thread(self._put, self._path(name), name, content)

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self._get, self._path(name), name)

    async def hold(self, name: str, size: int, locked_until: float = 0.0) -> bool:
        try:
            found = (await asyncio.to_thread(self._path(name).stat)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unavailable(name, "looked at", error) from None
        if found != size:
            raise Conflict(f"{name} in {self.where} has {found} bytes, {size} were expected: move it away")
        return True

    async def names(self, prefix: str = "") -> Sequence[str]:
        return await asyncio.to_thread(lambda: sorted(name for name in self._names() if name.startswith(prefix)))

    async def remove(self, name: str) -> bool:
        path = self._path(name)
        try:
            await asyncio.to_thread(self._remove, path)
        except OSError as error:
            raise self._unavailable(name, "removed", error) from None
        return True

    def _path(self, name: str) -> Path:
        if not name or any(part in ("", ".", "..") or part.startswith(_unfinished) for part in name.split("/")):
            raise UsageError(f"{name[:80]!r} is not the name of an object in a depot")
        return self._directory / name

    def _put(self, path: Path, name: str, content: bytes) -> None:
        try:
            for left in range(_tries_max - 1, -1, -1):
                try:
                    return self._written(path, name, content)
                except FileNotFoundError:  # somebody removed the directory with its last object
                    if not left:
                        raise
        except OSError as error:
            raise self._unavailable(name, "written", error) from None

    def _written(self, path: Path, name: str, content: bytes) -> None:
        self._make(path.parent)
        if not self._is_there(path, name, content):
            beside = path.parent / f"{_unfinished}{self._randomness.token(9).hex()}"
            try:
                with beside.open("xb") as file:
                    with contextlib.suppress(OSError):  # not every file system has locks
                        fcntl.flock(file, fcntl.LOCK_EX)
                    os.fchmod(file.fileno(), 0o444)
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    self._name(beside, path, name, content)
            finally:
                beside.unlink(missing_ok=True)
        _sync(path.parent)

    def _name(self, beside: Path, path: Path, name: str, content: bytes) -> None:
        try:
            os.link(beside, path)
        except FileExistsError:  # somebody else was first
            self._is_there(path, name, content)

    def _is_there(self, path: Path, name: str, content: bytes) -> bool:
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return False
        if found != content:
            raise Conflict(
                f"{name} is in {self.where} already and holds something else: another backup is being taken, or the "
                "file was changed; nothing was overwritten"
            )
        return True

    def _get(self, path: Path, name: str) -> bytes:
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{name} is not in {self.where}") from None
        except OSError as error:
            raise self._unavailable(name, "read", error) from None

    def _names(self) -> Iterator[str]:
        try:
            for directory, _, files in os.walk(self._directory, onerror=_raise):
                inside = Path(directory).relative_to(self._directory).as_posix()
                for file in files:
                    if not file.startswith(_unfinished):
                        yield file if inside == "." else f"{inside}/{file}"
        except OSError as error:
            raise StoreUnavailable(f"{self.where} cannot be listed: {_why(error)}") from None

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        directory = path.parent
        while directory != self._directory:
            try:
                for left in directory.glob(f"{_unfinished}*"):  # of a backup that was killed, and is not gone on with
                    if not _is_written(left):
                        left.unlink(missing_ok=True)
                directory.rmdir()
            except FileNotFoundError:  # somebody else removed it
                pass
            except OSError:  # it is not empty
                break
            directory = directory.parent

    def _make(self, directory: Path) -> None:
        """A directory whose name is durable all the way up."""
        if directory.is_dir():
            return
        if directory != self._directory:
            self._make(directory.parent)
        directory.mkdir(mode=0o700, parents=directory == self._directory, exist_ok=True)
        _sync(directory.parent)

    def _unavailable(self, name: str, what: str, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"{name} cannot be {what} in {self.where}: {_why(error)}; check space and permissions")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _is_written(unfinished: Path) -> bool:
    """Whether somebody is writing it now."""
    try:
        with unfinished.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a directory that was removed meanwhile had no objects left
        raise error


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
