"""``outlast demo``: the support desk under load, under fire, under audit.

One demo: start the system, submit tickets, let the third party (`fault.py`) strike as planned (`plan.py`), wait until
every run has ended or the deadline is over, ask the oracle (`oracle.py`), undo everything.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec

from outlast.drill.client import Client
from outlast.drill.fault import Faults, Harm
from outlast.drill.guard import Guard
from outlast.drill.measure import Event
from outlast.drill.oracle import Facts, judge, read_ledger
from outlast.drill.plan import FaultKind, faults, quota
from outlast.drill.report import Report, confirmed, figures, make
from outlast.drill.stage import Stage, prepare
from outlast.drill.system import System
from outlast.drill.workload import Workload, choose, load_cases
from outlast.drill.writer import ModelKind, serve
from outlast.drill.writer import choose as choose_model
from outlast.kernel.clock import Clock
from outlast.kernel.randomness import Randomness

finish_within_s = 300.0
"""How long the runs may take to end after the last fault."""
ask_within_s = 60.0
_look_s = 0.1


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may choose. None means: each ticket once, a seed by chance, the real model if it is installed."""

    tickets: int | None = None
    kills: int = 9
    faults: bool = True
    seed: int | None = None
    model: ModelKind | None = None
    home: Path | None = None
    example: Path | None = None
    """Another directory than the example's own; it has the same files."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How far a demo has come; told again and again."""

    phase: str
    seed: int
    model: str = ""
    submitted: int = 0
    ended: int = 0
    total: int = 0
    workers: int = 0
    faults: Sequence[Harm] = ()
    faults_planned: int = 0
    striking: FaultKind | None = None


Told = Callable[[Status], None]


async def run_demo(options: Options, clock: Clock, randomness: Randomness, told: Told) -> Report:
    """One demo from beginning to end; everything it started has ended when this returns or raises.

    Its directory is removed if it was a temporary one and the demo passed. Raises OutlastErrors for what keeps it from
    running at all: a directory in use, a model that is not there, a system that does not come up.
    """
    seed = options.seed if options.seed is not None else int.from_bytes(randomness.token(4), "big")
    kind = await choose_model(options.model, lambda phase: told(Status(phase=phase, seed=seed)))
    home = options.home or Path(tempfile.mkdtemp(prefix="outlast-demo-"))
    try:
        async with Guard() as guard, serve(kind, clock) as writer:
            stage = prepare(home, writer, options.example)
            system = System(stage.project, stage.environment(), guard, clock)
            async with aiohttp.ClientSession() as session:
                client = Client(session, system.address, clock)
                play = _Play(options, seed, stage, system, client, clock, told, writer.model)
                report = await play.run(kind)
        report = await _audited(report, stage)
    except BaseException:
        if options.home is None:
            shutil.rmtree(home, ignore_errors=True)
        raise
    if options.home is None and report.verdict == "passed":
        shutil.rmtree(home, ignore_errors=True)
        report = msgspec.structs.replace(report, home="")
    return report


async def _audited(report: Report, stage: Stage) -> Report:
    """The report with what ``outlast audit verify`` says of the journal that all those deaths have left."""
    audit = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outlast", "audit", "verify", "--json", "--home", str(stage.project)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaint = await audit.communicate()
    if audit.returncode == 0:
        return msgspec.structs.replace(report, journal_whole=True)
    said = " ".join((told or complaint).decode(errors="replace").split())[:500]
    findings = (*report.findings, f"the journal is not what was written: {said}")
    return msgspec.structs.replace(report, journal_whole=False, verdict="failed", findings=findings)


