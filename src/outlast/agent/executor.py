"""The port that says whether an earlier executor can still act."""

from __future__ import annotations

from typing import Protocol


class Executors(Protocol):
    """Knows the processes of this host."""

    async def confirm_dead(self, worker: str) -> bool:
        """True only if the worker's process group is surely gone; kills it first if it still lives on this host.

        False for a worker of another host, or if it would not die.
        """
        ...
