"""What the operating system says about processes, and signals to them. A third party's view: no product internals.

A process is named by its id *and* the moment it started, so that a number that was given again is never hit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

_proc = sys.platform == "linux"
_FIELD_STATE, _FIELD_PARENT, _FIELD_STARTED = 0, 1, 19  # positions after the command's closing parenthesis, proc(5)


class Process(msgspec.Struct, frozen=True):
    """One process: `started` is an opaque mark of its start, equal only for the same process."""

    pid: int
    started: str


class Child(msgspec.Struct, frozen=True):
    """A child process with its command line."""

    process: Process
    command: str


def identify(pid: int) -> Process | None:
    """The process that has `pid` now; None if there is none, or if it has ended and only waits to be reaped."""
    row = _row(pid)
    return None if row is None else Process(pid, row[1])


def alive(process: Process) -> bool:
    """Whether this very process still runs (or is stopped)."""
    return identify(process.pid) == process


def children(parent: int) -> list[Child]:
    """The living children of `parent`, oldest id first."""
    if _proc:
        pids = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        rows = [(pid, row) for pid in pids if (row := _row(pid)) is not None]
        return [Child(Process(pid, row[1]), _command(pid)) for pid, row in rows if row[0] == parent]
    found: list[Child] = []
    for line in _ps("-axo", "pid=,ppid=").splitlines():
        pid, _, ppid = line.strip().partition(" ")
        process = identify(int(pid)) if int(ppid) == parent else None
        if process is not None:
            found.append(Child(process, _command(process.pid)))
    return found


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to this very process; False if it is gone."""
    if not alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _row(pid: int) -> tuple[int, str] | None:
    """Parent and start of a living process."""
    if _proc:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if not fields or fields[_FIELD_STATE] in "ZX":
            return None
        return int(fields[_FIELD_PARENT]), fields[_FIELD_STARTED]
    fields = _ps("-o", "stat=,ppid=,lstart=", "-p", str(pid)).split(None, 2)
    if len(fields) < 3 or fields[0].startswith("Z"):
        return None
    return int(fields[1]), fields[2].strip()


def _command(pid: int) -> str:
    if _proc:
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return raw.replace(b"\0", b" ").decode(errors="replace").strip()
    return _ps("-o", "command=", "-p", str(pid)).strip()


def _ps(*arguments: str) -> str:
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, timeout=10, check=False).stdout
