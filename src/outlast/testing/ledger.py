"""What an agent's tools did to the world, as a test sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec


class Effects(Protocol):
    """Where a test reads what has happened. `Ledger` is one; a file, a table or a fake service can be another."""

    def clear(self) -> None:
        """Forget everything: another try begins."""
        ...

    def entries(self) -> Sequence[object]:
        """Everything that has happened, doubles included. Two entries are the same if their `repr` is."""
        ...


class Entry(msgspec.Struct, frozen=True):
    """One effect: the key of the step that brought it about, and what it was."""

    key: str
    what: Any = None


class Ledger:
    """Stands for the outside world: it outlives crashes, and takes every entry, so that doubles stay visible."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def book(self, key: str, what: Any = None) -> None:
        """The effect of the step whose `ctx.key` is `key` happens now."""
        self._entries.append(Entry(key, what))

    def has(self, key: str) -> bool:
        """Whether the step's effect has happened: what a tool's `verify` asks."""
        return any(entry.key == key for entry in self._entries)

    def find(self, key: str) -> Any:
        """What was booked under `key` first; raises KeyError."""
        for entry in self._entries:
            if entry.key == key:
                return entry.what
        raise KeyError(key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def entries(self) -> Sequence[Entry]:
        """Everything booked, in order."""
        return tuple(self._entries)
