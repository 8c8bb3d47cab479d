"""The bank's side of the example: a ledger that Outlast knows nothing about.

It is a SQLite file of its own. It has no unique key on purpose: it books whatever it is told, as often as it is told.
If a refund were made twice, it would stand here twice, for anybody to count.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempt (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, ticket TEXT NOT NULL, subject TEXT NOT NULL,
    amount INTEGER NOT NULL, pid INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS booking (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, ticket TEXT NOT NULL, subject TEXT NOT NULL,
    amount INTEGER NOT NULL, pid INTEGER NOT NULL, at REAL NOT NULL);
"""


@dataclass(frozen=True)
class Receipt:
    """Proof of a booking."""

    booking: int
    order: str
    cents: int


class Ledger:
    """Books money. Every call is noted in `attempt` first, then booked in `booking`, each durably.

    `latency_s` is what a real payment provider takes before and again after it books: the time in which a crash
    leaves the caller in doubt.
    """

    def __init__(self, path: Path, latency_s: float = 0.05) -> None:
        self.path = path
        self.latency_s = latency_s
        with closing(self._open()) as base:
            base.executescript(SCHEMA)

    def book(self, key: str, ticket: str, order: str, cents: int) -> Receipt:
        """Pay `cents` back for an order. Not idempotent: two calls, two bookings."""
        self._insert("attempt", key, ticket, order, cents)
        time.sleep(self.latency_s)
        booking = self._insert("booking", key, ticket, order, cents)
        time.sleep(self.latency_s)
        return Receipt(booking, order, cents)

    def find(self, key: str) -> Receipt | None:
        """The booking that was made under `key`, if there is one."""
        with closing(self._open()) as base:
            row = base.execute("SELECT id, subject, amount FROM booking WHERE key = ? ORDER BY id", (key,)).fetchone()
        return None if row is None else Receipt(*row)

    def bookings(self) -> list[tuple[str, str, str, int]]:
        """Everything that was booked: key, ticket, order, cents."""
        with closing(self._open()) as base:
            return base.execute("SELECT key, ticket, subject, amount FROM booking ORDER BY id").fetchall()

    def _insert(self, table: str, key: str, ticket: str, order: str, cents: int) -> int:
        row = (key, ticket, order, cents, os.getpid(), time.time())
        with closing(self._open()) as base, base:
            cursor = base.execute(
                f"INSERT INTO {table} (key, ticket, subject, amount, pid, at) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            return int(cursor.lastrowid or 0)

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=30.0)
        base.execute("PRAGMA synchronous = FULL")
        return base
