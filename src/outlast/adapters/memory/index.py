"""The run index in memory: every question is answered by looking at every entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from outlast.journal.index import HintPatch, RunEntry
from outlast.kernel.error import NotFound


class MemoryIndex:
    """A RunIndex; `patch` is how the store beside it tells what an append changes."""

    def __init__(self) -> None:
        self._entries: dict[str, RunEntry] = {}

    def patch(self, patch: HintPatch) -> None:
        """Apply what an append says about its run."""
        entry = self._entries.get(patch.run) or RunEntry(patch.run)
        self._entries[patch.run] = entry.patched(patch)

    def forget(self, run: str) -> None:
        """Its run is removed."""
        self._entries.pop(run, None)

    def entries(self) -> list[RunEntry]:
        """Every entry."""
        return list(self._entries.values())

    async def entry(self, run: str) -> RunEntry | None:
        return self._entries.get(run)

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        found = [entry for entry in self._entries.values() if entry.due(now) and pool in (None, entry.pool)]
        return sorted(found, key=lambda entry: (entry.updated_at, entry.run))[:limit]

    async def next_wake(self, now: float) -> float | None:
        return min(
            (entry.wake_at for entry in self._entries.values() if entry.state == "parked" and entry.wake_at > now),
            default=None,
        )

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        found = (e for e in self._entries.values() if e.state == "running" and owner in (None, e.owner))
        return sorted(found, key=lambda entry: entry.run)[:limit]

    async def list(
        self,
        *,
        state: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        before: str | None = None,
        limit: int = 50,
        fresh: bool = False,
    ) -> Sequence[RunEntry]:
        found = [
            entry
            for entry in self._entries.values()
            if state in (None, entry.state) and agent in (None, entry.agent) and session in (None, entry.session)
        ]
        if before is not None:
            last = self._entries.get(before)
            if last is None:
                raise NotFound(f"run {before!r} is not known: a page continues after a run of the page before it")
            found = [entry for entry in found if (entry.created_at, entry.run) < (last.created_at, last.run)]
        return sorted(found, key=lambda entry: (entry.created_at, entry.run), reverse=True)[:limit]

    async def counts(self) -> dict[str, int]:
        return dict(Counter(entry.state for entry in self._entries.values()))
