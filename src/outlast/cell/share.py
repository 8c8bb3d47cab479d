"""How much of a pool one agent may have while others need it too: at most half of its workers. Pure.

A spike of runs of one agent fills every worker that it is rung to, and whoever shares a worker with it waits in the
same event loop. So an agent that holds many runs, while others of its pool had work lately, is rung only to some of the
workers, always the same ones: its neighbours find the rest as quiet as before. What does not fit there stays in the
index until there is room. An agent that is alone has all workers, and so has one with few runs.

Source: shuffle sharding ("Workload isolation using shuffle-sharding", Amazon Builders' Library), by the rendezvous
hashing of `policy/affinity.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.policy.affinity import Affinity, AffinityPolicy


class Fairness(msgspec.Struct, frozen=True):
    """The bounds; times in seconds."""

    many_runs: int = 32
    """So many runs of one agent at the workers of this host are many."""
    lately_s: float = 60.0
    """For so long after its last run was rung an agent counts as one that needs the pool too."""
    runs_max: int = 100_000
    """Runs of which it is remembered whose they are and where; of older ones it is forgotten."""
    agents_max: int = 1_000


class Shares:
    """The state of one host: which agent's runs are at which worker. Fed with hints, so it is about right, no more."""

    def __init__(self, fairness: Fairness | None = None) -> None:
        self._fairness = fairness or Fairness()
        self._runs: dict[str, tuple[str, str]] = {}  # by run, its agent and its worker; oldest first
        self._runs_of: dict[str, int] = {}  # by agent
        self._runs_at: dict[str, int] = {}  # by worker
        self._rung_at: dict[str, dict[str, float]] = {}  # by pool, by agent, the last first ring; oldest first
        self._affinity = Affinity(AffinityPolicy())

    def allowed(self, agent: str, pool: str, workers: Sequence[str], now: float) -> Sequence[str]:
        """Those of a pool's `workers` that one more run of `agent` may go to."""
        known = self._rung_at.get(pool, {})
        if len(workers) < 2 or self._runs_of.get(agent, 0) < self._fairness.many_runs:
            return workers
        if not any(now - at < self._fairness.lately_s for other, at in known.items() if other != agent):
            return workers
        return self._affinity.ranked(agent, workers)[: len(workers) // 2]

    def rung(self, run: str, agent: str, pool: str, worker: str, now: float) -> None:
        """A worker was told of a run."""
        self.over(run)
        if len(self._runs) >= self._fairness.runs_max:
            self.over(next(iter(self._runs)))
        self._runs[run] = (agent, worker)
        self._runs_of[agent] = self._runs_of.get(agent, 0) + 1
        self._runs_at[worker] = self._runs_at.get(worker, 0) + 1
        known = self._rung_at.setdefault(pool, {})
        known.pop(agent, None)
        if len(known) >= self._fairness.agents_max:
            del known[next(iter(known))]
        known[agent] = now

    def over(self, run: str) -> None:
        """It has ended, waits outside of a worker, or is another host's."""
        known = self._runs.pop(run, None)
        if known is not None:
            agent, worker = known
            _less(self._runs_of, agent)
            _less(self._runs_at, worker)

    def empty(self, worker: str) -> None:
        """A worker is gone, or holds nothing: what was thought to be there is not."""
        if worker not in self._runs_at:
            return
        for run in [run for run, (_, where) in self._runs.items() if where == worker]:
            self.over(run)


def _less(counts: dict[str, int], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
