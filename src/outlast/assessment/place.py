"""Where in the blueprint something is said."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where in the blueprint something is said: line and column from 1, and the keys that lead there."""

    line: int = 0
    column: int = 0
    path: tuple[str, ...] = ()
    """Such as ``("stores", "orders")``; empty: nowhere, it is implied."""

    def __str__(self) -> str:
        return ".".join(self.path)


nowhere = Place()
