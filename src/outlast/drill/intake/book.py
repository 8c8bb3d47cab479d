"""The books of the intake drill: what was sent and what became of it, by witnesses outside of the system.

Four witnesses: who sent the document, the gates before preprocessing and the models (who was answered), the register's
own file (what was filed, and under which mark), and the public events of runs (what was waited for).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from outlast.drill.measure import Event

effect = "filing"
"""What is due for each document, once."""
_waiting = frozenset({"step.retried", "step.doubted"})
waits_for: Mapping[str, str] = {"fetch": "documents", "file": "register"}
"""By step, the dependency that it waits for."""


class Sent(msgspec.Struct):
    """One document, as its sender wrote it down before it was sent. Times are seconds since 1970."""

    mark: str
    outage: str
    sent_at: float
    run: str = ""
    state: str = "unknown"
    ended_at: float = 0.0
    result: Mapping[str, Any] = {}
    events: Sequence[Event] = ()

    @property
    def degraded(self) -> bool:
        """What the system says of it."""
        return bool(self.result.get("degraded"))

    @property
    def waited(self) -> dict[str, float]:
        """By dependency, seconds between the first attempt that failed and the outcome of the step."""
        names = {str(e.data.get("place")): str(e.data.get("name")) for e in self.events if "name" in e.data}
        began: dict[str, float] = {}
        found: dict[str, float] = {}
        for event in self.events:
            place = str(event.data.get("place", ""))
            target = waits_for.get(names.get(place, ""))
            if target is None:
                continue
            if event.type in _waiting:
                began.setdefault(place, event.at)
            elif event.type in ("step.done", "step.failed") and place in began:
                found[target] = found.get(target, 0.0) + event.at - began.pop(place)
        return found


class Filing(msgspec.Struct, frozen=True):
    """One line of the register."""

    document: str
    degraded: bool


def read_filings(register: Path) -> list[Filing]:
    """What the register's file says was filed."""
    with closing(sqlite3.connect(register, timeout=10.0)) as base:
        base.execute("PRAGMA query_only = ON")
        rows: list[tuple[Any, ...]] = base.execute("SELECT ticket, degraded FROM booking ORDER BY id").fetchall()
    return [Filing(str(document), bool(degraded)) for document, degraded in rows]


def wrong_marks(
    sent: Iterable[Sent], filings: Iterable[Filing], answered: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Documents that were read with less than everything and are not marked so, or are and were not.

    `answered`: by gate, the documents about which it passed an answer on.
    """
    marks: dict[str, set[bool]] = {}
    for filing in filings:
        marks.setdefault(filing.document, set()).add(filing.degraded)
    found: list[str] = []
    for one in sent:
        if one.state != "completed":
            continue
        without = [name for name in ("preprocessing", "first") if one.mark not in answered[name]]
        due = bool(without)
        if one.degraded != due:
            was = f"was read without {' and '.join(without)}" if due else "was read with everything"
            found.append(f"document {one.mark} {was}, and its result says {'degraded' if one.degraded else 'nothing'}")
        if marks.get(one.mark, {due}) != {due}:
            found.append(f"document {one.mark} stands in the register with another mark than it was read with")
    return found
