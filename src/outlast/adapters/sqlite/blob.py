"""Blobs as files, named by the hash of their content: ``blobs/ab/ab12…``."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import stat
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from outlast.adapters.sqlite.filesystem import sync_directory
from outlast.journal.blob import BlobRef, check_content
from outlast.journal.reach import Swept
from outlast.kernel.error import NotFound, StoreCorrupt, StoreUnavailable
from outlast.kernel.point import NoPoints, Points
from outlast.kernel.randomness import Randomness

lock_s_max = 2.0
"""How long a put of what is there waits for a sweep, and a sweep for puts, in seconds."""
_tries = 200
_rest = threading.Event()  # never set: waiting for it is how a thread rests
_NAME = re.compile(r"[0-9a-f]{64}\Z")


class FileBlobs:
    """A BlobStore in a directory, which is made when the first blob is put. Any number of processes may use it.

    A blob is written under a name of its own, synced, renamed, and its directory synced, before `put` returns.
    """

    def __init__(self, directory: Path, randomness: Randomness, points: Points | None = None) -> None:
        self._directory = directory
        self._randomness = randomness
        self._points = points or NoPoints()
        self._durable: set[Path] = set()

    def _path(self, ref: BlobRef) -> Path:
        if not _NAME.match(ref.sha256):
            raise NotFound(f"blob {ref.sha256[:16]!r} is not the name of a blob: expected 64 hexadecimal digits")
        return self._directory / ref.sha256[:2] / ref.sha256

    async def put(self, content: bytes) -> BlobRef:
        # in a thread: a blob is large, and a sync of megabytes would hold up every run of the worker
        return await asyncio.to_thread(self._put, content)

    async def get(self, ref: BlobRef) -> bytes:
        return await asyncio.to_thread(self._get, ref)

    def _put(self, content: bytes) -> BlobRef:
        ref = BlobRef.of(content)
        path = self._path(ref)
        self._points.reach("blob.before", ref.sha256)
        try:
            self._make(path.parent)
            if not path.exists() or not self._is_there(path, content):
                self._write(path, content)
        except OSError as error:
            raise StoreUnavailable(
                f"blob of {ref.size} bytes cannot be stored in {self._directory}: {error.strerror}; "
                "check space and permissions"
            ) from None
        self._points.reach("blob.after", ref.sha256)
        return ref

    def _is_there(self, path: Path, content: bytes) -> bool:
        """Whether it is there whole; then it is also made durable: who put it may have died before its last sync."""
        with self._held(fcntl.LOCK_SH):  # else it could be swept after it was found to be there
            try:
                if _read(path, len(content)) != content:
                    return False
                os.utime(path)  # put now: young again
            except FileNotFoundError:
                return False
        sync_directory(path.parent)
        return True

    async def sweep(self, named: Collection[str], older_than_s: float) -> Swept:
        """As in SweptBlobs."""
        return await asyncio.to_thread(self._sweep, named, older_than_s)

    def _sweep(self, named: Collection[str], older_than_s: float) -> Swept:
        blobs = removed = 0
        try:
            for path in self._directory.glob("??/*"):
                if _NAME.match(path.name):
                    blobs += 1
                    removed += path.name not in named and self._is_swept(path, older_than_s)
        except OSError as error:
            raise StoreUnavailable(f"blobs in {self._directory} cannot be swept: {error.strerror}") from None
        return Swept(blobs, removed)

    def _is_swept(self, path: Path, older_than_s: float) -> bool:
        """Whether a blob was old, and now is gone. Old by the file system's own time, which dates its files."""
        with self._held(fcntl.LOCK_EX) as now:
            try:
                if now - path.stat().st_mtime <= older_than_s:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _held(self, how: int) -> Generator[float]:
        """Puts of what is there hold the directory together, a sweep holds it alone; the file system's time."""
        lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_tries):
                with suppress(BlockingIOError):
                    fcntl.flock(lock, how | fcntl.LOCK_NB)
                    break
                _rest.wait(lock_s_max / _tries)
            else:
                raise StoreUnavailable(
                    f"blobs in {self._directory} are held by another process for over {lock_s_max} s (lock_s_max)"
                )
            os.utime(lock)
            yield os.fstat(lock).st_mtime
        finally:
            os.close(lock)

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.parent / f".{self._randomness.token(12).hex()}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)

    def _make(self, directory: Path) -> None:
        """A directory whose name is durable all the way up."""
        if directory in self._durable and directory.is_dir():
            return
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(self._directory)
        sync_directory(self._directory.parent)
        self._durable.add(directory)

    def _get(self, ref: BlobRef) -> bytes:
        name = f"blob {ref.sha256[:16]}"
        try:
            content = _read(self._path(ref), ref.size)
        except FileNotFoundError:
            raise NotFound(f"{name} of {ref.size} bytes is not in {self._directory}") from None
        except NotADirectoryError:
            content = None
        except OSError as error:
            raise StoreUnavailable(f"{name} cannot be read: {error.strerror}") from None
        if content is None:
            raise StoreCorrupt(f"{name} is not what was written: expected a file of {ref.size} bytes; restore it")
        return check_content(ref, content)


def _read(path: Path, size: int) -> bytes | None:
    """A file of `size` bytes; None if there is something else, which is not read: it may be endless. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for who writes into it
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(size)
    finally:
        os.close(descriptor)
