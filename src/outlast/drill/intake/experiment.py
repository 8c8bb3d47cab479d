"""Documents flow; each dependency is away for a while; then the books are compared."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import aiohttp
import msgspec

from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption
from outlast.assessment.graph import Graph
from outlast.assessment.impact import State
from outlast.assessment.spread import spread
from outlast.blueprint.load import parse_placed
from outlast.drill.client import Client
from outlast.drill.guard import Guard
from outlast.drill.intake.book import Sent, effect, read_filings, wrong_marks
from outlast.drill.intake.document import document
from outlast.drill.intake.outage import Outage, bitten, bring_back, strike
from outlast.drill.intake.report import Report, Row, observed, word_of
from outlast.drill.intake.stage import IntakeStage, agent, place
from outlast.drill.measure import Event, in_doubt_verified
from outlast.drill.oracle import Facts, Submission, Verdict, judge, read_ledger
from outlast.journal.index import ENDED
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

T = TypeVar("T")

ask_within_s = 60.0
end_within_s = 90.0
"""How long documents may take to end after the dependency is back."""
whole_within_s = 90.0
"""How long it may take until nothing is degraded any more: breakers try again every few seconds."""
away_s = 4.0
"""How long a dependency is away, at least."""
before, under_way, during, after = 3, 2, 8, 4
"""Documents sent while all is well, just before the blow, while it lasts, and after it."""
_every_s = 0.25
_look_every_s = 0.1
reviewer = "the drill"


class NotCalm(OutlastError):
    """The intake does not work although everything is there: a drill would show nothing."""

    code = "not_calm"


class Experiment:
    """One drill over some outages."""

    def __init__(
        self,
        home: Path,
        outages: Sequence[Outage],
        clock: Clock,
        told: Callable[[str], None],
        during: int = during,
        source: Path | None = None,
    ) -> None:
        """`home` is an empty directory; `during`: documents that are sent while a dependency is away.

        `source`: the example's directory, or that of a changed copy.
        """
        self._source = source
        self._home = home
        self._outages = outages
        self._clock = clock
        self._told = told
        self._during = during
        self._sent: list[Sent] = []
        self._reviewed: set[str] = set()

    async def run(self) -> Report:
        """All of it. Raises OutlastErrors for what keeps it from going on."""
        begun = self._clock.monotonic()
        async with Guard() as guard, aiohttp.ClientSession() as session:
            self._session = session
            async with IntakeStage(self._home, guard, self._clock, with_gates=True, source=self._source) as stage:
                self._stage = stage
                self._told("starting the intake, its services and its models")
                await stage.system.start()
                self._client = Client(session, stage.system.address, self._clock)
                await self._client.ready(ask_within_s)
                rows = await self._watched(self._all())
                report = await self._judged(rows)
        report = await self._audited(report, stage.project)
        return _timed(report, self._clock.monotonic() - begun)

    async def _all(self) -> list[Row]:
        return [await self._outage(outage) for outage in self._outages]

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives, with the books kept meanwhile; the first error of either ends both."""
        main, watching = asyncio.create_task(work), asyncio.create_task(self._watch())
        try:
            await asyncio.wait([main, watching], return_when=asyncio.FIRST_COMPLETED)
            return main.result() if main.done() else watching.result()
        finally:
            main.cancel()
            watching.cancel()
            await asyncio.gather(main, watching, return_exceptions=True)

    # -- one outage --------------------------------------------------------------------------------------------------

    async def _outage(self, outage: Outage) -> Row:
        self._told(f"{outage.name}: away while documents flow")
        calm = await self._send(outage.name, before)
        await self._ended(calm, end_within_s)
        if any(one.degraded for one in calm):
            raise NotCalm(f"documents are degraded before {outage.name} is away: see {self._home}")
        caught: list[Sent] = []

        async def load() -> None:
            caught.extend(await self._send(outage.name, under_way))

        later = [f"DOC-{len(self._sent) + under_way + n}" for n in range(self._during)]
        for number, mark in enumerate(later):  # storage may be what is away: they lie there before
            await self._stage.store(self._session, mark, document(mark, number))
        fell = await strike(outage, self._stage, load)
        at = self._clock.now()
        try:
            during_it = await self._send(outage.name, self._during, every_s=_every_s, stored=True)
            while self._clock.now() < at + away_s:
                await self._clock.sleep(_look_every_s)
            served = [one.ended_at for one in during_it if one.state == "completed"]
            bit = bitten(outage, self._stage, fell)
        finally:
            back_at = self._clock.now()
            await bring_back(outage, self._stage)
        hit = caught + during_it
        await self._ended(hit, end_within_s)
        whole_s = await self._whole(outage, back_at)
        for one in hit:
            one.events = await self._client.events(one.run, ask_within_s) if one.run else ()
        return self._row(outage, hit, bit, back_at - at, min(served) - at if served else None, back_at, whole_s)

    async def _whole(self, outage: Outage, back_at: float) -> float | None:
        """Seconds until `after` documents in a row were read with everything; None: it never came to that."""
        until = self._clock.monotonic() + whole_within_s
        while self._clock.monotonic() < until:
            tried = await self._send(outage.name, after)
            await self._ended(tried, end_within_s)
            if not any(one.degraded for one in tried) and all(one.state == "completed" for one in tried):
                return max(one.ended_at for one in tried) - back_at
        return None

    def _row(
        self,
        outage: Outage,
        hit: Sequence[Sent],
        bit: bool,
        lasted_s: float,
        first_success_s: float | None,
        back_at: float,
        whole_s: float | None,
    ) -> Row:
        ended = [one for one in hit if one.state == "completed"]
        waits = [sum(one.waited.values()) for one in hit]
        filed = [filing.document for filing in read_filings(self._stage.register)]
        lost = len(hit) - len(ended)
        return Row(
            name=outage.name,
            subject=outage.subject,
            how=outage.how,
            bitten=bit,
            documents=len(hit),
            affected=sum(1 for one, waited in zip(hit, waits, strict=True) if one.degraded or waited),
            degraded=sum(one.degraded for one in hit),
            waited=sum(1 for waited in waits if waited),
            waited_s_max=round(max(waits, default=0.0), 2),
            waited_s_total=round(sum(waits), 2),
            reviewed=sum(1 for one in hit if one.result.get("reviewed_by") == reviewer),
            lost=lost,
            doubled=sum(max(0, filed.count(one.mark) - 1) for one in hit),
            away_s=round(lasted_s, 2),
            first_success_s=None if first_success_s is None else round(first_success_s, 2),
            caught_up_s=round(max(0.0, max(one.ended_at for one in ended) - back_at), 2) if ended else None,
            whole_s=None if whole_s is None else round(whole_s, 2),
            predicted=self._predicted(outage),
            observed=observed(hit, lost),
        )

    def _predicted(self, outage: Outage) -> str:
        raw = (self._stage.project / "outlast.yaml").read_bytes()
        graph = Graph(describe(*parse_placed(raw)))
        touch = spread(graph, Disruption("dependency", outage.subject)).touches.get(agent)
        return word_of(touch.state if touch is not None else State.UNTOUCHED)

    # -- load --------------------------------------------------------------------------------------------------------

    async def _send(self, outage: str, count: int, *, every_s: float = 0.0, stored: bool = False) -> list[Sent]:
        """Send `count` documents; they are stored first, unless they were."""
        found: list[Sent] = []
        for _ in range(count):
            number = len(self._sent)
            one = Sent(f"DOC-{number}", outage, self._clock.now())
            self._sent.append(one)  # written down before it is sent
            found.append(one)
            if not stored:
                await self._stage.store(self._session, one.mark, document(one.mark, number))
            given = {"document": {"id": one.mark, "place": place}}
            one.run = await self._client.start(agent, given, f"intake:{one.mark}", ask_within_s)
            if every_s:
                await self._clock.sleep(every_s)
        return found

    async def _ended(self, documents: Sequence[Sent], within_s: float) -> None:
        """Return when all have ended, or the time is over: the books then tell what is lost."""
        until = self._clock.monotonic() + within_s
        while self._clock.monotonic() < until and not all(one.state in ENDED for one in documents):
            await self._clock.sleep(_look_every_s)

    async def _watch(self) -> NoReturn:
        """Keep the books about runs, and be the person who is asked for a review."""
        while True:
            lines = await self._client.runs(ask_within_s)
            for one in self._sent:
                line = lines.get(one.run)
                if line is None or one.state in ENDED:
                    continue
                if line.state in ENDED:
                    one.result = await self._result(one)
                    events = await self._client.events(one.run, ask_within_s)
                    one.ended_at = events[-1].at
                    one.state = line.state
                elif one.run not in self._reviewed and await self._asks(one):
                    await self._review(one)
            await self._clock.sleep(_look_every_s)

    async def _result(self, one: Sent) -> dict[str, object]:
        result = await self._client.result(one.run, ask_within_s)
        return cast("dict[str, object]", result) if isinstance(result, dict) else {}

    async def _asks(self, one: Sent) -> bool:
        events = await self._client.events(one.run, ask_within_s)
        return any(event.type == "signal.awaited" for event in events)

    async def _review(self, one: Sent) -> None:
        await self._client.signal(one.run, "review", {"by": reviewer}, f"review:{one.mark}", ask_within_s)
        self._reviewed.add(one.run)

    # -- the verdict -------------------------------------------------------------------------------------------------

    async def _judged(self, rows: Sequence[Row]) -> Report:
        self._told("asking the books")
        lines = await self._client.runs(ask_within_s)
        histories: dict[str, Sequence[Event]] = {
            one.run: await self._client.events(one.run, ask_within_s) for one in self._sent if one.run
        }
        filings = read_filings(self._stage.register)
        wrong = wrong_marks(self._sent, filings, {name: gate.answered for name, gate in self._stage.gates.items()})
        verified = in_doubt_verified(histories)
        facts = Facts(
            submissions=[Submission(one.mark, {effect: 1}, (one.run,) if one.run else ()) for one in self._sent],
            ledger=read_ledger(self._stage.register),
            answers={run: line.state for run, line in lines.items()},
        )
        judgement = judge(facts)
        findings = [*judgement.findings, *wrong, *_of_rows(rows)]
        verdict: Verdict = "failed" if findings else judgement.verdict
        if not all(row.bitten for row in rows) and verdict == "passed":
            verdict = "invalid"
        return Report(
            verdict=verdict,
            findings=findings,
            rows=rows,
            documents=judgement.runs_total,
            completed=judgement.runs_completed,
            lost=judgement.runs_lost,
            filed=judgement.effects_done,
            doubled=judgement.effects_duplicated,
            missing=judgement.effects_missing,
            degraded=sum(one.degraded for one in self._sent),
            marks_wrong=len(wrong),
            in_doubt_verified=verified,
            journal_whole=None,
            elapsed_s=0.0,
            home=str(self._home),
        )

    async def _audited(self, report: Report, project: Path) -> Report:
        """The report with what ``outlast audit verify`` says of the journal, now that nobody writes it."""
        audit = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "outlast", "audit", "verify", "--json", "--home", str(project)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return _audited(report, await audit.wait() == 0)


def _of_rows(rows: Sequence[Row]) -> list[str]:
    found: list[str] = []
    for row in rows:
        if not row.agrees:
            found.append(f"{row.name}: the agent was predicted to be {row.predicted}, and was {row.observed}")
        if row.whole_s is None:
            found.append(f"{row.name}: {whole_within_s:g} s after its return documents were still degraded")
    return found


def _audited(report: Report, whole: bool) -> Report:
    if whole:
        return msgspec.structs.replace(report, journal_whole=True)
    findings = [*report.findings, "the journal is not what was written: see outlast audit verify"]
    return msgspec.structs.replace(report, journal_whole=False, verdict="failed", findings=findings)


def _timed(report: Report, elapsed_s: float) -> Report:
    return msgspec.structs.replace(report, elapsed_s=round(elapsed_s, 1))
