"""Whose turn it is to ring for a run, when several hosts see it. Pure; a host that is alone always comes first.

Two hosts that ring for one run at the same time make one worker take it from the other: nothing is lost but the work
of a claim. So one host rings at once, and each of the others waits, by its own clock, and looks again before it rings:

- a run that nobody owns, or whose host is gone: the first in rank rings, the next `ring_elsewhere_s` later, and so on;
- a run whose last owner is on a host that is there: that host rings. It hears of the death of its own workers first,
  and a run that waits may still be in its owner's memory. The others begin `home_s` later, in the same order.
"""

from __future__ import annotations

import heapq

import msgspec

from outlast.cell.neighbour import Neighbours


class Patience(msgspec.Struct, frozen=True):
    """The bounds; times in seconds. What is beyond a number is found by the scan, later."""

    ring_elsewhere_s: float = 0.5
    """How long each next host in rank waits for those before it."""
    ranks_max: int = 4
    """Hosts further back wait as long as this one."""
    home_s: float = 2.0
    """How long all others leave a run to the host of its last owner."""
    waits_max: int = 10_000
    looks_max: int = 5
    """Waits that end in one call of `over`, each a look at the index."""
    ours_max: int = 100_000
    """Runs and workers of this host that are remembered."""


class Turns:
    """The state. `neighbours` is None where no host shares the store: then everything is ours at once."""

    def __init__(self, neighbours: Neighbours | None, patience: Patience | None = None) -> None:
        self._neighbours = neighbours
        self._patience = patience or Patience()
        self._workers: dict[str, None] = {}  # of this host, the dead too, oldest first
        self._ours: dict[str, None] = {}  # runs that they own or owned last, oldest first
        self._waits: dict[str, float] = {}  # by run, when it is our turn; oldest first
        self._queue: list[tuple[float, str]] = []

    @property
    def shared(self) -> bool:
        """Whether other hosts may ring for the same runs."""
        return self._neighbours is not None

    # What is known of this host

    def joined(self, worker: str) -> None:
        """A worker of this host."""
        self._remember(self._workers, worker)

    def claimed(self, run: str, owner: str) -> None:
        """It is known who owns a run, or did last."""
        if self._neighbours is None:
            return
        if owner in self._workers:
            self._remember(self._ours, run)
        elif owner:
            self._ours.pop(run, None)

    def ended(self, run: str) -> None:
        """Nobody will ring for it again."""
        self._ours.pop(run, None)

    # What the dispatcher asks

    def keeps(self, run: str) -> bool:
        """Whether its time is kept here: its last owner, as far as is known, was here. The scan stands behind it."""
        return self._neighbours is None or run in self._ours

    def looks(self, run: str) -> bool:
        """Whether to look at a run for which mail came: where its last owner was, and where it is first in rank."""
        return self.keeps(run) or self._neighbours is None or self._neighbours.rank(run) == 0

    def spares(self, worker: str) -> bool:
        """Whether what a worker owns that is not there here (any more) is best left with it."""
        return self._neighbours is not None and worker not in self._workers and self._neighbours.spares(worker)

    def comes(self, run: str, now: float, owner: str = "", each_s: float | None = None) -> bool:
        """Whether to ring, or look, now. If not, it is remembered, and `over` names the run when it is our turn.

        `owner` is the last one; `each_s` how long each next in rank waits, if not `ring_elsewhere_s`.
        """
        neighbours, patience = self._neighbours, self._patience
        if neighbours is None or owner in self._workers:
            return True
        home = neighbours.home(owner)
        rank = min(neighbours.rank(run, home), patience.ranks_max)
        if rank == 0 and not home:
            return True
        if run in self._waits:
            return now >= self._waits[run]
        each_s = patience.ring_elsewhere_s if each_s is None else each_s
        until = now + rank * each_s + (patience.home_s if home else 0.0)
        if len(self._waits) >= patience.waits_max:
            del self._waits[next(iter(self._waits))]
        self._waits[run] = until
        heapq.heappush(self._queue, (until, run))
        return False

    def over(self, now: float) -> list[str]:
        """Runs that nobody was heard to claim, and for which it is our turn now: look at them."""
        runs: list[str] = []
        while self._queue and self._queue[0][0] <= now and len(runs) < self._patience.looks_max:
            until, run = heapq.heappop(self._queue)
            if self._waits.get(run) == until:
                runs.append(run)
        if len(self._queue) > 2 * self._patience.waits_max:
            self._queue = sorted((until, run) for run, until in self._waits.items())
        return runs

    def answered(self, run: str) -> None:
        """Somebody claimed it, or it needs nobody now."""
        self._waits.pop(run, None)

    def _remember(self, among: dict[str, None], name: str) -> None:
        among.pop(name, None)
        if len(among) >= self._patience.ours_max:
            del among[next(iter(among))]
        among[name] = None
