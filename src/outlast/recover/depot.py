"""Where backups lie: objects that are written once and never changed, in a directory or in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Depot(Protocol):
    """Keeps objects by name (``a/b/c``). Every adapter passes `tests/contracts/depot.py`."""

    @property
    def where(self) -> str:
        """Its address, for people and messages."""
        ...

    async def put(self, name: str, content: bytes, locked_until: float = 0.0) -> None:
        """Store durably, or not at all; returns only then. The same content again is fine.

        `locked_until` (seconds since 1970): nobody shall be able to remove it before, as far as the depot can see to
        that. Raises Conflict if something else has that name, which stays; StoreUnavailable.
        """
        ...

    async def get(self, name: str) -> bytes:
        """The content. Raises NotFound, StoreUnavailable."""
        ...

    async def hold(self, name: str, size: int, locked_until: float = 0.0) -> bool:
        """Whether an object of that size is there; then its lock lasts until `locked_until`, or longer.

        Raises Conflict if one of another size is there, StoreUnavailable.
        """
        ...

    async def names(self, prefix: str = "") -> Sequence[str]:
        """Every name that begins with `prefix`, in text order. Raises StoreUnavailable."""
        ...

    async def remove(self, name: str) -> bool:
        """Remove it, if it is there; False if it is locked and stays. Raises StoreUnavailable."""
        ...
