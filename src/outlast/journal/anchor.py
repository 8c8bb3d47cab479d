"""Heads of streams kept outside the database, so that a truncated history shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from outlast.journal.stream import Head


class AnchorStore(Protocol):
    """Remembers how far streams had come. Only ever moves forward."""

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        """Remember these heads; a lower number than the one known is ignored."""
        ...

    async def all(self) -> dict[str, Head]:
        """Every anchored head by stream."""
        ...
