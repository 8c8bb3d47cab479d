"""The machine's process table: who is who, so that nobody is ever killed by a number alone.

A process is identified by its number *and* its start time or its environment; a group by members that are. Linux reads
``/proc``; elsewhere ``ps`` answers, more slowly.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_ps_timeout_s = 5.0


class Process(msgspec.Struct, frozen=True):
    """One line of the table. `started` is text that only equals itself on one boot; `rss` is in bytes."""

    pid: int
    group: int
    zombie: bool
    started: str
    rss: int


def has_proc() -> bool:
    """Whether ``/proc`` tells about processes here."""
    return (_PROC / "self" / "stat").exists()


_page = os.sysconf("SC_PAGE_SIZE")


def _parse_stat(pid: int, stat: bytes) -> Process:
    # The command name is in parentheses and may itself hold any character: fields count from the last parenthesis.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(
        pid=pid,
        group=int(fields[2]),
        zombie=fields[0] in (b"Z", b"X"),
        started=fields[19].decode(),
        rss=int(fields[21]) * _page,
    )


def _parse_ps(text: str) -> list[Process]:
    found: list[Process] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 9:  # lstart is five words
            found.append(
                Process(
                    pid=int(fields[0]),
                    group=int(fields[1]),
                    zombie=fields[2].startswith("Z"),
                    started=" ".join(fields[4:9]),
                    rss=int(fields[3]) * 1024,
                )
            )
    return found


def _ps(*selection: str) -> list[Process]:
    command = ["ps", *selection, "-o", "pid=,pgid=,stat=,rss=,lstart="]
    try:
        done = subprocess.run(
            command,
            check=False,  # it also fails when it finds nobody
            capture_output=True,
            text=True,
            timeout=_ps_timeout_s,
            env={"LC_ALL": "C", "PATH": os.defpath},
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _parse_ps(done.stdout)


def lookup(pid: int, *, proc: bool | None = None) -> Process | None:
    """The process with this number now, or None. `proc` False asks ``ps`` even where there is ``/proc``."""
    if has_proc() if proc is None else proc:
        try:
            return _parse_stat(pid, (_PROC / str(pid) / "stat").read_bytes())
        except (OSError, ValueError):  # gone, or going while it was read
            return None
    return next((process for process in _ps("-p", str(pid)) if process.pid == pid), None)


def everybody(*, proc: bool | None = None) -> list[Process]:
    """Every process that can be seen."""
    if has_proc() if proc is None else proc:
        found = (lookup(int(name), proc=True) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 (hot)
        return [process for process in found if process is not None]
    return _ps("-A")


def members(group: int, *, proc: bool | None = None) -> list[Process]:
    """The living processes of a group: zombies cannot act and do not count."""
    return [process for process in everybody(proc=proc) if process.group == group and not process.zombie]


def tagged(pid: int, name: str, value: str) -> bool:
    """Whether the process was started with this variable in its environment. False where that cannot be read."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{name}={value}".encode() in environment.split(b"\0")


def boot_id() -> str:
    """Text that names this boot of this machine; two machines, or two boots, never share it."""
    try:
        return (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    except OSError:
        pass
    try:
        done = subprocess.run(
            ["sysctl", "-n", "kern.bootsessionuuid"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_ps_timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
