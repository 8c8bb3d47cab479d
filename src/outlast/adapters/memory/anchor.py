"""Anchored heads in memory."""

from __future__ import annotations

from collections.abc import Iterable

from outlast.journal.stream import Head


class MemoryAnchors:
    """An AnchorStore."""

    def __init__(self) -> None:
        self._heads: dict[str, Head] = {}

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        for stream, head in heads:
            known = self._heads.get(stream)
            if known is None or head.seq > known.seq:
                self._heads[stream] = head

    async def all(self) -> dict[str, Head]:
        return self.contents()

    def contents(self) -> dict[str, Head]:
        """Every anchored head by stream, at once."""
        return dict(self._heads)
