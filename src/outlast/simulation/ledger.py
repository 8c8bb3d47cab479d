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
        self.refused: list[Booking] = []
        """Attempts that surely did nothing."""

    def book(self, at: float, node: str, key: str, subject: str) -> None:
        self.bookings.append(Booking(at, node, key, subject))

    def has(self, key: str) -> bool:
        return any(booking.key == key for booking in self.bookings)
