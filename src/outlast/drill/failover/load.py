"""One process of the load: runs that book, and rivals that fight for streams, on an engine that loses its server.

``python -m outlast.drill.failover.load``: its orders are one line of JSON on its input; it says ``ready``, goes on
until its input says ``stop`` or ends, finishes what it has begun, and tells what it started, with states.

Every call of the journal, and what came of it, is in this process's book before anybody here acts on it: the drill's
judge believes the book, not the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.output import print_whole
from outlast.adapters.host.randomness import OsRandomness
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.cell.worker import Worker
from outlast.drill.failover.booking import agent, make_app
from outlast.drill.recorder import Book, RecordingStore
from outlast.drill.rival import Rivalry, compete
from outlast.journal.index import ENDED
from outlast.journal.loss import Losses
from outlast.kernel.error import Conflict, OutlastError, StoreError

look_every_s = 0.05
finish_within_s = 60.0
"""How long runs may take to end once nothing new is started."""


class Orders(msgspec.Struct, frozen=True):
    """What one process does. `url` holds a password: never show it."""

    number: int
    url: str
    strong: bool
    home: str
    """Where its book, the ledger, and the memory that it shares with the others are."""
    seed: int
    runs: int = 8
    """How many at once."""
    bookings: int = 12
    """Of each run."""
    pause_s: float = 0.01
    """How long a booking takes."""
    rivals: int = 2

    @property
    def book(self) -> Path:
        return Path(self.home) / f"book-{self.number}.jsonl"

    @property
    def ledger(self) -> Path:
        return Path(self.home) / "ledger.jsonl"

    @property
    def memory(self) -> Path:
        return Path(self.home) / "memory" / "standing.json"


class Account(msgspec.Struct, frozen=True):
    """What it started: each run's name, its identifier, and the state that the index tells; how many were ever held."""

    runs: dict[str, tuple[str, str]]
    held: int = 0


@asynccontextmanager
async def platform_of(orders: Orders) -> AsyncGenerator[tuple[Platform, Book]]:
    """The engine behind a recorder, and its book."""
    from outlast.adapters.postgres.engine import PostgresEngine
    from outlast.adapters.postgres.options import PostgresOptions

    clock, randomness = SystemClock(), OsRandomness()
    options = PostgresOptions(
        url=orders.url, strong=orders.strong, memory=orders.memory, application=f"drill{orders.number}"
    )
    losses = Losses()
    async with PostgresEngine.open(options, clock, randomness, losses=losses) as engine:
        with orders.book.open("ab", buffering=0) as book:
            yield (
                Platform(
                    clock=clock,
                    randomness=randomness,
                    store=RecordingStore(engine.journal, f"load{orders.number}", clock, book),
                    index=engine.journal,
                    snapshots=engine.journal,
                    blobs=engine.blobs,
                    executors=HostExecutors(Path(orders.home) / "workers", clock),
                    settings=Settings(append_patience_s=finish_within_s),
                    losses=losses,
                ),
                book,
            )


class Load:
    """Keeps so many runs under way on one worker."""

    def __init__(self, orders: Orders, platform: Platform, worker: Worker, control: Control) -> None:
        self._orders = orders
        self._platform = platform
        self._worker = worker
        self._control = control
        self.runs: dict[str, str] = {}
        self._open: set[str] = set()
        self._names: dict[str, str] = {}
        self._held: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, then until all that was begun has ended, within `finish_within_s`."""
        clock = self._platform.clock
        give_up_at = float("inf")
        while clock.monotonic() < give_up_at:
            if stop.is_set() and give_up_at == float("inf"):
                give_up_at = clock.monotonic() + finish_within_s
                self._open.update(self.runs.values())  # an end that was seen may have been lost since
            try:
                if not stop.is_set() and len(self._open) < self._orders.runs:
                    await self._start()
                    continue
                await self._look()
            except StoreError as error:
                report(str(error))
            if stop.is_set() and not self._open:
                return
            await clock.sleep(look_every_s)

    async def _start(self) -> None:
        await self._submit(f"{self._orders.number}-{len(self.runs)}")

    async def _submit(self, name: str) -> None:
        arguments = {"name": name, "bookings": self._orders.bookings}
        run = (await self._control.start(agent, arguments, key=f"{self._orders.seed}-{name}")).run
        self.runs[name] = run
        self._names[run] = name
        self._open.add(run)
        self._worker.offer(run)

    async def _look(self) -> None:
        """Forget what has ended, and take again what was let go of while the database was away."""
        for run in list(self._open):
            entry = await self._platform.index.entry(run)
            if entry is None:
                await self._submit(self._names[run])  # it was lost: whoever wants it asks for it again
            elif entry.state in ENDED:
                self._open.discard(run)
            elif entry.due(self._platform.clock.now()):
                self._worker.offer(run)
            elif entry.state == "held":
                await self._drive_on(run)

    async def _drive_on(self, run: str) -> None:
        """Be the person who decides about a run that lost events: have its tool's `verify` look into the ledger."""
        self._held.add(run)
        with contextlib.suppress(Conflict):  # not held any more: the index was behind
            await self._control.redrive(run)

    async def account(self) -> Account:
        """What became of each."""
        found: dict[str, tuple[str, str]] = {}
        for name, run in self.runs.items():
            entry = await self._platform.index.entry(run)
            state = "unknown to the index" if entry is None else entry.state
            found[name] = (run, f"{state}: {entry.reason}" if entry is not None and entry.reason else state)
        return Account(found, len(self._held))


def report(line: str) -> None:
    """For the log of this process."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def serve() -> None:
    """As the module says."""
    loop = asyncio.get_running_loop()
    orders = msgspec.json.decode(await loop.run_in_executor(None, sys.stdin.buffer.readline), type=Orders)
    stop = asyncio.Event()

    async def wait_for_the_end() -> None:
        await loop.run_in_executor(None, sys.stdin.buffer.readline)
        stop.set()

    async with platform_of(orders) as (platform, book):
        app = make_app(orders.ledger, orders.pause_s)
        rivalry = Rivalry(
            orders.seed, orders.rivals, streams=2, calls=sys.maxsize, first_client=orders.number * orders.rivals,
            pause_s=0.02,
        )  # fmt: skip
        recorder = platform.store
        assert isinstance(recorder, RecordingStore)
        async with Worker(app, platform, f"load-{orders.number}-{os.getpid()}", report=report) as worker:
            load = Load(orders, platform, worker, Control(platform, app))
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            async with asyncio.TaskGroup() as group:
                group.create_task(wait_for_the_end())
                group.create_task(compete(recorder.behind, rivalry, platform.clock, book, stop))
                group.create_task(load.run(stop))
            account = await load.account()
    sys.stdout.buffer.write(msgspec.json.encode(account) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Run it on the loop that workers use."""
    import uvloop

    print_whole()
    try:
        uvloop.run(serve())
    except OutlastError as error:
        report(f"{error.code}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
