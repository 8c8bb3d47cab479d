"""Where a system's state lies: ``.outlast/`` in the project directory, for its user alone."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

import msgspec

from outlast.blueprint.schema import Blueprint
from outlast.kernel.error import ConfigurationError, Conflict, StoreUnavailable

state_directory = ".outlast"
"""Its name in the project directory."""
socket_path_bytes_max = 100
"""A Unix socket's path may have 107 bytes; a few are left for the writer's own use."""


class CellFile(msgspec.Struct, frozen=True):
    """``.outlast/cell.json``: what a child needs to know, so that it neither parses YAML nor guesses."""

    blueprint: Blueprint
    file: str | None = None
    """Where the blueprint was read if not from the project's own file."""


class Up(msgspec.Struct, frozen=True):
    """``.outlast/up.json`` and ``.outlast/gateway.json``: who serves this directory, and where."""

    pid: int
    address: str


def gateway_file(home: Path) -> Path:
    """Where the gateway of a project says where it listens."""
    return home / state_directory / "gateway.json"


def write_whole(path: Path, content: msgspec.Struct) -> None:
    """As JSON, whole or not at all: others read it at any time, and may write their own."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.touch(mode=0o600)
    beside.write_bytes(msgspec.json.encode(content))
    beside.replace(path)


def remove_own(path: Path) -> None:
    """Remove a file of `Up` that this process wrote; one that another wrote meanwhile stays."""
    try:
        if msgspec.json.decode(path.read_bytes(), type=Up).pid != os.getpid():
            return
    except (OSError, msgspec.MsgspecError):
        return
    path.unlink(missing_ok=True)


class StateDirectory:
    """The paths below one ``.outlast``."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.path = self.home / state_directory
        self.journal = self.path / "journal.sqlite"
        self.blobs = self.path / "blobs"
        self.logs = self.path / "logs"
        self.up = self.path / "up.json"
        self.cell = self.path / "cell.json"
        self.restoring = self.path / "restore.json"
        """There while a restore into this directory is not finished."""
        self.postgres = self.path / "postgres.json"
        """How far PostgreSQL had come; ``losses.jsonl`` beside it says what a failover lost."""

        self.anchors = self.path / "anchors"
        """How far the streams of a shared journal had come, as this host's processes saw it, by lineage."""

    def alive(self, kind: str) -> Path:
        """Where children of a kind (``worker``, ``writer``, ``server``) keep their liveness files."""
        return self.path / f"{kind}s"

    @property
    def socket(self) -> Path:
        """The writing process's socket: beside the journal, or, where that path is too long, in a private directory
        of the machine's temporary one, named after the path and the user.
        """
        beside = self.path / "writer.sock"
        if len(os.fsencode(beside)) <= socket_path_bytes_max:
            return beside
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"outlast-{os.getuid()}-{name}" / "writer.sock"

    def make(self, *, restoring: bool = False) -> None:
        """Make the directories, for this user alone. Raises StoreUnavailable, ConfigurationError, and Conflict where a
        restore broke off, for everybody but that restore itself.
        """
        if not restoring and self.restoring.exists():
            raise Conflict(
                f"a restore into {self.home} is not finished, so nothing may run there: do it again "
                f"(`outlast restore`), or remove {self.path} to begin anew; {self.restoring.name} says what it was"
            )
        for directory in (self.path, self.socket.parent):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = directory.lstat()
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise StoreUnavailable(f"directory {directory} cannot be made: {reason}") from None
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise ConfigurationError(
                    f"{directory} is not a directory of this user: remove it, or run as the user that it belongs to"
                )
            if found.st_mode & 0o077:
                directory.chmod(0o700)

    def write_cell(self, blueprint: Blueprint, file: str | None = None) -> None:
        """Leave word for the children of the cell that starts here."""
        write_whole(self.cell, CellFile(blueprint, file))

    def read_cell(self) -> CellFile:
        """What the supervisor left for its children. Raises StoreUnavailable."""
        try:
            return msgspec.json.decode(self.cell.read_bytes(), type=CellFile)
        except (OSError, msgspec.MsgspecError) as error:
            raise StoreUnavailable(f"{self.cell} cannot be read: {error}; start `outlast up` again") from None
