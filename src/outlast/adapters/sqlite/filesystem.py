"""Where a journal may live: a local file system, opened for writing by one process at a time.

SQLite's write-ahead log keeps its index in shared memory, which network file systems do not share
(https://sqlite.org/wal.html); their locks and their syncs do not hold what they promise either.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from outlast.kernel.error import Conflict, StoreUnavailable

NETWORK: frozenset[str] = frozenset({
    "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.davfs2", "fuse.gcsfuse",
    "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "orangefs", "pvfs2", "smb3", "smbfs", "webdav",
})  # fmt: skip
"""Types of file systems that are refused."""

_OCTAL = re.compile(r"\\([0-7]{3})")  # how the table writes blanks

Mount = tuple[str, str]
"""Where a file system is mounted, and its type."""


def linux_mounts(table: str) -> list[Mount]:
    """What ``/proc/self/mounts`` says."""
    mounts: list[Mount] = []
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) >= 3:
            mounts.append((_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[1]), fields[2]))
    return mounts


def bsd_mounts(table: str) -> list[Mount]:
    """What ``mount`` prints on macOS: ``//server/share on /Volumes/share (smbfs, nodev)``."""
    mounts: list[Mount] = []
    for line in table.splitlines():
        head, bracket, tail = line.rpartition(" (")
        if bracket:
            mounts.append((head.partition(" on ")[2], tail.rstrip(")").partition(",")[0]))
    return mounts


def mounts() -> list[Mount]:
    """The file systems of this machine; none where they cannot be listed."""
    try:
        if sys.platform == "darwin":
            done = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=False)
            return bsd_mounts(done.stdout)
        return linux_mounts(Path("/proc/self/mounts").read_text(errors="surrogateescape"))
    except (OSError, subprocess.SubprocessError):
        return []


def check_local(directory: Path, table: Iterable[Mount]) -> None:
    """Raise StoreUnavailable if `directory` is on a network file system. Later mounts hide earlier ones."""
    path = os.path.realpath(directory)
    found, kind = "", ""
    for place, type_ in table:
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(found):
            found, kind = place, type_
    if kind in NETWORK:
        raise StoreUnavailable(
            f"journal directory {directory} is on a network file system ({kind} at {found}), which loses what SQLite "
            "writes there: use a local disk, or a server database for more than one machine"
        )


class WriteLock:
    """An exclusive flock beside the database: one process, one store in it, writes. The kernel frees it at death."""

    def __init__(self, database: Path) -> None:
        path = Path(f"{database}.lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"journal {database} cannot be locked ({error.strerror}): "
                "check that its directory exists and is writable"
            ) from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise Conflict(
                f"journal {database} is open for writing already (process {holder}): stop it, or use another directory"
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk: the number is for people only

    def release(self) -> None:
        """Let others write; any number of times."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable. Raises StoreUnavailable."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreUnavailable(f"directory {directory} cannot be made durable: {error.strerror}") from None
