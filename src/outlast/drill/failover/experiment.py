"""One experiment: a load on three servers, whose primary is killed again and again.

Each round: wait until all is well, SIGKILL the primary and all of its processes at a moment that the seed chooses, let
the watcher promote, wait until the load goes on. Then the old primary is started as it was, and must be refused by
whoever comes; after that it is made a standby of the new one.

Asynchronous standbys lag: for up to `lag_s` before the kill the primary's senders are stopped, as if the network had.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.drill.failover.booking import BookLedger
from outlast.drill.failover.cluster import Cluster, Mode, database, opened
from outlast.drill.failover.crew import LoadHand, Say, WatchHand
from outlast.drill.failover.judge import Judgement, first_acknowledged_after, judge, lost
from outlast.drill.failover.load import Orders
from outlast.drill.failover.loss import Compared, compare, reported
from outlast.drill.failover.remains import remains
from outlast.drill.failover.report import Report, Round, make
from outlast.drill.failover.server import Server
from outlast.drill.guard import Guard, Ward
from outlast.drill.process import identify, send
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError, StoreUnavailable
from outlast.kernel.randomness import derived

settle_calls = 40
"""So many more calls of each process after a failover before the next kill: the load surely runs again."""
recover_within_s = 60.0
lag_s = 0.3
_poll_s = 0.02


class Experiment:
    """`rounds` kills in one `mode`. `processes` of load share the database."""

    def __init__(self, mode: Mode, rounds: int, seed: int, say: Say, processes: int = 2) -> None:
        self._mode: Mode = mode
        self._rounds = rounds
        self._seed = seed
        self._say = say
        self._processes = processes
        self._clock: Clock = SystemClock()
        self._chance = derived("failover", mode, str(seed))

    async def run(self) -> Report:
        """All of it, once. Raises StoreUnavailable, ConfigurationError where the drill itself cannot go on."""
        began = self._clock.monotonic()
        async with AsyncExitStack() as end:
            guard = await end.enter_async_context(Guard())
            cluster = await end.enter_async_context(opened(self._mode, self._clock, OsRandomness()))
            stage = Stage(cluster, guard, self._clock)
            stage.watch_servers()
            watcher = await end.enter_async_context(WatchHand(cluster, cluster.password))
            stage.watch(watcher.pid)
            orders = Orders(0, cluster.url(), self._mode == "sync", str(stage.home), self._seed)
            for number in range(self._processes):
                load = LoadHand(msgspec.structs.replace(orders, number=number))
                stage.loads.append(await end.enter_async_context(load))
                stage.watch(load.pid)
            rounds: list[Round] = []
            for number in range(self._rounds):
                await stage.settled()
                rounds.append(await self._round(stage, watcher))
                self._say(_told(number + 1, self._rounds, rounds[-1]))
            await stage.settled()
            judgement, findings, compared, held = await self._judged(stage, orders)
        return make(
            self._mode,
            judgement,
            [*findings, *_about(rounds)],
            rounds,
            reported=compared.reported,
            unanswered=compared.unanswered,
            unreported=compared.unreported.total(),
            invented=compared.invented.total(),
            held=held,
            seed=self._seed,
            elapsed_s=self._clock.monotonic() - began,
        )

    async def _round(self, stage: Stage, watcher: WatchHand) -> Round:
        cluster = stage.cluster
        old = cluster.primary
        await self._clock.sleep(self._chance.uniform(0.05, 1.0))
        if self._mode == "async":
            for sender in old.senders():
                send(sender, signal.SIGSTOP)
            await self._clock.sleep(self._chance.uniform(0.0, lag_s))
        marks = stage.marks()
        at = await old.kill()
        promotion = await watcher.promotion(recover_within_s)
        new = next(server for server in cluster.servers if server.name == promotion.chosen)
        name = cluster.promoted(new)
        await stage.until(lambda: stage.first(marks, at) is not None, "an append is acknowledged again")
        first = stage.first(marks, at)
        refusal, untouched = await self._return(stage, old)
        await cluster.join(old, name)
        stage.watch_servers()
        return Round(
            killed=old.name,
            promoted=new.name,
            noticed_s=round(promotion.noticed - at, 3),
            promoted_s=round(promotion.done - at, 3),
            acknowledged_s=None if first is None else round(first - at, 3),
            refused="timeline" in refusal,
            refusal=refusal,
            untouched=untouched,
        )

    async def _return(self, stage: Stage, old: Server) -> tuple[str, bool]:
        """Start the old primary as it was and open the journal there: how that was refused, and whether it kept still
        while the load, whose URL names it too, went on elsewhere.
        """
        from outlast.adapters.postgres.engine import PostgresEngine
        from outlast.adapters.postgres.options import PostgresOptions

        await old.start()
        await old.ready()
        count = "SELECT count(*) FROM outlast.record"
        before = await old.ask(count, database)
        options = PostgresOptions(
            url=stage.cluster.url([old]), memory=stage.memory, application="visitor", migrate=False
        )
        refusal = ""
        try:
            async with PostgresEngine.open(options, self._clock, OsRandomness()):
                pass
        except StoreUnavailable as error:
            refusal = str(error)
        except OutlastError as error:
            refusal = f"{error.code}: {error}"
        await stage.goes_on(settle_calls)
        untouched = await old.ask(count, database) == before
        await old.stop()
        return refusal, untouched

    async def _judged(self, stage: Stage, orders: Orders) -> tuple[Judgement, list[str], Compared, int]:
        """The counts, what is wrong, what was lost beside what the engine says was, and how many runs were held."""
        accounts = [await load.finish() for load in stage.loads]
        runs = {name: told for account in accounts for name, told in account.runs.items()}
        left, last = await remains(stage.cluster.url([stage.cluster.primary]), self._clock, OsRandomness())
        stage.read()
        calls = [call for load in stage.loads for call in load.calls]
        told = await asyncio.to_thread(reported, stage.memory)
        bookings = list(BookLedger(orders.ledger).all())
        judgement, findings = judge([*calls, *last], left, bookings, runs, orders.bookings)
        compared = compare(calls, lost(calls, left), told)
        if self._mode == "async":
            # what follows from a loss follows; here it is asked whether it was told, and did nothing twice
            findings = [finding for finding in findings if finding.startswith(("effect ", "run "))]
            if not judgement.events_lost:
                findings.append("nothing was lost: the standbys never lagged, and no report could show")
        for events, what in ((compared.unreported, "is lost, and not reported"), (compared.invented, "was not lost")):
            findings += [f"event {number} of {stream} {what}" for stream, number in sorted(events)[:9]]
        return judgement, findings, compared, sum(account.held for account in accounts)


class Stage:
    """What a round acts on: the servers, the load and its books, and who ends them all if the drill dies."""

    def __init__(self, cluster: Cluster, guard: Guard, clock: Clock) -> None:
        self.cluster = cluster
        self.loads: list[LoadHand] = []
        self.home = cluster.place / "world"
        self.home.mkdir(mode=0o700)
        self._guard = guard
        self._clock = clock

    @property
    def memory(self) -> Path:
        """The file by which the load remembers how far the database had come."""
        return self.home / "memory" / "standing.json"

    def read(self) -> None:
        """Take in what has been written into the books since."""
        for load in self.loads:
            load.read()

    def marks(self) -> list[int]:
        """How many calls of each book are known now."""
        self.read()
        return [len(load.calls) for load in self.loads]

    def first(self, marks: Sequence[int], at: float) -> float | None:
        """When, after `marks`, a client was first told that what it had sent after `at` is durable."""
        since = [call for load, mark in zip(self.loads, marks, strict=True) for call in load.calls[mark:]]
        return first_acknowledged_after(since, at)

    async def settled(self) -> None:
        """Return when both standbys follow and the load has gone on."""
        await self.cluster.following(2)
        await self.goes_on(settle_calls)

    async def goes_on(self, calls: int) -> None:
        """Return when each process has been answered so many more calls."""
        due = [mark + calls for mark in self.marks()]
        await self.until(
            lambda: all(len(load.calls) >= n for load, n in zip(self.loads, due, strict=True)), "the load goes on"
        )

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when it holds; the books are read before each look. Raises StoreUnavailable."""
        until = self._clock.monotonic() + recover_within_s
        while True:
            self.read()
            if condition():
                return
            if self._clock.monotonic() > until:
                said = "\n".join(f"{load.log.name}: {load.said()}" for load in self.loads)
                raise StoreUnavailable(f"not within {recover_within_s:g} s: {what}; the load said:\n{said}")
            await self._clock.sleep(_poll_s)

    def watch_servers(self) -> None:
        """Have the guard look after every server that runs."""
        for server in self.cluster.servers:
            if server.process is not None:
                self._guard.watch(Ward(server.process))

    def watch(self, pid: int) -> None:
        """Have the guard look after a process."""
        process = identify(pid)
        if process is not None:
            self._guard.watch(Ward(process))


def _told(number: int, of: int, one: Round) -> str:
    refused = "refused" if one.refused else "NOT REFUSED"
    return (
        f"{number}/{of}: killed {one.killed}; {one.promoted} promoted after {one.promoted_s:.3f} s, first new "
        f"acknowledged append after {one.acknowledged_s} s; {one.killed} returned and was {refused}"
    )


def _about(rounds: Sequence[Round]) -> list[str]:
    findings: list[str] = []
    for number, one in enumerate(rounds, 1):
        if not one.refused:
            said = one.refusal or "it was opened"
            findings.append(f"kill {number}: the old primary {one.killed} was not refused for its timeline: {said}")
        if not one.untouched:
            findings.append(f"kill {number}: the old primary {one.killed} was written to after its return")
    return findings
