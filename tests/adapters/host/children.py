"""Small programs that stand in for a cell's children: real processes with real control channels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from outlast.adapters.host.environment import child_environment
from outlast.cell.child import ChildPlan, Kind

PRELUDE = """
import os, select, signal, subprocess, sys, time
from outlast.adapters.host.control import ControlLink
from outlast.cell.child import *
link = ControlLink.from_environment(os.environ)
link.watch()
def beat_until(end, every=0.02, runs=0, pools=()):
    link.say(Ready(pools=pools))
    poll = select.poll()
    poll.register(link.fileno(), select.POLLIN)
    n = 0
    while True:
        n += 1
        link.say(Beat(n, runs))
        if poll.poll(every * 1000):
            for word in link.read():
                end(word)
def exit_on_drain(word):
    if isinstance(word, Drain):
        sys.exit(0)
"""

BEATS = PRELUDE + "beat_until(exit_on_drain)"
ECHOES = PRELUDE + "beat_until(lambda word: link.say(Log('info', repr(word))))"
EXITS = PRELUDE + "sys.exit(3)"
FAILS = PRELUDE + "link.say(Failed('configuration', 'app.py: no such file')); sys.exit(78)"
STOPS_BEATING = PRELUDE + "link.say(Ready()); link.say(Beat(1)); time.sleep(600)"
IGNORES_DRAIN = PRELUDE + "signal.signal(signal.SIGTERM, signal.SIG_IGN); beat_until(lambda word: None)"
SWELLS = PRELUDE + (
    "link.say(Ready())\nheld = []\nfor n in range(1, 200):\n    held.append(bytearray(os.urandom(1) * (4 << 20)))\n"
    "    link.say(Beat(n)); time.sleep(0.01)\ntime.sleep(600)"
)
HAS_CHILDREN = PRELUDE + (
    "sub = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "link.say(Log('info', str(sub.pid)))\nbeat_until(exit_on_drain)"
)
FREEZES = PRELUDE + "link.say(Ready()); os.kill(os.getpid(), signal.SIGSTOP)"
HOLDS_THE_INTERPRETER = PRELUDE + (
    "import ctypes\nsub = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "link.say(Ready())\nctypes.PyDLL(None).sleep(600)"
)
FREEZES_AT_START = PRELUDE + "os.kill(os.getpid(), signal.SIGSTOP)"
NEVER_READY = PRELUDE + "time.sleep(600)"


def plan(directory: Path, child: str, program: str, kind: Kind = "worker") -> ChildPlan:
    return ChildPlan(
        id=child,
        kind=kind,
        arguments=[sys.executable, "-c", program],
        environment=child_environment(os.environ, child, runs_user_code=True),
        directory=str(directory),
        log=str(directory / "logs" / f"{kind}.log"),
    )
