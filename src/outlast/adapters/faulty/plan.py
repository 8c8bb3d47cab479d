"""What goes wrong, how often, and in which order: the same seed, the same faults."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.kernel.randomness import derived

Fault = Literal["lost_request", "lost_answer", "late", "doubled", "full", "torn", "unreadable", "delay"]
"""lost_request: never arrives, Unknown · lost_answer: applied, Unknown · late: Unknown now, arrives some calls later ·
doubled: arrives twice, the answer is the second one's conflict · full: the disk takes nothing for some calls · torn:
for some calls, half of the appends are applied and all are Unknown · unreadable: a read fails for now · delay: the
answer takes some turns of the loop."""


class FaultPlan(msgspec.Struct, frozen=True):
    """Chances in [0, 1] for each call; `seed` decides which calls they hit."""

    seed: str = "0"
    lost_request: float = 0.05
    lost_answer: float = 0.05
    late: float = 0.05
    late_calls_max: int = 20
    """A late append lands after 1 to so many later calls."""
    full: float = 0.005
    full_calls_max: int = 10
    """A full disk stays full for 1 to so many calls."""
    doubled: float = 0.05
    torn: float = 0.01
    torn_calls_max: int = 10
    """A commit tears 1 to so many calls."""
    unreadable: float = 0.02
    delay: float = 0.2
    delay_turns_max: int = 5
    """A delayed answer takes 1 to so many turns of the event loop."""


class Dice:
    """Draws faults of a plan. `counts` says how many of each were dealt: faults that never bit prove nothing."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._chance = derived("faulty", plan.seed)
        self.counts: dict[Fault, int] = {}

    def hit(self, fault: Fault, chance: float) -> bool:
        """Whether this call has this fault."""
        if self._chance.random() >= chance:
            return False
        self.counts[fault] = self.counts.get(fault, 0) + 1
        return True

    def upto(self, most: int) -> int:
        """A number from 1 to `most`."""
        return self._chance.randint(1, most)
