"""Where a step stands: its scope, and its ordinal there, taken when it is called."""

from __future__ import annotations

import asyncio
from typing import Any

from outlast.kernel.error import ScopeError


class Scope:
    """One line of calls, owned by one task. Places are dotted numbers: ``3``, and ``3.0.1`` in branch 0 of gather 3."""

    __slots__ = ("_count", "_prefix", "now", "task")

    def __init__(self, prefix: str, now: float) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.now = now
        """The time of the last recorded step that this scope has seen: what `run.now()` says."""
        self._prefix = prefix
        self._count = 0

    def next_place(self, what: str) -> str:
        """The place of the step that is being called; raises ScopeError from a task that does not own this scope."""
        if asyncio.current_task() is not self.task:
            raise ScopeError(
                f"{what} was called from a task that the run does not know, so its place could not be found again "
                "after a crash: use run.gather(...) or run.map(...), which give each branch a scope of its own"
            )
        self._count += 1
        return f"{self._prefix}{self._count}"

    def branch(self, place: str, index: int) -> Scope:
        """The scope of one branch of the gather at `place`."""
        return Scope(f"{place}.{index}.", self.now)

    def future_places(self) -> tuple[str, int]:
        """The prefix of this scope's places and the ordinal that its next step gets."""
        return self._prefix, self._count + 1
