"""A pipe on which a child's life hangs: when its supervisor's end closes, the kernel kills the child's whole group.

The kernel, not the child: so it also ends one that is stopped, or whose code keeps the interpreter to itself. Linux can
send a signal of one's choice when a pipe hangs up (``F_SETSIG``, fcntl(2)); elsewhere a child's own thread must do, and
what it cannot end is buried by the next supervisor. ``PR_SET_PDEATHSIG`` would end the child alone, not its group, and
goes by the thread that started it.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Mapping

lifeline_variable = "OUTLAST_LIFELINE_FD"
"""The number of the file descriptor that is the child's end of its lifeline."""


def is_supported() -> bool:
    """Whether this host's kernel can do it."""
    return hasattr(fcntl, "F_SETSIG")


def hang_on(environment: Mapping[str, str]) -> bool:
    """From now on this process's group, whose leader it is, dies with the lifeline. False if there is none."""
    text = environment.get(lifeline_variable, "")
    if not is_supported() or not text.isdecimal() or os.getpgrp() != os.getpid():
        return False
    end = int(text)
    try:
        os.set_inheritable(end, False)  # not for what the user's tools start
        fcntl.fcntl(end, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
    except OSError:  # a kernel that only looks like Linux: the thread that watches the channel remains
        return False
    return True
