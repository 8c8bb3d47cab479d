"""The third party that does harm: it knows processes, the ledger's file and the public API, nothing else.

Each fault waits for the moment in which it bites, and says afterwards whether it did. Every one is undone: what it
freezes it wakes, also on an error or on Ctrl-C; what the drill itself cannot undo any more, its guard does.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import msgspec

from outlast.drill.client import Client
from outlast.drill.measure import Blow, Recovery, intents_open, owned, recovery
from outlast.drill.plan import FaultKind
from outlast.drill.process import Process, alive, identify, send
from outlast.drill.stage import Stage
from outlast.drill.system import System
from outlast.drill.workload import Workload
from outlast.kernel.clock import Clock

strike_within_s = 20.0
"""How long a fault may wait for its moment; after that it did not bite."""
frozen_at_least_s = 2.0
frozen_at_most_s = 6.0
"""A frozen worker is woken at the latest after this time: before the supervisor takes it for hung and kills it."""
heal_within_s = 15.0
"""How long the next fault waits for the last one to heal: as many workers as at first, their runs going on."""
_step_s = 0.02
_heal_look_s = 0.1
_more_load_after_s = 2.0
_ledger_poll_s = 0.001


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that struck, or did not. `at`: seconds since 1970; `worker` is "" where none was hit.

    `recovery` is what became of the worker's runs, known only once their events were read.
    """

    kind: FaultKind
    bitten: bool
    at: float = 0.0
    worker: str = ""
    pid: int = 0
    note: str = ""
    recovery: Recovery | None = None


