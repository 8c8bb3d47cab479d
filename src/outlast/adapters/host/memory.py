"""How much memory processes hold."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.adapters.host import table

_page = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Resident bytes of one process; 0 if it is gone. Cheap: one small read where there is ``/proc``."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _page
    except (OSError, ValueError, IndexError):
        pass
    process = None if table.has_proc() else table.lookup(pid)
    return process.rss if process is not None else 0


def resident_of_group(group: int) -> int:
    """Resident bytes of all processes of a group. Shared pages count once for each process that maps them."""
    return sum(process.rss for process in table.members(group))
