"""Kills each part that runs here, and compares what is affected with what was predicted.

The prediction is `assessment.spread` of losing the component, from the very blueprint that runs. What is observed are
answers alone (`look.py`). What was killed by name is left out of both: that it is gone says nothing; so are the models
while the gateway is dead, because they are seen through it. A process that its supervisor starts again is killed again
for as long as the look lasts.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec

from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption
from outlast.assessment.graph import Graph
from outlast.assessment.spread import spread
from outlast.blueprint.load import parse_placed
from outlast.drill.guard import Guard
from outlast.drill.prediction.desk import Desk, endpoints
from outlast.drill.prediction.look import Look
from outlast.drill.process import send
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

agreement_min = 0.95
"""Precision and recall that a verification must reach."""
whole_within_s = 60.0
"""How long all may take until it is whole again after an experiment."""
seen_through_front = ("writer", "helper")
"""The models: whether they answer is seen through the gateway."""
_kill_every_s = 0.02
_settle_s = 0.5


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


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """All trials. Precision and recall over all pairs of a killed and an affected component."""

    trials: tuple[Trial, ...]
    precision: float
    recall: float

    @property
    def agrees(self) -> bool:
        """Whether the prediction is good enough, and every trial killed something."""
        bitten = all(trial.signals for trial in self.trials)
        return bitten and min(self.precision, self.recall) >= agreement_min


def agreement(trials: Sequence[Trial]) -> tuple[float, float]:
    """Precision and recall of all predictions together."""
    predicted = {(trial.component, name) for trial in trials for name in trial.predicted}
    observed = {(trial.component, name) for trial in trials for name in trial.observed}
    both = len(predicted & observed)
    return both / len(predicted) if predicted else 1.0, both / len(observed) if observed else 1.0


async def verify(clock: Clock, told: Callable[[str], None]) -> Verification:
    """Start the support desk, kill each of its parts, and stop it. Raises OutlastErrors for what keeps it from that."""
    with tempfile.TemporaryDirectory(prefix="outlast-verify-") as home:
        async with Guard() as guard, aiohttp.ClientSession() as session:
            desk = Desk(Path(home), guard, clock)
            told("starting the support desk, its models and its gateway")
            await desk.start()
            raw = (desk.project / "outlast.yaml").read_bytes()
            graph = Graph(describe(*parse_placed(raw)))
            look = Look(desk, session, clock)
            trials: list[Trial] = []
            for component, killed in _targets().items():
                await _whole(look, clock)
                told(f"killing {component}")
                observed, signals = await _killed(desk, look, killed, clock)
                impact = spread(graph, Disruption("dependency", component))
                hidden = {*killed, *(seen_through_front if "front" in killed else ())}
                trials.append(
                    Trial(
                        component=component,
                        killed=killed,
                        predicted=tuple(sorted(impact.affected() - hidden)),
                        observed=tuple(sorted(observed - hidden)),
                        signals=signals,
                    )
                )
        precision, recall = agreement(trials)
        return Verification(trials=tuple(trials), precision=precision, recall=recall)


def _targets() -> dict[str, tuple[str, ...]]:
    """What is lost, and the parts that are killed for it: a model is lost with all of its endpoints."""
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in ("support", "journal", "front")}
    for name, model in endpoints.items():
        found[f"{model}.{name}"] = (f"{model}.{name}",)
    for lost in seen_through_front:
        found[lost] = (lost, *(f"{model}.{name}" for name, model in endpoints.items() if model == lost))
    return found


async def _whole(look: Look, clock: Clock) -> None:
    until = clock.monotonic() + whole_within_s
    affected = await look.affected()
    while affected:
        if clock.monotonic() > until:
            raise NotWhole(f"still affected after {whole_within_s:g} s: {', '.join(sorted(affected))}")
        await clock.sleep(_settle_s)
        affected = await look.affected()


async def _killed(desk: Desk, look: Look, names: tuple[str, ...], clock: Clock) -> tuple[set[str], int]:
    """What is affected while `names` are dead, and how many signals that took."""
    servers = [desk.endpoints[name.rpartition(".")[2]] for name in names if name.rpartition(".")[2] in desk.endpoints]
    parts = [name for name in names if name in ("support", "journal", "front")]
    signals = len(servers)
    for server in servers:
        await server.kill()

    async def keep_dead() -> None:
        nonlocal signals
        while True:
            for part in parts:
                signals += sum(send(process, signal.SIGKILL) for process in desk.processes(part))
            await clock.sleep(_kill_every_s)

    killing = asyncio.create_task(keep_dead())
    try:
        await clock.sleep(_settle_s)
        return await look.affected(), signals
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        for server in servers:
            await server.start()
