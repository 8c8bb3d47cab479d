"""Named places where a process may die. The code says where it is; who listens decides what happens there.

In production nobody listens. A crash drill hands in a listener that kills the process at one of them
(`adapters/host/crash.py`), the seeded simulation one that stops a simulated node.
"""

from __future__ import annotations

from typing import Literal, Protocol

Place = Literal[
    "append.before",  # the bytes are made, nothing is sent
    "append.after",  # durable and known to be; agent code has not seen it
    "commit.before",  # in the writing process: gathered, not yet durable
    "commit.after",  # in the writing process: durable, nobody told
    "claim.before",
    "claim.after",
    "intent.before",
    "intent.after",  # the intent is durable, the effect not begun
    "effect.after",  # the effect happened, its record did not
    "record.after",
    "verify.before",
    "verify.after",
    "gather.enter",
    "gather.error",  # a branch failed, its siblings still run
    "gather.exit",
    "snapshot.before",
    "snapshot.after",
    "timer.set",
    "timer.fired",
    "signal.consumed",
    "session.turn",
    "run.end.before",
    "run.end.after",
    "blob.before",
    "blob.after",
]


class Points(Protocol):
    """Told whenever execution reaches a named place; `subject` is the tool, step or stream it is about."""

    def reach(self, place: Place, subject: str = "") -> None: ...


class NoPoints:
    """Nobody listens."""

    def reach(self, place: Place, subject: str = "") -> None:
        return None
