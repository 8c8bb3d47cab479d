"""Recorded histories: run rivals on a store, read the book, judge it. The seed stands in every failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from outlast.adapters.host.clock import SystemClock
from outlast.drill.linearizability import Judged, judge_history
from outlast.drill.recorder import AnyCall, read_book
from outlast.drill.rival import Rivalry, compete, take_stock
from outlast.journal.stream import EventStore

SEED = "LINEARIZABILITY_SEED"


class Lines(list[bytes]):
    """A book in memory."""

    def write(self, line: bytes) -> None:
        self.append(line)


def seeds(count: int) -> Sequence[int]:
    """Fresh ones, or the one of the environment: what a failure says to set."""
    if SEED in os.environ:
        return [int(os.environ[SEED])]
    return [int.from_bytes(os.urandom(4), "big") for _ in range(count)]


async def recorded(store: EventStore, rivalry: Rivalry) -> list[AnyCall]:
    """What the rivals saw, and a last look."""
    book = Lines()
    await compete(store, rivalry, SystemClock(), book)
    await take_stock(store, rivalry, SystemClock(), book)
    return read_book(book)


def assert_linearizable(calls: Sequence[AnyCall], seed: int) -> Judged:
    judged = judge_history(calls)
    assert judged.holds, f"not linearizable; again with {SEED}={seed}: {judged.violations}"
    assert judged.calls
    sys.stdout.write(f"{SEED}={seed}: {judged.calls} calls on {judged.streams} streams, {judged.unknown} unknown\n")
    return judged
