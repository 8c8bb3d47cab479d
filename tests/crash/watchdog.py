"""Ends a system under test when nobody needs it any more, also when pytest is killed or its supervisor is frozen.

A process of its own, in a session of its own. On its standard input it is told the process number of each supervisor;
when that closes, for whatever reason, it kills them and every child that left a liveness file, each by its number and
the moment it started.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from outlast.adapters.host import table
from outlast.adapters.host.alive import Alive
from outlast.bootstrap.home import StateDirectory

LIMIT_S = 20.0
"""How long it goes on killing: a supervisor may have started somebody just before it died."""


def main() -> None:
    state = StateDirectory(Path(sys.argv[1]))
    supervisors: list[table.Process] = []
    for line in sys.stdin.buffer:
        found = table.lookup(int(line))
        if found is not None:
            supervisors.append(found)
    for supervisor in supervisors:
        if _is_there(supervisor.pid, supervisor.started):
            os.kill(supervisor.pid, signal.SIGKILL)
    quiet = 0
    until = time.monotonic() + LIMIT_S
    while quiet < 5 and time.monotonic() < until:
        living = [child for child in _children(state) if _is_there(child.pid, child.started)]
        for child in living:
            os.killpg(child.pid, signal.SIGKILL)
        quiet = 0 if living else quiet + 1
        time.sleep(0.05)


def _children(state: StateDirectory) -> list[Alive]:
    found: list[Alive] = []
    for kind in ("worker", "server", "gateway", "keeper", "writer"):
        for path in state.alive(kind).glob("*.alive"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Alive))
            except (OSError, msgspec.MsgspecError):  # being written, or removed
                continue
    return found


def _is_there(pid: int, started: str) -> bool:
    process = table.lookup(pid)
    return process is not None and process.started == started and not process.zombie


if __name__ == "__main__":
    main()
