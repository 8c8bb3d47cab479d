"""Many seeds, in several processes; and whether two processes agree on what a seed does.

Which workload and faults a seed means, where nothing else is said: the workload is number ``seed % workloads`` of all,
and the faults are number ``seed // workloads % faults`` of those that go with it, in the order of `catalog.py`. So any
``workloads * faults`` seeds in a row play every combination.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from outlast.kernel.error import OutlastError
from outlast.simulation.catalog import faults_for, workloads
from outlast.simulation.child import Case, Outcome
from outlast.simulation.result import Result

case_s_max = 600.0
"""Seconds of real time after which a simulation counts as stuck, and its process is ended."""
_line_bytes_max = 256 * 1024 * 1024  # a trace is long
_failing_kept_max = 100


class ChildDied(OutlastError):
    """A simulating process ended, or was stuck, in the middle of a case."""

    code = "simulation_died"


class Totals(msgspec.Struct):
    """The books of a sample. `events` are journal events; `callbacks` those of the simulated event loops."""

    seeds: int = 0
    violations: int = 0
    crashes: int = 0
    events: int = 0
    callbacks: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    disagreed: int = 0
    """Seeds of which two processes said different things; each is a violation too."""
    failing: list[Case] = []
    reached: Counter[str] = msgspec.field(default_factory=Counter[str])
    bit: Counter[str] = msgspec.field(default_factory=Counter[str])
    combinations: Counter[str] = msgspec.field(default_factory=Counter[str])

    def take(self, case: Case, outcome: Outcome) -> None:
        """Add what came of one case."""
        result = outcome.result
        self.seeds += 1
        self.crashes += result.crashes
        self.events += result.events
        self.callbacks += result.callbacks
        self.virtual_s += result.virtual_s
        self.cpu_s += outcome.cpu_s
        self.reached.update(result.reached)
        self.bit.update(result.bit)
        self.combinations[f"{result.workload} x {result.faults}"] += 1
        if result.violations:
            self.violations += len(result.violations)
            if len(self.failing) < _failing_kept_max:
                self.failing.append(case)

    @property
    def first_failing_seed(self) -> int | None:
        """The lowest seed that failed; None if none did."""
        return min((case.seed for case in self.failing), default=None)

    def figures(self) -> dict[str, object]:
        """What ``--json`` prints."""
        cpu_s = max(self.cpu_s, 1e-9)
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "crashes": self.crashes,
            "events": self.events,
            "virtual_hours": round(self.virtual_s / 3600.0, 2),
            "wall_s": round(self.wall_s, 1),
            "first_failing_seed": self.first_failing_seed,
            "cpu_s": round(self.cpu_s, 1),
            "events_per_cpu_s": round(self.events / cpu_s),
            "callbacks_per_cpu_s": round(self.callbacks / cpu_s),
            "nondeterministic_seeds": self.disagreed,
        }


def pick(seed: int, workload: str | None = None, faults: str | None = None, *, mutant: str = "") -> Case:
    """The case that a seed means; what is named stands, the rest the seed decides (see above)."""
    every = workloads(faults)
    workload = workload or every[seed % len(every)]
    kinds = faults_for(workload)
    return Case(seed, workload, faults or kinds[seed // len(every) % len(kinds)], mutant)


class Lane:
    """One simulating process; with `hash_seed`, under that PYTHONHASHSEED."""

    def __init__(self, hash_seed: int | None = None) -> None:
        self._environment = dict(os.environ)
        if hash_seed is not None:
            self._environment["PYTHONHASHSEED"] = str(hash_seed)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Lane:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "outlast.simulation.child", env=self._environment, limit=_line_bytes_max,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self

    async def __aexit__(self, *exc: object) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def simulate(self, case: Case) -> Outcome:
        """Have the process run a case; raises ChildDied."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(case) + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(case_s_max):
                line = await process.stdout.readline()
        except TimeoutError:
            raise ChildDied(f"{name_of(case)} was not over after {case_s_max:g} s of real time") from None
        except ConnectionError:
            line = b""
        if not line:
            raise ChildDied(f"the process that simulated {name_of(case)} ended with {await process.wait()}; see above")
        return msgspec.json.decode(line, type=Outcome)


def name_of(case: Case) -> str:
    """A case in words."""
    return f"seed {case.seed} ({case.workload} x {case.faults}{f', mutant {case.mutant}' if case.mutant else ''})"


Told = Callable[[Case, Result, Totals], None]


async def run_cases(cases: Iterable[Case], jobs: int, told: Told, *, twice: bool = False) -> Totals:
    """Run all cases in `jobs` processes (`twice`: pairs of processes that must agree); `told` hears of each as it ends.

    Raises ChildDied.
    """
    totals = Totals()
    began = time.monotonic()
    line = iter(cases)

    async def work() -> None:
        async with Lane(1 if twice else None) as lane, Lane(2) if twice else _Nobody() as second:
            for case in line:
                if isinstance(second, Lane):
                    outcome, other = await asyncio.gather(lane.simulate(case), second.simulate(case))
                    outcome = _compared(outcome, other, totals)
                else:
                    outcome = await lane.simulate(case)
                totals.take(case, outcome)
                totals.wall_s = time.monotonic() - began
                told(case, outcome.result, totals)

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, jobs)):
            group.create_task(work())
    return totals


class _Nobody:
    async def __aenter__(self) -> _Nobody:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None


def _compared(one: Outcome, other: Outcome, totals: Totals) -> Outcome:
    """The first, with a violation added if the two differ. Its seconds of processor are those of one simulation."""
    if (one.result.digest, one.result.violations) == (other.result.digest, other.result.violations):
        return one
    totals.disagreed += 1
    said = f"determinism: two processes disagree: {one.result.digest[:16]} and {other.result.digest[:16]}"
    result = msgspec.structs.replace(one.result, violations=[*one.result.violations, said])
    return msgspec.structs.replace(one, result=result)


def seeds(
    start: int, count: int, workload: str | None = None, faults: str | None = None, *, mutant: str = ""
) -> Iterator[Case]:
    """The cases of `count` seeds from `start`."""
    for seed in range(start, start + count):
        yield pick(seed, workload, faults, mutant=mutant)
