"""Staying awake for an answer that is about to come.

Waking a sleeping process on an idle core costs a fifth to a third of a commit, and there are two such wake-ups in each
append of a lone client. So both sides look again a few hundred microseconds before they sleep, giving their core away
between looks. It is only worth it while nobody else wants the core: an attempt that ends without the answer makes the
next ones rarer, down to one in 256 (`benchmarks/append.py` measures it).
"""

from __future__ import annotations

import os
import sys

spin_s_max = 0.0005
"""Bound of one attempt."""
_lost_turn_s = 0.0001  # a yield that took so long gave the core to somebody who needs it
_failures_max = 8


class Spin:
    """When to look again instead of sleeping. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._failures = 0
        self._skip = 0
        self._until = 0.0
        self._looked = 0.0

    def begin(self, now: float) -> bool:
        """Whether to try this time."""
        if self._skip > 0:
            self._skip -= 1
            return False
        self._until = now + spin_s_max
        self._looked = now
        return True

    def again(self, now: float) -> bool:
        """Nothing came yet: whether to look once more. It gives the core away before that."""
        if now >= self._until or now - self._looked > _lost_turn_s:
            self._failures = min(self._failures + 1, _failures_max)
            self._skip = (1 << self._failures) - 1
            return False
        self._looked = now
        if sys.platform != "darwin":
            os.sched_yield()
        return True

    def won(self) -> None:
        """What was awaited came while awake."""
        self._failures = 0
