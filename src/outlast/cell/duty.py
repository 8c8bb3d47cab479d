"""Whether this host is the one that does what one host of a store should do. Pure; a hint: two may do it, or none for a
while.

The hosts that see each other rank themselves alike (`cell/neighbour.py`), so nothing is written for it. A rank that
changes must hold for `settle_s`: while hosts come and go nobody starts what another one is about to take back.
"""

from __future__ import annotations

from outlast.cell.neighbour import Neighbours

settle_s = 2.0
"""How long a host must come first before it begins, or must not before it ends."""


class Duty:
    """The state. `neighbours` is None where no host shares the store: then it is always ours."""

    def __init__(self, name: str, neighbours: Neighbours | None) -> None:
        self._name = name
        self._neighbours = neighbours
        self._here = neighbours is None
        self._other_since: float | None = None

    def here(self, now: float) -> bool:
        """Whether it is ours. `now` is monotonic, in seconds; ask again and again."""
        if self._neighbours is None:
            return True
        first = self._neighbours.rank(self._name) == 0
        if first == self._here:
            self._other_since = None
        elif self._other_since is None:
            self._other_since = now
        elif now - self._other_since >= settle_s:
            self._here, self._other_since = first, None
        return self._here
