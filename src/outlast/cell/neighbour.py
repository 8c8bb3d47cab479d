"""What this host knows of the others that share its store: who is there, whose workers are gone, who comes first.

Pure: entries as they were read go in, with the observer's own monotonic time; what is best left alone comes out. Wrong
answers cost time, never correctness: workers claim by append.

::

    listed by a host that beats ─────────── its runs are left alone
      └ no longer listed, the host beats ── dead or silent there: its host comes first, then we
      └ the host is silent ──────────────── gone: its runs are rung here
    listed by nobody ── a stranger, watched for `takeover_after_s` ── gone

**An outage blames nobody.** Time counts against a host only between two looks that show our own sign of life to have
moved. A store of signs that cannot be read or written, that answers with an old copy, or that lost its table, shows
ours as little as anybody's: it tells us of itself, not of them. So while it is out of order all that was known stays
known, and when it is back everybody has as long as before to be heard. The price: a host that dies in an outage is
missed `takeover_after_s` after its end. The other way round, every host would steal every run from every other.

Source: the failure detector of `policy/heartbeat.py`; rendezvous hashing as in `policy/affinity.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.cell.presence import HostBeat
from outlast.policy.affinity import Affinity, AffinityPolicy
from outlast.policy.heartbeat import Heartbeat, Pulse, begin, look
from outlast.policy.heartbeat import beat as heard

gone_max = 10_000
"""Workers that are known to be gone; of an older one that still owns a run, the same is found out once more."""
shown_min = 3
"""Looks in a row that must have shown workers of this host before it takes its place among others."""
strangers_max = 10_000
"""Owners that nobody lists and that are watched; beyond it one waits for room."""


class Seen(msgspec.Struct, frozen=True):
    """What a look brought: workers whose runs are to be looked up now, hosts whose entries are to be removed."""

    orphaners: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()


class _Host:
    __slots__ = ("draining", "listed", "present", "proven", "pulse", "size", "workers")

    def __init__(self, now: float) -> None:
        self.pulse: Pulse = begin(now)
        self.present = True
        self.proven = False
        """It was seen to beat: an entry alone may be what a dead one left."""
        self.listed = False
        self.workers: frozenset[str] = frozenset()
        self.size = 0
        self.draining = False

    @property
    def alive(self) -> bool:
        return self.pulse.verdict == "alive"

    @property
    def takes(self) -> bool:
        """Whether it may be the one to ring for a run."""
        return self.alive and self.present and self.proven and bool(self.workers) and not self.draining


class Neighbours:
    """The state. `host` is this one. Times in seconds.

    `takeover_after_s`: a host without a sign of life for so long is silent. `forget_after_s`: its entry is removed.
    """

    def __init__(self, host: str, takeover_after_s: float, forget_after_s: float) -> None:
        self._host = host
        self._heartbeat = Heartbeat(takeover_after_s, max(forget_after_s, 2 * takeover_after_s))
        self._hosts: dict[str, _Host] = {}
        self._where: dict[str, str] = {}  # the host that lists a worker, or did last
        self._gone: dict[str, None] = {}  # oldest first
        self._strangers: dict[str, Pulse | None] = {}
        self._count = 0
        self._shown = 0  # looks in a row that showed workers of ours
        self._doubtful = 0
        self._taking: list[str] = []
        self._size = 0
        self._draining = False
        self._affinity = Affinity(AffinityPolicy())

    # What the shell reports

    def read(self, beats: Sequence[HostBeat], now: float) -> Seen:
        """Every entry, as it was read. Where reading or writing fails, do not call it."""
        own = next((beat for beat in beats if beat.host == self._host), None)
        if own is None or own.count <= self._count:
            return Seen()
        self._count = own.count
        self._shown = self._shown + 1 if own.workers else 0
        self._size = own.share
        self._draining = own.draining
        orphaners: list[str] = []
        for host in self._hosts.values():
            host.present = False
        for beat in beats:
            if beat.host != self._host:
                orphaners += self._hear(beat, now)
        forgotten: list[str] = []
        for name, host in list(self._hosts.items()):
            was_alive = host.alive
            host.pulse = look(self._heartbeat, host.pulse, now)
            if was_alive and not host.alive:
                orphaners += sorted(host.workers)
            if host.pulse.verdict == "hung" and host.present:
                forgotten.append(name)
            elif host.pulse.verdict == "hung":
                self._forget(name)
        orphaners += self._watch(now)
        self._doubtful = sum(host.present and host.alive and not host.proven for host in self._hosts.values())
        self._taking = [name for name, host in self._hosts.items() if host.takes]
        return Seen(tuple(orphaners), tuple(forgotten))

    # What the dispatcher asks

    def spares(self, worker: str) -> bool:
        """Whether what this worker owns is best left with it. Of one that nobody lists: watched from now on."""
        host = self._hosts.get(self._where.get(worker, ""))
        if host is not None:
            return host.alive and worker in host.workers
        if worker in self._gone:
            return False
        if worker not in self._strangers and len(self._strangers) < strangers_max:
            self._strangers[worker] = None
        return True

    def home(self, worker: str) -> str:
        """The host of this worker, living or dead, if that host is there and can ring others; else ""."""
        name = self._where.get(worker, "")
        host = self._hosts.get(name)
        return name if host is not None and host.takes else ""

    def rank(self, run: str, home: str = "") -> int:
        """How many hosts come before this one for a run, `home` not counted. 0: it is this one's to ring.

        All that see the same hosts agree. Each has as large a share of the first places as it says that it should have
        workers; how many it has at the moment changes too often for all to know it at the same time. Who has not been
        able to look yet, or whom the others may not rank yet (they look as often, and count who was seen to beat),
        comes last; so does one that drains.
        """
        if not self._count:
            return 1
        others = [name for name in self._taking if name != home]
        if self._shown < shown_min:
            return len(others) + self._doubtful
        if not others:
            return 0
        if self._draining:
            return len(others)
        weights: dict[str, float] = {name: max(1, self._hosts[name].size) for name in others}
        weights[self._host] = max(1, self._size)
        return self._affinity.ranked(run, [*others, self._host], weights).index(self._host)

    # Inside

    def _hear(self, beat: HostBeat, now: float) -> list[str]:
        """After an entry was read; returns the workers that it does not list any more."""
        host = self._hosts.get(beat.host)
        if host is None:
            host = self._hosts[beat.host] = _Host(now)
        host.present = True
        if host.listed and beat.count <= host.pulse.count:
            return []
        host.proven = host.listed
        host.listed = True
        host.pulse = heard(host.pulse, beat.count, now)
        before, host.workers = host.workers, frozenset(beat.workers)
        host.size = beat.share
        host.draining = beat.draining
        for worker in beat.workers:
            self._where[worker] = beat.host
            self._gone.pop(worker, None)
            self._strangers.pop(worker, None)
        dropped = sorted(worker for worker in before - host.workers if self._where.get(worker) == beat.host)
        for worker in dropped:
            self._gone[worker] = None
        self._bound_gone()
        return dropped

    def _forget(self, name: str) -> None:
        host = self._hosts.pop(name)
        for worker in sorted(host.workers):
            if self._where.get(worker) == name:
                self._gone[worker] = None
        for worker in [worker for worker, where in self._where.items() if where == name]:
            del self._where[worker]
        self._bound_gone()

    def _bound_gone(self) -> None:
        while len(self._gone) > gone_max:
            oldest = next(iter(self._gone))
            del self._gone[oldest]
            self._where.pop(oldest, None)

    def _watch(self, now: float) -> list[str]:
        """Strangers grow old; returns those that are nobody's."""
        nobodys: list[str] = []
        for worker, before in list(self._strangers.items()):
            pulse = self._strangers[worker] = begin(now) if before is None else look(self._heartbeat, before, now)
            if pulse.verdict != "alive":
                del self._strangers[worker]
                self._gone[worker] = None
                nobodys.append(worker)
        self._bound_gone()
        return nobodys