class _Play:
    """What one demo knows while it runs."""

    def __init__(
        self,
        options: Options,
        seed: int,
        stage: Stage,
        system: System,
        client: Client,
        clock: Clock,
        told: Told,
        model: str,
    ) -> None:
        self._stage = stage
        self._system = system
        self._client = client
        self._clock = clock
        self._told = told
        self._seed = seed
        self._model = model
        self._cases = choose(load_cases(stage.tickets), options.tickets, seed)
        self._plan = faults(options.kills, seed) if options.faults else []
        self._load = Workload(client, self._cases, clock, f"demo-{seed}")
        self._faults = Faults(system, self._load, client, clock, stage)
        self._harms: list[Harm] = []
        self._phase = "starting the system"
        self._striking: FaultKind | None = None
        self._workers = 0

    async def run(self, kind: ModelKind) -> Report:
        self._tell("starting the system")
        await self._system.start()
        await self._client.ready(ask_within_s)
        await self._faults.muster()
        begun = self._clock.monotonic()
        await self._under_load()
        elapsed_s = self._clock.monotonic() - begun
        self._tell("asking the oracle")
        return await self._judged(elapsed_s, kind)

    async def _under_load(self) -> None:
        """Load, watcher and faults side by side, until all runs have ended or the time for that is over."""
        background = [asyncio.create_task(self._load.watch()), asyncio.create_task(self._keep_telling())]
        submitting = asyncio.create_task(self._load.submit_all())
        main = asyncio.create_task(self._strike_and_finish(submitting))
        tasks = [*background, submitting, main]
        try:
            while not main.done():
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # the first error ends the demo
                tasks = [task for task in tasks if not task.done()]
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            for task in (*background, submitting, main):
                task.cancel()
            await asyncio.gather(*background, submitting, main, return_exceptions=True)

    async def _strike_and_finish(self, submitting: asyncio.Task[None]) -> None:
        for index, kind in enumerate(self._plan):
            self._striking = kind
            self._tell("under load and under fire")
            self._harms.append(await self._faults.strike(kind, quota(self._load.total, index, len(self._plan))))
        self._striking = None
        self._tell("waiting for every run to end")
        self._load.release(self._load.total)
        deadline = self._clock.monotonic() + finish_within_s
        while self._clock.monotonic() < deadline and not (submitting.done() and self._load.in_flight <= 0):
            await self._clock.sleep(_look_s)

    async def _keep_telling(self) -> None:
        while True:
            self._workers = len(self._system.workers())
            self._tell(self._phase)
            await self._clock.sleep(_look_s)

    async def _judged(self, elapsed_s: float, kind: ModelKind) -> Report:
        lines = await self._client.runs(ask_within_s)
        histories: dict[str, Sequence[Event]] = {}
        for run in lines:
            histories[run] = await self._client.events(run, ask_within_s)
        submissions = self._load.submissions()
        harms = confirmed(self._harms, histories)
        found = figures(harms, histories)
        judgement = judge(
            Facts(
                submissions=submissions,
                ledger=read_ledger(self._stage.ledger),
                answers={run: line.state for run, line in lines.items()},
                in_doubt_verified=found.in_doubt_verified,
                faults_planned=len(self._plan),
                faults_bitten=sum(harm.bitten for harm in harms),
            )
        )
        replies = {one.ticket: await self._reply(one.runs) for one in submissions}
        right = sum(replies[case.id].get("label") == case.label for case in self._cases if case.id in replies)
        ways = sorted({str(reply["labelled_by"]) for reply in replies.values() if "labelled_by" in reply})
        return make(
            judgement,
            found,
            harms,
            elapsed_s=elapsed_s,
            zombies_returned=self._faults.zombies_returned,
            labels_right=right,
            labelled_by=", ".join(ways),
            model=self._model,
            model_kind=kind,
            seed=self._seed,
            home=str(self._stage.home),
        )

    async def _reply(self, runs: Sequence[str]) -> Mapping[str, Any]:
        result = await self._client.result(runs[0], ask_within_s) if runs else None
        return cast("dict[str, Any]", result) if isinstance(result, dict) else {}

    def _tell(self, phase: str) -> None:
        self._phase = phase
        self._told(
            Status(
                phase=phase,
                seed=self._seed,
                model=self._model,
                submitted=self._load.submitted,
                ended=self._load.ended,
                total=self._load.total,
                workers=self._workers,
                faults=tuple(self._harms),
                faults_planned=len(self._plan),
                striking=self._striking,
            )
        )


def _first(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return error
