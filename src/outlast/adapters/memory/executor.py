"""Executors where there are no processes: nobody can be confirmed dead."""

from __future__ import annotations


class MemoryExecutors:
    """Implements `agent.executor.Executors` for runs inside one process, which never outlives its own executors."""

    async def confirm_dead(self, worker: str) -> bool:
        """False: what ran in this process may still be running in it."""
        return False
