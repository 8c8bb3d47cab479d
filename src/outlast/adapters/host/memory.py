"""How much memory processes hold."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.adapters.host import table

family_max = 1000
"""Processes of one family that are counted."""
_page = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Resident bytes of one process; 0 if it is gone. Cheap: one small read where there is ``/proc``."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _page
    except (OSError, ValueError, IndexError):
        pass
    process = None if table.has_proc() else table.lookup(pid)
    return process.rss if process is not None else 0


def resident_of_family(pid: int) -> int:
    """Resident bytes of a process and of what it started. Shared pages count once for each process that maps them.

    Its cost grows with the family, not with the machine: the supervisor asks while others wait for it.
    """
    total, todo, seen = 0, [pid], set[int]()
    while todo and len(seen) < family_max:
        member = todo.pop()
        if member not in seen:
            seen.add(member)
            total += resident(member)
            todo += _children(member)
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (hot)
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    except (OSError, ValueError):  # gone meanwhile, or no /proc: then its own memory must do
        pass
    return found
