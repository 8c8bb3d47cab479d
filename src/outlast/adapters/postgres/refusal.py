"""Says why no server may be written to: whoever waits for an append would see nothing but waiting."""

from __future__ import annotations

from collections.abc import Callable

from outlast.kernel.clock import Clock

again_s = 30.0
"""How long the same trouble is not said again."""


class Refusals:
    """One line when trouble begins, one each `again_s` while it lasts, one when it is over."""

    def __init__(self, clock: Clock, say: Callable[[str], None]) -> None:
        self._clock = clock
        self._say = say
        self._said: dict[bool, float] = {}

    def refused(self, why: str, *, found: bool) -> None:
        """Nothing can be written. `found`: there is a primary, and it may not be used."""
        now = self._clock.monotonic()
        before = self._said.get(found)
        if before is None or now - before >= again_s:
            self._said[found] = now
            self._say(f"nothing can be written, runs wait: {why}")

    def accepted(self, place: str) -> None:
        """A server may be written to."""
        if self._said:
            self._said.clear()
            self._say(f"postgres {place} takes writes: runs go on")
