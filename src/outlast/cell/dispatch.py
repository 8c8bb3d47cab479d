"""Which worker is told of which run, and when it is told again. Events in, commands out; no I/O, no clock.

Everything it hears is a hint and everything it says is one: a lost, doubled or late ring costs time, never correctness,
because workers claim by append. So it keeps little, bounds what it keeps, and asks (`Look`) where it is not sure.

Where several hosts share a store it also decides what is left to the others, and when it is not (`neighbour.py`,
`turn.py`); without `neighbours` everything is its own.

Of a pool that several agents need, one that holds many runs gets half (`share.py`).

Source: the doorbell with a scan behind it; least load with ties by seniority; a ring that leads
to no claim is repeated elsewhere, like a visibility time-out of Amazon SQS.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET

from outlast.blueprint.schema import default_pool
from outlast.cell.neighbour import Neighbours
from outlast.cell.share import Fairness, Shares
from outlast.cell.turn import Patience, Turns
from outlast.journal.index import ENDED, HintPatch, RunEntry


class Bell(msgspec.Struct, frozen=True):
    """Tell this worker that this run may want to be claimed."""

    worker: str
    run: str
    solo: bool = False


class Look(msgspec.Struct, frozen=True):
    """Read this run's entry and hand it to `Dispatcher.found`."""

    run: str


class Trial(msgspec.Struct, frozen=True):
    """Start a worker for this run alone; it joins with `solo_for`."""

    run: str
    pool: str


class Retire(msgspec.Struct, frozen=True):
    """This worker's trial is over: drain it."""

    worker: str


Command = Bell | Look | Trial | Retire


class Dispatch(msgspec.Struct, frozen=True):
    """The bounds; times in seconds. Above a bound a hint is dropped: the scan finds the run later."""

    ring_again_s: float = 2.0
    trials_max: int = 4
    """Trials that begin or are younger than `trial_start_s`: a long one does not keep others waiting."""
    trial_workers_max: int = 32
    """Trials in all: each is a process."""
    trial_start_s: float = 60.0
    rings_max: int = 10_000
    timers_max: int = 100_000
    timer_horizon_s: float = 60.0
    runs_max: int = 1000


class _Worker:
    __slots__ = ("pool", "rung", "runs", "solo_for", "state")

    def __init__(self, pool: str, solo_for: str) -> None:
        self.pool = pool
        self.solo_for = solo_for
        self.state: Literal["live", "silent", "leaving"] = "live"
        self.runs = 0
        self.rung: set[str] = set()

    @property
    def load(self) -> int:
        return self.runs + len(self.rung)


class _Rung:
    """A ring that no claim has answered yet. `stale`: it was given up, the next look decides."""

    __slots__ = ("at", "stale", "tried", "worker")

    def __init__(self, worker: str, at: float, tried: set[str]) -> None:
        self.worker = worker
        self.at = at
        self.tried = tried
        self.stale = False


class _Trial:
    __slots__ = ("asked_at", "worker")

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.worker = ""


