"""Who is alive on this host, by locks that the kernel lets go of at death, and making sure that somebody is dead.

Each worker holds a flock on ``workers/<id>.alive`` for its whole life. Taking that lock proves that it is gone; an
empty process group, that nothing it started is left either.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import msgspec

from outlast.adapters.host import group, table
from outlast.kernel.clock import Clock
from outlast.kernel.error import Conflict
from outlast.kernel.identity import check_name

confirm_within_s = 5.0
"""How long `confirm_dead` insists before it says that it cannot be sure."""
alive_files_max = 10_000
"""Files of the dead that are kept: a step in doubt may name its executor long after."""
_look_every_s = 0.005


class Alive(msgspec.Struct, frozen=True):
    """What a liveness file says. `boot` names this boot of this host (and its process name space)."""

    pid: int
    group: int
    boot: str
    started: str
    at: float
    dead: bool = False


def this_boot() -> str:
    """Names this boot of this host and the process name space: numbers mean nothing elsewhere. "" if nobody can say."""
    boot = table.boot_id()
    if not boot:
        return ""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return boot + space


def _file(directory: Path, worker: str) -> Path:
    return directory / f"{check_name('worker', worker)}.alive"


class AliveFile:
    """Held by a worker for its whole life. Raises Conflict if somebody else holds it, or held it and is dead."""

    def __init__(self, directory: Path, worker: str, clock: Clock) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(_file(directory, worker), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = os.fstat(self._fd).st_size > 0
        except BlockingIOError:
            taken = True
        if taken:
            os.close(self._fd)
            raise Conflict(f"worker identity {worker} is or was in use: every worker needs one of its own")
        me = table.lookup(os.getpid())
        started = me.started if me is not None else ""
        _write(self._fd, Alive(os.getpid(), os.getpgrp(), this_boot(), started, clock.now()))

    def close(self) -> None:
        """Let go: from now on `confirm_dead` calls this worker dead. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write(fd: int, alive: Alive) -> None:
    raw = msgspec.json.encode(alive) + b"\n"
    os.pwrite(fd, raw, 0)
    os.ftruncate(fd, len(raw))


class HostExecutors:
    """Implements `agent.executor.Executors` for workers of this host."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._boot: str | None = None

    async def confirm_dead(self, worker: str) -> bool:
        """Make sure that a worker, and every process of its group, is dead: kill them if they are not.

        True only when surely gone. False for one of another host or boot (at once, also when two hosts share this
        directory by accident), for oneself, for one never heard of, and for one that did not die within
        `confirm_within_s`.
        """
        try:
            fd = os.open(_file(self._directory, worker), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return await self._confirm(fd, worker)
        finally:
            os.close(fd)

    async def _confirm(self, fd: int, worker: str) -> bool:
        try:
            alive = msgspec.json.decode(os.pread(fd, 4096, 0), type=Alive)
        except msgspec.MsgspecError:
            return False
        if alive.dead:
            return True
        if self._boot is None:
            self._boot = await asyncio.to_thread(this_boot)
        if not self._boot or alive.boot != self._boot or alive.pid == os.getpid():
            return False
        leads = alive.group == alive.pid  # one that shares its group with others is not killed for their sake
        identity = group.Identity(alive.pid, alive.started, worker)
        deadline = self._clock.monotonic() + confirm_within_s
        while True:
            gone = await asyncio.to_thread(group.kill, identity) if leads else True
            if gone and _try_lock(fd):
                _write(fd, msgspec.structs.replace(alive, dead=True))
                return True
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(_look_every_s)

    def known(self) -> list[str]:
        """Every worker that has a file here and is not known to be dead."""
        found: list[str] = []
        for path in sorted(self._directory.glob("*.alive")):
            try:
                alive = msgspec.json.decode(path.read_bytes(), type=Alive)
            except (OSError, msgspec.MsgspecError):
                continue
            if not alive.dead:
                found.append(path.stem)
        return found

    def prune(self, keep: int = alive_files_max) -> None:
        """Remove the oldest files of the dead beyond `keep`."""
        dead: list[tuple[float, Path]] = []
        for path in self._directory.glob("*.alive"):
            try:
                alive = msgspec.json.decode(path.read_bytes(), type=Alive)
            except (OSError, msgspec.MsgspecError):
                continue
            if alive.dead:
                dead.append((alive.at, path))
        dead.sort()
        for _, path in dead[: max(0, len(dead) - keep)]:
            path.unlink(missing_ok=True)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
