"""Runs all processes of a cell: what ``outlast up`` does, and ``outlast run`` where nothing runs yet."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.environment import child_environment
from outlast.adapters.host.lock import DirectoryLock
from outlast.adapters.host.process import HostChildren
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.duty import has_duties
from outlast.bootstrap.engine import Engine, Journal, is_shared, open_engine
from outlast.bootstrap.home import StateDirectory, Up, gateway_file, remove_own, write_whole
from outlast.cell import event as news
from outlast.cell.bound import Bounds, PoolSize
from outlast.cell.child import ChildPlan
from outlast.cell.command import Start
from outlast.cell.courier import Courier
from outlast.cell.member import ChildView
from outlast.cell.roster import Roster
from outlast.cell.supervisor import Supervisor
from outlast.journal.notice import Listener
from outlast.kernel.error import ConfigurationError, OutlastError, StoreCorrupt, StoreUnavailable
from outlast.kernel.identity import new_id
from outlast.kernel.point import NoPoints

log_bytes_max = 10 * 1024 * 1024
"""A log file of the children that is larger, 10 MiB, is copied aside and begun anew: one generation is kept."""
logs_every_s = 10.0
"""How often the sizes of log files are looked at."""


class CellOptions(msgspec.Struct, frozen=True):
    """What a caller may choose beside the blueprint.

    `server`: whether the HTTP API is served, and the gateway if the blueprint has one. `environment`: more variables
    for the children. `bounds`: other bounds than the defaults; `takeover_after` of the blueprint goes before. `file`:
    where the blueprint was read, if not from the project's own file; a gateway that reads it again finds it there.
    """

    server: bool = True
    environment: Mapping[str, str] = {}
    bounds: Bounds = Bounds()
    file: str | None = None


class Cell:
    """One cell: writer, server, gateway, keeper, workers; the supervisor is this process. `listener` hears news."""

    def __init__(
        self,
        home: Path,
        blueprint: Blueprint,
        options: CellOptions | None = None,
        listener: Callable[[news.CellEvent], None] = lambda event: None,
    ) -> None:
        self._state = StateDirectory(home)
        self._blueprint = blueprint
        self._options = options or CellOptions()
        self._listener = listener
        self._clock = SystemClock()
        self._randomness = OsRandomness()
        self._supervisor: Supervisor | None = None
        self._stop_wanted = False
        self._engine: Engine | None = None
        """Where it is shared; else the journal is opened once its writer serves."""

    async def run(self) -> None:
        """Until it has stopped: by `drain`, by `stop`, or because it cannot work.

        Raises Conflict that names the process which runs here already; ConfigurationError, StoreCorrupt or
        StoreUnavailable when a child says, or shows, that it can never start.
        """
        self._state.make()
        with DirectoryLock(self._state.path):
            await self._bury_leftovers()
            self._state.write_cell(self._blueprint, self._options.file)
            async with AsyncExitStack() as stack:
                if is_shared(self._blueprint):
                    opening = open_engine(self._state.home, self._blueprint, NoPoints(), complain=self._complain)
                    self._engine = await stack.enter_async_context(opening)
                self._supervisor = supervisor = self._make()
                logs = asyncio.create_task(self._bound_logs(), name="cell-logs")
                stack.callback(logs.cancel)
                try:
                    if not self._stop_wanted:
                        await supervisor.run()
                finally:
                    self._state.up.unlink(missing_ok=True)
                    remove_own(gateway_file(self._state.home))
        failure = supervisor.failure
        if failure is not None:
            raise _KINDS.get(failure.code, StoreUnavailable)(failure.message)

    def drain(self) -> None:
        """End gently; called again, at once."""
        self._stop_wanted = True
        if self._supervisor is not None:
            self._supervisor.drain()

    def stop(self) -> None:
        """End at once. Nothing acknowledged is lost by it."""
        self._stop_wanted = True
        if self._supervisor is not None:
            self._supervisor.stop()

    def reload(self) -> None:
        """Start workers and server anew, with today's code; runs go on in them."""
        if self._supervisor is not None:
            self._supervisor.reload()

    def ready(self) -> bool:
        """Whether every kind of child and every pool serves."""
        return self._supervisor is not None and self._supervisor.ready()

    def view(self) -> list[ChildView]:
        """Every child there is."""
        return self._supervisor.view() if self._supervisor is not None else []

    def _make(self) -> Supervisor:
        bounds = msgspec.structs.replace(self._options.bounds, takeover_after_s=self._blueprint.takeover_after)
        pools = {
            pool.name: PoolSize(pool.workers_min, pool.worker_memory_max) for pool in self._blueprint.pools().values()
        }
        roster = Roster(
            bounds,
            pools,
            self._randomness,
            self._clock.monotonic(),
            server=self._options.server,
            gateway=self._options.server and self._blueprint.gateway is not None,
            writer=self._engine is None,
        )
        executors = HostExecutors(self._state.alive("worker"), self._clock)
        return Supervisor(
            roster, HostChildren(), self._clock, self._plan, self._connect, executors, self._happened,
            presence=self._engine.presence if self._engine is not None else None,
            name=new_id("host", self._clock, self._randomness), keeper=has_duties(self._blueprint),
        )  # fmt: skip

    def _happened(self, event: news.CellEvent) -> None:
        if isinstance(event, news.ChildReady) and event.kind == "server":
            write_whole(self._state.up, Up(os.getpid(), event.address))
        if isinstance(event, news.ChildReady) and event.kind == "gateway":
            write_whole(gateway_file(self._state.home), Up(os.getpid(), event.address))
        self._listener(event)

    def _complain(self, line: str) -> None:
        self._happened(news.ChildSaid("supervisor", "error", line))

    def _plan(self, start: Start) -> ChildPlan:
        child = new_id(start.kind, self._clock, self._randomness)
        arguments = [sys.executable, "-m", "outlast.cli.child", start.kind, str(self._state.home), child]
        if start.kind == "worker":
            arguments += [start.pool, start.solo_for][: 2 if start.solo_for else 1]
        base = {**os.environ, **self._options.environment}
        return ChildPlan(
            id=child,
            kind=start.kind,
            arguments=arguments,
            environment=child_environment(base, child, runs_user_code=start.kind != "writer"),
            directory=str(self._state.home),
            log=str(self._state.logs / f"{start.kind}.log"),
        )

    async def _connect(self) -> View:
        if self._engine is not None:
            return View(self._engine.journal, courier=self._engine.courier)
        from outlast.adapters.sqlite.client import SqliteClient

        client = await SqliteClient.open(self._state.journal, self._state.socket, clock=self._clock)
        return View(client, client.close)

    async def _bury_leftovers(self) -> None:
        """What an earlier supervisor left behind is dead before anything new starts."""
        for kind in ("writer", "server", "gateway", "worker", "keeper"):
            executors = HostExecutors(self._state.alive(kind), self._clock)
            await asyncio.gather(*(executors.confirm_dead(child) for child in executors.known()))
            executors.prune()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.to_thread(bound_logs, self._state.logs)
            await self._clock.sleep(logs_every_s)


