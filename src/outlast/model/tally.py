"""Counters that replicas share, as hints: a port. A count that is lost lets more through, for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Tally(Protocol):
    """Every adapter passes `tests/contracts/tally.py`. Raises ShelfUnavailable; then the counts may be added or not."""

    async def add(self, name: str, counts: Sequence[int], ttl_s: float) -> Sequence[int]:
        """Add to each of a few counters under `name`, kept for `ttl_s` after the last time; what they hold now."""
        ...
