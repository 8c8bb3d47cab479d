"""Who should be running, who is, and what to do about the difference. Events in, commands and news out; no I/O.

Source: the supervision tree of Erlang/OTP (one for one, restart intensity) with a spare that already runs: what takes
over is never started at the moment of need (static stability, Amazon Builders' Library).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from outlast.cell import event as news
from outlast.cell.bound import Bounds, PoolSize
from outlast.cell.child import Beat, Drain, Failed, FromChild, Kind, Loading, Log, Ready
from outlast.cell.command import Command, Kill, Say, Start
from outlast.cell.member import ChildView, Member, Slot
from outlast.kernel.randomness import Randomness
from outlast.policy.heartbeat import Heartbeat, beat, begin, look
from outlast.policy.restart import Deaths, after_death

_USERS_CODE = frozenset({"server", "worker"})
_SPARABLE = frozenset({"keeper"})
"""Without these, runs go on: their trouble is said, and never stops the cell."""


class Roster:
    """The state. `now` is monotonic; methods return what is to be done, in order.

    `writer`: whether the store needs a writing process; where it does, all but the gateway wait for that one, and it
    ends last.
    """

    def __init__(
        self,
        bounds: Bounds,
        pools: Mapping[str, PoolSize],
        randomness: Randomness,
        now: float,
        *,
        server: bool,
        gateway: bool = False,
        writer: bool = True,
    ) -> None:
        self._bounds = bounds
        self._pools = dict(pools)
        self._randomness = randomness
        self._members: dict[str, Member] = {}
        self._slots: dict[str, Slot] = {"writer": Slot("writer", "writer", "", now)} if writer else {}
        if gateway:  # it needs no journal
            self._slots["gateway"] = Slot("gateway", "gateway", "", now)
        self._with_server = server
        self._with_writer = writer
        self._served: set[Kind] = set()
        self._phase: Literal["running", "draining", "stopping", "stopped"] = "running"
        self._trouble = ""

    # What the shell reports

    def started(self, slot: str, child: str, pid: int, now: float) -> list[Command]:
        """The child that `Start` asked for."""
        bounds = self._bounds
        where = self._slots[slot]
        hung = bounds.writer_stall_s if where.kind == "writer" else bounds.kill_after_s
        silent = bounds.takeover_after_s if where.kind == "worker" else hung
        where.child = child
        self._members[child] = Member(where, pid, now, Heartbeat(silent, hung))
        return [news.ChildStarted(child, where.kind, where.pool, pid, where.solo_for)]

    def refused(self, slot: str, reason: str, now: float) -> list[Command]:
        """The host has no room for the child that `Start` asked for: later."""
        delay = self._vacate(self._slots[slot], 0.0, now)
        return [news.ChildSaid(slot, "error", f"{reason}; next try in {delay:.1f} s")]

    def heard(self, child: str, word: FromChild, now: float) -> list[Command]:
        """A child said something."""
        member = self._members.get(child)
        if member is None:
            return []
        match word:
            case Beat():
                return self._beaten(child, member, word, now)
            case Loading():
                member.loading = beat(member.loading, word.n, now)
                return []
            case Ready():
                return self._ready(child, member, word, now)
            case Log():
                if word.level == "error" and member.pulse is None and member.slot.kind not in _SPARABLE:
                    self._trouble = word.text
                return [news.ChildSaid(child, word.level, word.text)]
            case Failed():
                if member.slot.kind in _SPARABLE:
                    return [news.ChildSaid(child, "error", word.message)]
                self._trouble = word.message
                if member.slot.kind in self._served:
                    return [news.ChildSaid(child, "error", word.message)]
                return [news.CellFailed(word.code, word.message), *self.stop(now)]

    def weighed(self, child: str, memory: int, now: float) -> list[Command]:
        """Its resident bytes."""
        member = self._members.get(child)
        if member is None:
            return []
        member.memory = memory
        kind = member.slot.kind
        size = self._pools.get(member.slot.pool) if kind == "worker" else None
        bound = self._bounds.keeper_memory_max if kind == "keeper" else size.memory_max if size is not None else memory
        if memory <= bound or member.state == "killed":
            return []
        why = f"memory: {memory >> 20} MiB resident, {kind}_memory_max is {bound >> 20} MiB"
        return self._kill(child, member, why, now)

    def died(self, child: str, status: int, now: float) -> list[Command]:
        """It has exited."""
        member = self._members.pop(child, None)
        if member is None:
            return []
        slot = member.slot
        lived = now - member.started_at
        delay: float | None = None
        commands: list[Command] = []
        if slot.solo_for:
            self._slots.pop(slot.key, None)
        elif slot.child == child and self._phase == "running":
            delay = self._vacate(slot, lived, now)
            if member.pulse is None:
                slot.failed_starts += 1
                commands = self._give_up(slot, status, now)
        commands.insert(0, news.ChildDead(child, slot.kind, slot.pool, status, lived, delay))
        return commands + self._end(now)

    def tick(self, now: float) -> list[Command]:
        """Time passed."""
        commands: list[Command] = []
        for child, member in list(self._members.items()):
            commands += self._watch(child, member, now)
        if self._phase != "running":
            return commands + self._end(now)
        if not self._with_writer or "writer" in self._served:
            self._fill(now)
        for slot in list(self._slots.values()):
            if slot.start_at is not None and now >= slot.start_at:
                slot.start_at = None
                commands.append(Start(slot.key, slot.kind, slot.pool, slot.solo_for))
        return commands

    # What is asked for

    def trial(self, run: str, pool: str, now: float) -> list[Command]:
        """Start a worker for this run alone."""
        key = f"solo {run}"
        if self._phase != "running" or key in self._slots:
            return []
        self._slots[key] = Slot(key, "worker", pool, None, run)
        return [Start(key, "worker", pool, run)]

    def keep(self, now: float, *, here: bool) -> list[Command]:
        """Whether a keeper is to run here: it is started, or drains."""
        slot = self._slots.get("keeper")
        if self._phase != "running" or here == (slot is not None):
            return []
        if slot is None:
            self._slots["keeper"] = Slot("keeper", "keeper", "", now)
            return []
        del self._slots["keeper"]
        child, slot.child = slot.child, ""
        member = self._members.get(child)
        return self._leave(child, member, now) if member is not None else []

    def retire(self, child: str, now: float) -> list[Command]:
        """Drain one worker."""
        member = self._members.get(child)
        return self._leave(child, member, now) if member is not None else []

    def reload(self, now: float) -> list[Command]:
        """Start all workers and the server anew, with today's code; the old ones drain. The gateway runs none of it."""
        commands: list[Command] = []
        for child, member in list(self._members.items()):
            if member.slot.kind in _USERS_CODE:
                commands += self._leave(child, member, now)
        for slot in self._slots.values():
            if slot.kind in _USERS_CODE and not slot.solo_for:
                slot.child, slot.start_at, slot.deaths = "", now, Deaths()
        return commands + self.tick(now)

    def drain(self, now: float) -> list[Command]:
        """End the cell gently: workers and server drain, then the writer if there is one."""
        if self._phase != "running":
            return self.stop(now)
        self._phase = "draining"
        commands: list[Command] = []
        for child, member in list(self._members.items()):
            if member.slot.kind != "writer":
                commands += self._leave(child, member, now)
        return commands + self._end(now)

    def stop(self, now: float) -> list[Command]:
        """End the cell at once. Nothing acknowledged is lost by it."""
        if self._phase == "stopped":
            return []
        self._phase = "stopping"
        commands: list[Command] = []
        for child, member in list(self._members.items()):
            if member.state != "killed":
                commands += self._kill(child, member, "the cell stops now", now)
        return commands + self._end(now)

    @property
    def stopping(self) -> bool:
        """Whether everything was told to end at once."""
        return self._phase == "stopping"

    @property
    def size(self) -> int:
        """How many workers there should be, the spares included."""
        return sum(size.workers + self._bounds.spares for size in self._pools.values())

    @property
    def draining(self) -> bool:
        """Whether it is coming to an end, gently or not: it takes nothing new."""
        return self._phase != "running"

    @property
    def bounds(self) -> Bounds:
        return self._bounds

    @property
    def with_writer(self) -> bool:
        """Whether the store has a writing process here."""
        return self._with_writer

    @property
    def pools(self) -> frozenset[str]:
        """The pools known so far: the blueprint's, and those that the app's agents name."""
        return frozenset(self._pools)

    def ready(self) -> bool:
        """Whether every kind and pool serves."""
        if self._phase != "running" or not any(slot.kind in _USERS_CODE for slot in self._slots.values()):
            return False
        serving = {(slot.kind, slot.pool) for slot in self._slots.values() if self._serves(slot)}
        wanted = [slot for slot in self._slots.values() if not slot.solo_for and slot.kind not in _SPARABLE]
        return all((slot.kind, slot.pool) in serving for slot in wanted)

    def view(self) -> list[ChildView]:
        """Every child there is."""
        return [
            ChildView(
                child, member.slot.kind, member.slot.pool, member.state, member.pid, member.runs, member.memory,
                member.started_at, member.slot.solo_for,
            )
            for child, member in self._members.items()
        ]  # fmt: skip

    # Inside

    def _serves(self, slot: Slot) -> bool:
        member = self._members.get(slot.child)
        return member is not None and member.state == "up"

    def _fill(self, now: float) -> None:
        """Slots for what should run: pools are added when an app names more of them.

        A pool's spares begin when one of its workers serves: until then nobody could do their work sooner than those
        do, and loading an app's models in one process more makes all of them later.
        """
        if self._with_server and "server" not in self._slots:
            self._slots["server"] = Slot("server", "server", "", now)
        serving = {slot.pool for slot in self._slots.values() if slot.kind == "worker" and self._serves(slot)}
        for pool, size in self._pools.items():
            for number in range(size.workers + (self._bounds.spares if pool in serving else 0)):
                key = f"worker {pool} {number}"
                if key not in self._slots:
                    self._slots[key] = Slot(key, "worker", pool, now)

    def _vacate(self, slot: Slot, lived_s: float, now: float) -> float:
        policy = self._bounds.writer_restart if slot.kind == "writer" else self._bounds.restart
        slot.deaths, delay = after_death(policy, slot.deaths, lived_s, self._randomness.uniform())
        slot.child, slot.start_at = "", now + delay
        return delay

    def _ready(self, child: str, member: Member, word: Ready, now: float) -> list[Command]:
        slot = member.slot
        if member.pulse is not None:
            return []
        member.pulse = begin(now)
        if member.state == "starting":
            member.state = "up"
        slot.failed_starts = 0
        self._served.add(slot.kind)
        if slot.kind == "worker" and self._pools:
            size = next(iter(self._pools.values()))
            for pool in word.pools:
                self._pools.setdefault(pool, size)
        after = now - member.started_at
        told = news.ChildReady(child, slot.kind, slot.pool, after, slot.solo_for, word.address)
        return [told, *self.tick(now)]

    def _beaten(self, child: str, member: Member, word: Beat, now: float) -> list[Command]:
        if member.pulse is None:
            return []
        member.runs = word.runs
        member.pulse = beat(member.pulse, word.n, now)
        if member.state != "silent" or member.pulse.verdict != "alive":
            return []
        slot = member.slot
        back: list[Command] = [news.ChildBack(child, slot.kind, slot.pool)]
        if member.leave_by is None:
            member.state = "up"
            return back
        member.state = "leaving"
        return [*back, news.ChildLeaving(child, slot.kind, slot.pool)]

    def _watch(self, child: str, member: Member, now: float) -> list[Command]:
        slot = member.slot
        if member.state == "killed":
            if now - member.killed_at >= self._bounds.kill_again_s:
                member.killed_at = now
                return [Kill(child)]
            return []
        if member.leave_by is not None and now >= member.leave_by:
            return self._kill(child, member, f"not drained within {self._bounds.drain_s:g} s", now)
        if member.pulse is None:
            return self._watch_start(child, member, now)
        member.pulse = look(member.beats, member.pulse, now)
        if member.pulse.verdict == "hung":
            return self._kill(child, member, f"no beat for {member.beats.hung_after_s:g} s", now)
        if member.pulse.verdict == "silent" and member.state in ("up", "leaving"):
            member.state = "silent"
            if slot.child == child and not slot.solo_for and self._phase == "running":
                self._vacate(slot, now - member.started_at, now)
            return [news.ChildSilent(child, slot.kind, slot.pool)]
        surplus = slot.child != child and not slot.solo_for and self._serves(slot)
        return self._leave(child, member, now) if surplus and member.state == "up" else []

    def _watch_start(self, child: str, member: Member, now: float) -> list[Command]:
        within, silent = self._bounds.start_within_s, self._bounds.start_silent_s
        member.loading = look(Heartbeat(silent, silent), member.loading, now)
        if member.loading.verdict == "hung":
            return self._kill(child, member, f"no sign of life for {silent:g} s while it started", now)
        if now - member.started_at >= within:
            return self._kill(child, member, f"not ready within {within:g} s", now)
        return []

    def _leave(self, child: str, member: Member, now: float, within_s: float | None = None) -> list[Command]:
        if member.leave_by is not None or member.state == "killed":
            return []
        within = self._bounds.drain_s if within_s is None else within_s
        member.leave_by = now + within + self._bounds.kill_again_s
        told = news.ChildLeaving(child, member.slot.kind, member.slot.pool)
        if member.state != "silent":
            member.state = "leaving"
        return [told, Say(child, Drain(within))]

    def _kill(self, child: str, member: Member, why: str, now: float) -> list[Command]:
        member.state = "killed"
        member.killed_at = now
        return [Kill(child), news.ChildKilled(child, member.slot.kind, member.slot.pool, why)]

    def _give_up(self, slot: Slot, status: int, now: float) -> list[Command]:
        if slot.kind in self._served | _SPARABLE or slot.failed_starts < self._bounds.failed_starts_max:
            return []
        why = f": {self._trouble}" if self._trouble else f" (exit status {status}); see logs/{slot.kind}.log"
        text = f"the {slot.kind} died {slot.failed_starts} times in a row before it was ready{why}"
        return [news.CellFailed("unavailable", text), *self.stop(now)]

    def _end(self, now: float) -> list[Command]:
        """While the cell ends: the writer goes last, and when nobody is left that is said once."""
        if self._phase in ("running", "stopped"):
            return []
        if not self._members:
            self._phase = "stopped"
            return [news.CellStopped()]
        commands: list[Command] = []
        if all(member.slot.kind == "writer" for member in self._members.values()):
            for child, member in list(self._members.items()):
                commands += self._leave(child, member, now, self._bounds.writer_stall_s)
        return commands
