"""What runs have shown of a system: who has asked whom."""

from __future__ import annotations

from typing import Literal

import msgspec

SeenKind = Literal["journal", "guard", "model", "endpoint", "agent", "tool"]
"""How it was seen: in its own history, a guard or a name that the tool gave, a model step, a member of a pool, a child,
a tool that acts on the world and does not say where."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that runs have shown: an agent has asked something, or a model one of its endpoints."""

    source: str
    target: str
    kind: SeenKind
    runs: int
    """Runs that have shown it."""
    last_at: float
    """Seconds since 1970."""
    via: tuple[str, ...] = ()
    """The tools that asked."""
