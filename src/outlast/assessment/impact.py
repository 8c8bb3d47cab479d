"""What a disruption does: which components it touches, in which order, how long, and what clients notice."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from outlast.assessment.disruption import Disruption


class State(enum.IntEnum):
    """How bad it is; a higher number is worse."""

    UNTOUCHED = 0
    WEAKENED = 1
    """It serves as before, with less in reserve."""
    DEGRADED = 2
    """It serves a worse answer, or without something that it can do without."""
    WAITING = 3
    """It accepts work, which waits until what failed is back; nothing is lost."""
    INTERRUPTED = 4
    """It does not serve until something takes over by itself."""
    DOWN = 5
    """It does not serve until what failed is repaired or restored."""

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


class Touch(msgspec.Struct, frozen=True):
    """What happens to one component."""

    component: str
    state: State
    step: int
    """0: hit by the disruption itself; n: over n edges."""
    via: str
    """The component from which it came; empty: the disruption itself."""
    after_s: float
    """Seconds until it shows: the time-outs on the way."""
    until_s: float | None
    """Seconds until it serves again; None where it always does."""
    why: str


class Impact(msgspec.Struct, frozen=True):
    """Everything that one disruption does."""

    disruption: Disruption
    touches: Mapping[str, Touch]
    """By component, in the order in which they are reached; only those that are touched."""
    work: Mapping[str, State]
    """By class of work, what its clients notice."""
    share: float
    """The blast radius: the share of all work that is down, interrupted or waiting (1), or degraded (0.3)."""
    entered: Mapping[str, tuple[Touch, ...]] = {}
    """By class of work, what happens to the components where it enters."""

    def affected(self) -> frozenset[str]:
        """The components that do not do what they do on other days."""
        return frozenset(name for name, touch in self.touches.items() if touch.state >= State.DEGRADED)
