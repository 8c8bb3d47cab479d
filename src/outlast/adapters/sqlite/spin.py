"""Staying awake for an answer that is about to come.

Waking a sleeping process on an idle core costs a fifth to a third of a commit, and there are two such wake-ups in each
append of a lone client. So both sides look again a few hundred microseconds before they sleep, giving their core away
between looks. It is only worth it while nobody else wants the core: whoever is given it keeps it for a whole time
slice, some milliseconds, however low its priority. So a yield that took long puts an end to staying awake, for a while
that doubles each time; and an attempt that ends without the answer makes the next ones rarer, down to one in 256
(`benchmarks/append.py` and `benchmarks/crowd.py` measure it).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

spin_s_max = 0.0005
"""Bound of one attempt."""
pause_s_first = 0.1
pause_s_max = 5.0
"""How long nothing is tried after a core was lost: doubled from the first to the last, begun anew after a calm time."""
_lost_turn_s = 0.0002  # a yield that took so long gave the core to somebody who needs it
_failures_max = 8
_calm_pauses = 4  # so many pauses without a loss, and the next loss counts as the first


class Spin:
    """When to look again instead of sleeping. `monotonic` must be exact to some microseconds, in seconds.

    `give_away` gives the core to another process that wants it.
    """

    def __init__(self, monotonic: Callable[[], float], give_away: Callable[[], object] | None = None) -> None:
        self._monotonic = monotonic
        self._give_away = give_away or _give_away
        self._failures = 0
        self._skip = 0
        self._until = 0.0
        self._pause_s = 0.0
        self._paused_until = 0.0
        self._calm_at = 0.0

    def begin(self) -> bool:
        """Whether to try this time."""
        if self._skip > 0:
            self._skip -= 1
            return False
        now = self._monotonic()
        self._until = now + spin_s_max
        return now >= self._paused_until

    def again(self) -> bool:
        """Nothing came yet: whether to look once more. It gives the core away before that."""
        before = self._monotonic()
        if before >= self._until:
            self._failures = min(self._failures + 1, _failures_max)
            self._skip = (1 << self._failures) - 1
            return False
        self._give_away()
        now = self._monotonic()
        if now - before > _lost_turn_s:
            self._pause_s = min(self._pause_s * 2, pause_s_max) if now < self._calm_at else pause_s_first
            self._paused_until = now + self._pause_s
            self._calm_at = self._paused_until + _calm_pauses * self._pause_s
            self._until = now
        return True

    def won(self) -> None:
        """What was awaited came while awake."""
        self._failures = 0


def _give_away() -> None:
    if sys.platform != "darwin":
        os.sched_yield()
