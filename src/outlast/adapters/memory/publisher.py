"""A publisher in memory: keeps what it was given."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.journal.publication import Publication, Told, publish_count_max
from outlast.kernel.error import invariant


class MemoryPublisher:
    """Implements `Publisher`; `published` is all of it, in the order of arrival."""

    def __init__(self) -> None:
        self.published: list[Publication] = []

    async def publish(self, publications: Sequence[Publication]) -> Sequence[Told]:
        invariant(len(publications) <= publish_count_max, f"{len(publications)} events were published at once")
        self.published += publications
        return ["sent" for _ in publications]