def bound_logs(directory: Path, bytes_max: int = log_bytes_max) -> None:
    """Children append to these files, so emptying one under their hands is safe; what they write meanwhile may go."""
    for log in directory.glob("*.log"):
        try:
            if log.stat().st_size > bytes_max:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)
        except OSError:  # a full disk must not end the cell
            continue


_KINDS: dict[str, type[OutlastError]] = {
    ConfigurationError.code: ConfigurationError,
    StoreCorrupt.code: StoreCorrupt,
    StoreUnavailable.code: StoreUnavailable,
}


class View:
    """What the supervisor reads, and hears."""

    def __init__(
        self, journal: Journal, close: Callable[[], None] = lambda: None, courier: Courier | None = None
    ) -> None:
        self.index = journal
        self._journal = journal
        self._close = close
        self._courier = courier
        self._hearing = asyncio.create_task(courier.hear()) if courier is not None else None

    @property
    def store(self) -> View:
        """Where growth is heard of."""
        return self

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        """As that of EventStore."""
        stops = [self._journal.listen(listener, steps=steps)]
        if self._courier is not None:
            stops.append(self._courier.listen(listener))

        def stop() -> None:
            for one in stops:
                one()

        return stop

    async def close(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
        self._close()


async def run_cell(
    home: Path,
    blueprint: Blueprint,
    options: CellOptions | None = None,
    listener: Callable[[news.CellEvent], None] = lambda event: None,
    *,
    started: Callable[[Cell], None] = lambda cell: None,
) -> None:
    """Run a cell in the foreground until SIGTERM or SIGINT (drains; a second one stops at once). As `Cell.run`."""
    cell = Cell(home, blueprint, options, listener)
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, cell.drain)
    try:
        started(cell)
        await cell.run()
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
