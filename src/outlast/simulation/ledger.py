"""What the simulated world saw happen: effects, and what agents were told. Only the checker and `verify` read it."""

from __future__ import annotations

import msgspec


class Booking(msgspec.Struct, frozen=True):
    """One effect: when (virtual seconds), by which node, under which key, about what."""

    at: float
    node: str
    key: str
    subject: str


class Ledger:
    """Takes every booking, without a unique key: doubles stay visible."""

    def __init__(self) -> None:
        self.bookings: list[Booking] = []
        self.started: list[Booking] = []
        """Every call of a `once` tool, whatever came of it."""
        self.given: dict[str, set[str]] = {}
        """What agent code got from each step that is looked at, by subject, each time that it got it."""
        self.overdue: list[str] = []
        """Questions to a model that somebody still waited for long after their deadline."""
        self._keys: set[str] = set()
        self._asked: dict[str, int] = {}

    def start(self, at: float, node: str, key: str, subject: str) -> None:
        """A `once` tool begins."""
        self.started.append(Booking(at, node, key, subject))

    def book(self, at: float, node: str, key: str, subject: str) -> None:
        """An effect happens."""
        self.bookings.append(Booking(at, node, key, subject))
        self._keys.add(key)

    def give(self, subject: str, value: str) -> None:
        """Agent code gets a value, for the first time or in replay."""
        self.given.setdefault(subject, set()).add(value)

    def has(self, key: str) -> bool:
        """Whether the effect under this key has happened."""
        return key in self._keys

    def ask(self, key: str) -> int:
        """How often `verify` has been asked about this key, this time included."""
        self._asked[key] = self._asked.get(key, 0) + 1
        return self._asked[key]