class Dispatcher:
    """The state. `now` is monotonic, `wall` the wall clock (for `wake_at`), both in seconds."""

    def __init__(
        self,
        bounds: Dispatch | None = None,
        neighbours: Neighbours | None = None,
        patience: Patience | None = None,
        fairness: Fairness | None = None,
    ) -> None:
        self._bounds = bounds or Dispatch()
        self._shares = Shares(fairness)
        self._turns = Turns(neighbours, patience)
        self._workers: dict[str, _Worker] = {}
        self._rings: dict[str, _Rung] = {}  # by run, oldest first
        self._timers: list[tuple[float, str]] = []
        self._trials: dict[str, _Trial] = {}
        self._pools: frozenset[str] = frozenset()

    # Workers

    def serves(self, pools: Iterable[str]) -> None:
        """The pools that the app has today: runs of any other go to the default pool."""
        self._pools = frozenset(pools)

    def joined(self, worker: str, pool: str, now: float, solo_for: str = "") -> list[Command]:
        """A worker is ready. Scan afterwards: there may be runs that nobody could take."""
        self._workers[worker] = _Worker(pool, solo_for)
        self._turns.joined(worker)
        trial = self._trials.get(solo_for)
        if not solo_for:
            return []
        if trial is None:
            return [Retire(worker)]
        return self._begin_trial(trial, worker, solo_for, now)

    def loaded(self, worker: str, runs: int) -> None:
        """It beats, and holds so many runs."""
        known = self._workers.get(worker)
        if known is not None:
            known.runs = runs
            if not runs and not known.rung:
                self._shares.empty(worker)

    def silent(self, worker: str) -> list[Command]:
        """It does not beat: nobody rings it. Hand what it owns to `found` afterwards."""
        return self._without(worker, "silent")

    def back(self, worker: str, now: float) -> list[Command]:
        """It beats again. One that was started for a trial goes on with it, or goes."""
        known = self._workers.get(worker)
        if known is None or known.state != "silent":
            return []
        known.state = "live"
        if not known.solo_for:
            return []
        trial = self._trials.get(known.solo_for)
        if trial is None or trial.worker:
            return [Retire(worker)]
        return self._begin_trial(trial, worker, known.solo_for, now)

    def leaving(self, worker: str) -> list[Command]:
        """It drains: it keeps what it has and gets nothing new."""
        return self._without(worker, "leaving")

    def left(self, worker: str) -> list[Command]:
        """It is dead. Hand what it owned to `found` afterwards."""
        commands = self._without(worker, "leaving")
        known = self._workers.pop(worker, None)
        self._shares.empty(worker)
        solo_for = known.solo_for if known is not None else ""
        trial = self._trials.get(solo_for)
        if trial is not None and not trial.worker:  # asked for while this one was silent: only one is ever started
            del self._trials[solo_for]
        return commands

    def alive(self, worker: str) -> bool:
        """Whether what it owns is best left with it."""
        known = self._workers.get(worker)
        return known.state != "silent" if known is not None else self._turns.spares(worker)

    def _without(self, worker: str, state: Literal["silent", "leaving"]) -> list[Command]:
        known = self._workers.get(worker)
        if known is None:
            return []
        known.state = state
        commands: list[Command] = []
        for run in sorted(known.rung):
            self._rings[run].stale = True
            commands.append(Look(run))
        if known.solo_for:
            trial = self._trials.get(known.solo_for)
            if trial is not None and trial.worker == worker:
                del self._trials[known.solo_for]
        return commands

    # Runs

    def noticed(self, patch: HintPatch, now: float, wall: float) -> list[Command]:
        """An append changed a run's entry."""
        run = patch.run
        if patch.state is UNSET:
            return [Look(run)] if patch.mail is not UNSET and self._turns.looks(run) else []
        if patch.state == "ready":
            if run in self._rings or not self._turns.comes(run, now):
                return []
            agent = "" if patch.agent is UNSET else patch.agent
            return [Look(run)] if patch.pool is UNSET else self._ring_any(run, patch.pool, agent, now)
        self._answered(run)
        if patch.owner is not UNSET:
            self._turns.claimed(run, patch.owner)
        if patch.state != "running" or (patch.owner is not UNSET and patch.owner not in self._workers):
            self._shares.over(run)
        if patch.state == "trial":
            return [Look(run)] if self._turns.comes(run, now, each_s=self._bounds.trial_start_s) else []
        if patch.state == "running":
            if patch.owner is not UNSET and patch.owner in self._workers:
                self._workers[patch.owner].runs += 1
            return []
        if patch.state in ENDED:
            self._turns.ended(run)
        if patch.state == "parked" and patch.wake_at is not UNSET and self._turns.keeps(run):
            self._set_timer(run, patch.wake_at, wall)
        return self._end_trial(run)

    def found(self, entries: Iterable[RunEntry], now: float, wall: float) -> list[Command]:
        """Entries as they are now: from a scan, from a look, or what a dead or silent worker owned."""
        commands: list[Command] = []
        for entry in entries:
            commands += self._found(entry, now, wall)
        return commands

    def lost(self, run: str) -> None:
        """A look found no entry: nothing to ring for."""
        self._answered(run)
        self._shares.over(run)
        self._turns.ended(run)

    def tick(self, now: float, wall: float) -> list[Command]:
        """Time passed: timers that are due, rings that nobody answered, trials that came to nothing."""
        commands: list[Command] = [Look(run) for run in self._turns.over(now)]
        while self._timers and self._timers[0][0] <= wall:
            commands.append(Look(heapq.heappop(self._timers)[1]))
        while self._rings:
            run, ring = next(iter(self._rings.items()))
            if now - ring.at < self._bounds.ring_again_s:
                break
            ring.stale = True
            ring.at = now
            self._rings[run] = self._rings.pop(run)
            commands.append(Look(run))
        for run, trial in list(self._trials.items()):
            if now - trial.asked_at >= self._bounds.trial_start_s:
                idle = trial.worker not in self._workers or self._workers[trial.worker].runs == 0
                if idle:
                    commands += self._end_trial(run)
        return commands

    def next_timer(self, wall: float) -> float | None:
        """Seconds until the next known timer; None if there is none."""
        return max(0.0, self._timers[0][0] - wall) if self._timers else None

    # Inside

    def _found(self, entry: RunEntry, now: float, wall: float) -> list[Command]:
        run = entry.run
        self._turns.claimed(run, entry.owner)
        ring = self._rings.get(run)
        if ring is not None and not ring.stale:
            return []
        if entry.state == "trial":
            return self._try_alone(entry, now)
        if entry.state == "running" and self.alive(entry.owner):
            self._answered(run)
            if entry.owner not in self._workers:  # its own host's business
                self._shares.over(run)
                return self._end_trial(run)
            return [Bell(entry.owner, run)] if entry.mail > entry.seen else []
        if entry.state != "running" and not entry.due(wall):
            self._answered(run)
            self._shares.over(run)
            if entry.state == "parked" and self._turns.keeps(run):
                self._set_timer(run, entry.wake_at, wall)
            return self._end_trial(run)
        if ring is None and not self._turns.comes(run, now, entry.owner):
            return []
        tried = ring.tried if ring is not None else set[str]()
        if entry.owner not in tried and self._live(entry.owner) and not self._workers[entry.owner].solo_for:
            return [self._ring(entry.owner, run, now, tried)]
        return self._ring_any(run, entry.pool, entry.agent, now, tried)

    def _try_alone(self, entry: RunEntry, now: float) -> list[Command]:
        trial = self._trials.get(entry.run)
        if trial is not None:
            return [self._ring(trial.worker, entry.run, now, set())] if self._live(trial.worker) else []
        if not self._turns.comes(entry.run, now, each_s=self._bounds.trial_start_s):
            return []
        self._answered(entry.run)
        young = sum(now - other.asked_at < self._bounds.trial_start_s for other in self._trials.values())
        if young >= self._bounds.trials_max or len(self._trials) >= self._bounds.trial_workers_max:
            return []
        self._trials[entry.run] = _Trial(now)
        return [Trial(entry.run, self._pool_of(entry.pool))]

    def _pool_of(self, pool: str) -> str:
        return pool if pool in self._pools or not self._pools else default_pool

    def _live(self, worker: str) -> bool:
        known = self._workers.get(worker)
        return known is not None and known.state == "live"

    def _ring_any(self, run: str, pool: str, agent: str, now: float, tried: set[str] | None = None) -> list[Command]:
        pool = self._pool_of(pool)
        live = [
            name
            for name, worker in self._workers.items()
            if worker.state == "live" and worker.pool == pool and not worker.solo_for
        ]
        able = [
            (self._workers[name].load, place, name)
            for place, name in enumerate(self._shares.allowed(agent, pool, live, now))
            if self._workers[name].load < self._bounds.runs_max
        ]
        tried = tried or set()
        fresh = [choice for choice in able if choice[2] not in tried]
        if not able or (run not in self._rings and len(self._rings) >= self._bounds.rings_max):
            self._answered(run)
            return []
        chosen = min(fresh or able)[2]
        self._shares.rung(run, agent, pool, chosen, now)
        return [self._ring(chosen, run, now, tried if fresh else set())]

    def _ring(self, worker: str, run: str, now: float, tried: set[str]) -> Bell:
        self._answered(run)
        self._rings[run] = _Rung(worker, now, tried | {worker})
        known = self._workers[worker]
        known.rung.add(run)
        return Bell(worker, run, solo=bool(known.solo_for))

    def _begin_trial(self, trial: _Trial, worker: str, run: str, now: float) -> list[Command]:
        trial.worker = worker
        if self._turns.shared:  # another host may have tried it meanwhile: a second trial would cost it that one
            return [Look(run)]
        return [self._ring(worker, run, now, set())]

    def _answered(self, run: str) -> None:
        self._turns.answered(run)
        ring = self._rings.pop(run, None)
        if ring is not None and ring.worker in self._workers:
            self._workers[ring.worker].rung.discard(run)

    def _set_timer(self, run: str, wake_at: float, wall: float) -> None:
        near = 0 < wake_at <= wall + self._bounds.timer_horizon_s
        if near and len(self._timers) < self._bounds.timers_max:
            heapq.heappush(self._timers, (wake_at, run))

    def _end_trial(self, run: str) -> list[Command]:
        trial = self._trials.pop(run, None)
        return [Retire(trial.worker)] if trial is not None and trial.worker in self._workers else []
