"""Ending a process group surely, and without ever hitting a stranger that inherited its number."""

from __future__ import annotations

import os
import signal

from outlast.adapters.host import table

child_variable = "OUTLAST_CHILD"
"""The environment variable by which a child and what it starts are recognised."""


class Identity:
    """A child that somebody started as the leader of its own group: its number, when it started, its unique id."""

    def __init__(self, pid: int, started: str, child: str) -> None:
        self.pid = pid
        self.started = started
        self.child = child

    def is_leader(self, process: table.Process) -> bool:
        """Whether this process is the child itself, not another one that got its number later."""
        if self.started:
            return process.pid == self.pid and process.started == self.started
        return process.pid == self.pid and table.tagged(process.pid, child_variable, self.child)


def living(identity: Identity) -> tuple[list[table.Process], bool]:
    """The living processes with this group number, and whether they surely belong to the child.

    A number is not given to a stranger while a group of that number has one process left. So one recognised member, the
    leader's zombie included, vouches for all; and a stranger as leader proves that the child's group has ended.
    """
    leader = table.lookup(identity.pid)
    if leader is not None and not identity.is_leader(leader):
        return [], True
    rest = table.members(identity.pid)
    if leader is not None:
        return rest, True
    return rest, any(table.tagged(process.pid, child_variable, identity.child) for process in rest)


def kill(identity: Identity) -> bool:
    """SIGKILL the group if it is recognised. True if nothing of it is alive any more; False: look again soon.

    Also False when processes with this group number are alive that cannot be recognised: they are not touched.
    """
    rest, ours = living(identity)
    if not rest:
        return True
    if ours:
        try:
            os.killpg(identity.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    return False