class Faults:
    """Does what the plan says to one system under one load."""

    def __init__(self, system: System, workload: Workload, client: Client, clock: Clock, stage: Stage) -> None:
        self._system = system
        self._workload = workload
        self._client = client
        self._clock = clock
        self._ledger = stage.ledger
        self._token = stage.token  # without this file no crash point kills: it exists only while one is armed
        self._crew = stage.crew
        self.zombies_returned = 0
        """Frozen workers that were alive again after their runs had been taken over."""

    async def muster(self) -> None:
        """Return when all workers serve: a standby that only starts takes nothing over."""
        await self._until(lambda: len(self._system.serving()) >= self._crew, heal_within_s)

    async def strike(self, kind: FaultKind, upto: int) -> Harm:
        """Let the load go on to its first `upto` tickets, and strike while it does."""
        by_kind: dict[FaultKind, Callable[[int], Awaitable[Harm]]] = {
            "crash_point": self._crash_point,
            "after_booking": self._after_booking,
            "busy_worker": self._busy_worker,
            "freeze": self._freeze,
            "writer": self._writer,
            "supervisor": self._supervisor,
        }
        harm = await by_kind[kind](upto)
        if harm.bitten:
            await self._healed(harm)
        return harm

    async def _healed(self, harm: Harm) -> None:
        """Return when the system is whole again: the next fault shall not hide how it recovers from this one."""
        deadline = self._clock.monotonic() + heal_within_s
        await self.muster()
        if not harm.worker:
            return
        blow = Blow(harm.worker, harm.at)
        while self._clock.monotonic() < deadline:
            histories = {run: await self._client.events(run, strike_within_s) for run in self._workload.open_runs()}
            if not any(owned(events, blow.worker, blow.at) for events in histories.values()):
                return
            if recovery(histories, blow).recovered_s is not None:
                return
            await self._clock.sleep(_heal_look_s)

    async def _crash_point(self, upto: int) -> Harm:
        """A worker kills itself between the refund and its record: the place is named in its environment."""
        crew = self._system.workers()
        self._token.touch()
        try:
            self._workload.release(upto)

            def gone() -> bool:
                crew.update(self._system.workers())
                return not self._token.exists()

            if not await self._until(gone, strike_within_s, more_load=True):
                return Harm(kind="crash_point", bitten=False, note="no refund came by")
            at = self._token.parent.stat().st_mtime  # when the token was removed from it, to a few milliseconds
            fallen: list[tuple[str, Process]] = []

            def fell() -> bool:
                fallen.extend((name, process) for name, process in crew.items() if not alive(process))
                return bool(fallen)

            if not await self._until(fell, strike_within_s):
                return Harm(kind="crash_point", bitten=False, at=at, note="the token went, but no worker fell")
            worker, process = fallen[0]
            return Harm(kind="crash_point", bitten=True, at=at, worker=worker, pid=process.pid)
        finally:
            self._token.unlink(missing_ok=True)

    async def _after_booking(self, upto: int) -> Harm:
        """Watch the ledger for a new booking, and kill who made it before it can say so."""
        crew = self._system.workers()

        def fair(process: Process) -> bool:
            if process not in crew.values():
                crew.update(self._system.workers())
            return process in crew.values()

        stop = threading.Event()
        hunt = asyncio.create_task(asyncio.to_thread(kill_after_booking, self._ledger, fair, self._clock, stop))
        try:
            self._workload.release(upto)
            await self._until(hunt.done, strike_within_s, more_load=True)
        finally:
            stop.set()
            prey = await asyncio.shield(hunt)
        if prey is None:
            return Harm(kind="after_booking", bitten=False, note="no refund came by")
        process, at = prey
        worker = next(name for name, known in crew.items() if known == process)
        dead = await self._until(lambda: not alive(process), strike_within_s)
        return Harm(kind="after_booking", bitten=dead, at=at, worker=worker, pid=process.pid)

    async def _busy_worker(self, upto: int) -> Harm:
        """Kill the worker that owns the most runs, in whatever they are doing."""
        self._workload.release(upto)
        found = await self._busiest()
        if found is None:
            return Harm(kind="busy_worker", bitten=False, note="no worker owned a run")
        worker, process = found
        at = self._clock.now()
        hit = send(process, signal.SIGKILL)
        dead = hit and await self._until(lambda: not alive(process), strike_within_s)
        return Harm(kind="busy_worker", bitten=dead, at=at, worker=worker, pid=process.pid)

    async def _freeze(self, upto: int) -> Harm:
        """Stop a worker that is in no ``once`` step, let others take its runs, and wake it: a zombie.

        One that stands inside a ``once`` tool must be killed before its step is decided, so it could not come back:
        it is woken at once, and another moment is awaited.
        """
        self._workload.release(upto)
        deadline = self._clock.monotonic() + strike_within_s
        while self._clock.monotonic() < deadline:
            found = await self._busiest()
            if found is None:
                break
            harm = await self._stop_and_wake(*found)
            if harm is not None:
                return harm
            self._workload.release_more()
        return Harm(kind="freeze", bitten=False, note="no worker was busy outside a `once` step")

    async def _stop_and_wake(self, worker: str, process: Process) -> Harm | None:
        at = self._clock.now()
        try:
            runs = await self._settled(worker) if send(process, signal.SIGSTOP) else []
            if not runs:
                return None

            def taken_over() -> bool:
                return not any(run in runs for run in self._workload.owners().get(worker, []))

            taken = await self._until(taken_over, frozen_at_most_s)
            await self._clock.sleep(max(0.0, frozen_at_least_s - (self._clock.now() - at)))
        finally:
            survived = send(process, signal.SIGCONT)
        self.zombies_returned += taken and survived
        note = "" if taken else "its runs were not taken over in time"
        return Harm(kind="freeze", bitten=taken, at=at, worker=worker, pid=process.pid, note=note)

    async def _writer(self, upto: int) -> Harm:
        """Kill the process that writes the journal while runs are under way."""
        self._workload.release(upto)
        await self._busiest()
        process = self._system.writer()
        if process is None:
            return Harm(kind="writer", bitten=False, note="there was no writing process")
        at = self._clock.now()
        hit = send(process, signal.SIGKILL)
        back = hit and await self._until(lambda: self._system.writer() not in (None, process), strike_within_s)
        return Harm(kind="writer", bitten=back, at=at, pid=process.pid, note="" if back else "it did not come back")

    async def _supervisor(self, upto: int) -> Harm:
        """Kill `outlast up`, with runs under way, and start it again."""
        self._workload.release(upto)
        await self._busiest()
        process = self._system.supervisor
        at = await self._system.kill()
        await self._system.start()
        return Harm(kind="supervisor", bitten=True, at=at, pid=0 if process is None else process.pid)

    async def _busiest(self) -> tuple[str, Process] | None:
        """A living worker that owns runs now, the one with the most."""
        best: list[tuple[str, Process]] = []

        def seen() -> bool:
            owners = self._workload.owners()
            busy = [(name, process) for name, process in self._system.workers().items() if name in owners]
            best[:] = sorted(busy, key=lambda one: (len(owners[one[0]]), one[0]))[-1:]
            return bool(best)

        await self._until(seen, strike_within_s, more_load=True)
        return best[0] if best else None

    async def _settled(self, worker: str) -> list[str]:
        """The runs of a worker that has just been stopped; none if one of them is inside a ``once`` step."""
        runs: list[str] = []
        for _ in range(2):  # the second look sees what was on its way to the journal at the first
            await self._clock.sleep(_step_s)
            await self._workload.look()
            runs = self._workload.owners().get(worker, [])
            for run in runs:
                if intents_open(await self._client.events(run, strike_within_s)):
                    return []
        return runs

    async def _until(self, condition: Callable[[], bool], within_s: float, more_load: bool = False) -> bool:
        """Whether `condition` came true in time. `more_load`: it needs load, so let more tickets in while it does not,
        and give up when all have ended.
        """
        begun = self._clock.monotonic()
        fed = begun
        while not condition():
            now = self._clock.monotonic()
            if now - begun > within_s or (more_load and self._workload.over):
                return False
            if more_load and now - fed > _more_load_after_s:
                fed = now
                self._workload.release_more()
            await self._clock.sleep(_step_s)
        return True


def kill_after_booking(
    ledger: Path, fair: Callable[[Process], bool], clock: Clock, stop: threading.Event
) -> tuple[Process, float] | None:
    """Wait (in a thread) for a new booking in the ledger, and SIGKILL the process that made it, if `fair` agrees.

    Returns the process and the time of the blow, None if `stop` was set first. A booking whose process has already
    gone is let pass.
    """
    while not _keeps_books(ledger):
        if stop.wait(_ledger_poll_s):
            return None
    with closing(sqlite3.connect(ledger, timeout=10.0)) as base:
        base.execute("PRAGMA query_only = ON")
        last = int(base.execute("SELECT coalesce(max(id), 0) FROM booking").fetchone()[0])
        while not stop.wait(_ledger_poll_s):
            for number, pid in base.execute("SELECT id, pid FROM booking WHERE id > ? ORDER BY id", (last,)).fetchall():
                last = int(number)
                process = identify(int(pid))
                at = clock.now()
                if process is not None and fair(process) and send(process, signal.SIGKILL):
                    return process, at
    return None


def _keeps_books(ledger: Path) -> bool:
    if not ledger.exists():
        return False
    with closing(sqlite3.connect(ledger, timeout=10.0)) as base:
        return base.execute("SELECT 1 FROM sqlite_master WHERE name = 'booking'").fetchone() is not None
