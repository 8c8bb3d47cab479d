"""Kills each part that runs here, and compares what is affected with what was predicted.

The prediction is `assessment.spread` of losing the component, from the very blueprint that runs. What is observed are
answers alone (`probe.py`). What was killed by name is left out of both: that it is gone says nothing; so are the models
while the gateway is dead, because they are seen through it. A process that its supervisor starts again is killed again
for as long as the look lasts; then it is killed once more, alone, to see how soon work is done again.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.graph import Graph
from outlast.assessment.spread import spread
from outlast.blueprint.load import parse_placed
from outlast.drill.guard import Guard
from outlast.drill.prediction.desk import Desk
from outlast.drill.prediction.post import Post
from outlast.drill.prediction.subject import Subject, processes, targets
from outlast.drill.process import send
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

agreement_min = 0.95
"""Precision and recall that a verification must reach."""
whole_within_s = 60.0
"""How long all may take until it is whole again after an experiment."""
served_within_s = 20.0
"""How long work is waited for while something is dead."""
_kill_every_s = 0.02
_settle_s = 0.5

Opening = Callable[[Path, Guard, Clock, aiohttp.ClientSession, Path | None], Subject]
subjects: Mapping[str, Opening] = {"support-desk": Desk, "document-intake": Post}
"""What can be verified: examples, by the name in their blueprint."""


class NotWhole(OutlastError):
    """The system did not become whole again, so that the next experiment would show the last one's harm."""

    code = "not_whole"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One component, killed."""

    component: str
    killed: tuple[str, ...]
    """What was killed by name; left out of both sets."""
    predicted: tuple[str, ...]
    observed: tuple[str, ...]
    signals: int
    """How often SIGKILL was sent."""
    disruption: DisruptionKind = "dependency"
    """``process``: its supervisor starts it again; ``dependency``: it is away until the drill brings it back."""
    rto_s: float | None = None
    """Seconds from the blow until work that was begun after it was done; None: it waited until all was back."""
    acknowledged: int = 0
    """Pieces of work that were acknowledged while it was dead, those apart that met continual killing."""
    failed: int = 0
    """Of these: failed, and said so."""
    lost: int = 0
    """Of these: neither done nor failed within a minute of its return."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """All trials. Precision and recall over all pairs of a killed and an affected component."""

    trials: tuple[Trial, ...]
    precision: float
    recall: float
    system: str = ""
    work: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the prediction is good enough, every trial killed something, and none lost work."""
        bitten = all(trial.signals for trial in self.trials)
        return bitten and not self.lost and min(self.precision, self.recall) >= agreement_min

    @property
    def lost(self) -> int:
        """Acknowledged work that nobody heard of again."""
        return sum(trial.lost for trial in self.trials)


def agreement(trials: Sequence[Trial]) -> tuple[float, float]:
    """Precision and recall of all predictions together."""
    predicted = {(trial.component, name) for trial in trials for name in trial.predicted}
    observed = {(trial.component, name) for trial in trials for name in trial.observed}
    both = len(predicted & observed)
    return both / len(predicted) if predicted else 1.0, both / len(observed) if observed else 1.0


async def verify(
    clock: Clock, told: Callable[[str], None], system: str = "support-desk", source: Path | None = None
) -> Verification:
    """Start one of `subjects`, kill each of its parts, and stop it. Raises OutlastErrors for what keeps it from that.

    `source`: the directory of the example, or of a changed copy; None: as it was installed.
    """
    with tempfile.TemporaryDirectory(prefix="outlast-verify-") as home:
        async with Guard() as guard, aiohttp.ClientSession() as session:
            told(f"starting {system} with all that it stands on, and a gateway")
            async with subjects[system](Path(home), guard, clock, session, source) as subject:
                experiment = _Experiment(subject, clock)
                trials: list[Trial] = []
                for component, killed in targets(subject).items():
                    await experiment.whole()
                    told(f"killing {component}")
                    trials.append(await experiment.trial(component, killed))
                work = subject.work
    precision, recall = agreement(trials)
    return Verification(trials=tuple(trials), precision=precision, recall=recall, system=system, work=work)


class _Experiment:
    def __init__(self, subject: Subject, clock: Clock) -> None:
        raw = (subject.project / "outlast.yaml").read_bytes()
        self._graph = Graph(describe(*parse_placed(raw)))
        self._subject = subject
        self._clock = clock

    async def whole(self) -> None:
        """Return when nothing is affected."""
        until = self._clock.monotonic() + whole_within_s
        affected = await self._subject.affected()
        while affected:
            if self._clock.monotonic() > until:
                raise NotWhole(f"still affected after {whole_within_s:g} s: {', '.join(sorted(affected))}")
            await self._clock.sleep(_settle_s)
            affected = await self._subject.affected()

    async def trial(self, component: str, killed: tuple[str, ...]) -> Trial:
        """Kill one component, look, and bring it back."""
        subject = self._subject
        away = [name for name in killed if name in subject.parts]
        restarted = not away
        subject.forget()
        if restarted:
            observed, signals = await self._kept_dead(component)
            await self.whole()
            subject.forget()
            rto_s = await self._blow(component)
        else:
            observed, signals, rto_s = await self._away(away)
        reckoning = await subject.reckoning(whole_within_s)
        impact = spread(self._graph, Disruption("dependency", component))
        hidden = {*killed, *(subject.models if "front" in killed else ())}
        return Trial(
            component=component,
            killed=killed,
            predicted=tuple(sorted(impact.affected() - hidden)),
            observed=tuple(sorted(observed - hidden)),
            signals=signals,
            disruption="process" if restarted else "dependency",
            rto_s=None if rto_s is None else round(rto_s, 3),
            acknowledged=reckoning.acknowledged,
            failed=reckoning.failed,
            lost=reckoning.lost,
        )

    async def _away(self, names: Sequence[str]) -> tuple[set[str], int, float | None]:
        """What is affected while these servers are dead, how many signals that took, and how soon work was done."""
        parts = [self._subject.parts[name] for name in names]
        began = self._clock.monotonic()
        try:
            signals = sum([await part.kill() for part in parts])
            served = await self._served(began, served_within_s / 2)
            return await self._subject.affected(), signals, served
        finally:
            for part in parts:
                await part.start()

    async def _kept_dead(self, component: str) -> tuple[set[str], int]:
        """What is affected while a process dies again and again, and how many signals that took."""
        signals = 0

        async def keep_dead() -> None:
            nonlocal signals
            while True:
                signals += self._strike(component)
                await self._clock.sleep(_kill_every_s)

        killing = asyncio.create_task(keep_dead())
        try:
            await self._clock.sleep(_settle_s)
            return await self._subject.affected(), signals
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)

    async def _blow(self, component: str) -> float | None:
        """Kill its processes once, with work under way; seconds until new work is done."""
        await self._subject.begin()
        began = self._clock.monotonic()
        self._strike(component)
        return await self._served(began, whole_within_s)

    async def _served(self, began: float, within_s: float) -> float | None:
        while self._clock.monotonic() < began + within_s:
            if await self._subject.serves():
                return self._clock.monotonic() - began
            await self._clock.sleep(_kill_every_s)
        return None

    def _strike(self, component: str) -> int:
        return sum(send(process, signal.SIGKILL) for process in processes(self._subject, component))
