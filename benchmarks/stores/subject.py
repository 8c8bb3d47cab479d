"""One engine under measurement: its worker processes, its bare write, and what they gave, trial by trial."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT
from benchmarks.probe import Probe, own
from benchmarks.sample import Sample, percentile
from benchmarks.stores.engine import Kind

nobody = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""Credentials of nobody: what is asked stays on loopback, whatever the machine has."""


@dataclass(frozen=True)
class Load:
    """How much one trial does: runs at once over all processes and their steps, steps of the lone run."""

    runs: int
    steps: int
    lone: int


@dataclass
class Store:
    """`where` is what `engine.opened` takes, `bare` what the bare write is given."""

    name: str
    kind: Kind
    where: str
    bare: str
    load: Load
    workers: list[Probe] = field(default_factory=list)
    writer: Probe | None = None
    steps_per_s: Sample = field(default_factory=Sample)
    lone_ms: list[float] = field(default_factory=list)
    bare_ms: list[float] = field(default_factory=list)
    over_bare: Sample = field(default_factory=Sample)
    """Each trial's median step over the median of the bare writes around it."""
    lone_written: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    """Of lone runs: how many steps, and what was written for all of it."""

    def begin(self, stack: ExitStack, directory: Path, processes: int) -> None:
        """Start its processes. The first one makes tables; the others find them."""
        for number in range(processes):
            home = directory / f"{self.name}-{number}"
            home.mkdir()
            arguments = ("--kind", self.kind, "--where", self.where, "--dir", home)
            probe = own(f"{self.name} {number}", "benchmarks.stores.worker", *arguments, cwd=home, environment=nobody)
            self.workers.append(stack.enter_context(probe).ready())
        home = directory / f"{self.name}-bare"
        home.mkdir()
        arguments = ("--kind", self.kind, "--where", self.bare)
        bare = own(f"{self.name} bare", "benchmarks.stores.bare", *arguments, cwd=home, environment=nobody)
        self.writer = stack.enter_context(bare).ready()

    def many(self) -> float:
        """Steps per second of all processes together."""
        runs = max(1, self.load.runs // len(self.workers))
        for probe in self.workers:
            probe.ask(f"many {runs} {self.load.steps}")
        return together([probe.answer() for probe in self.workers])

    def alone(self, size: int) -> None:
        """One lone run, with the bare writes before and after it."""
        assert self.writer is not None
        count = max(20, self.load.lone // 2)
        bare = self.writer.measure(f"{count} {size}")["ms"]
        answer = self.workers[0].measure(f"lone {self.load.lone}")
        bare += self.writer.measure(f"{count} {size}")["ms"]
        self.lone_ms += answer["ms"]
        self.bare_ms += bare
        self.over_bare.values.append(percentile(answer["ms"], 0.5) / percentile(bare, 0.5))
        self.lone_written.append((self.load.lone, answer["written"]))

    def warm(self) -> None:
        """Every process has done all of it once; and a lone run of few steps, to tell what a run costs from a step."""
        for probe in self.workers:
            probe.measure("many 2 5")
        for count in (2, self.load.lone):
            self.lone_written.append((count, self.workers[0].measure(f"lone {count}")["written"]))

    def per_step(self, name: str) -> float:
        """What one more step writes: the difference of two lone runs over the difference of their steps."""
        (few, less), (many, more) = self.lone_written[0], self.lone_written[1]
        return (more[name] - less[name]) / (many - few)

    def per_run(self, name: str) -> float:
        """What a run writes besides its steps: its creation, claim and end, and the hints about it."""
        few, less = self.lone_written[0]
        return less[name] - few * self.per_step(name)


def together(answers: list[dict[str, Any]]) -> float:
    """Steps per second of probes that worked at the same time."""
    taken = max(each["end"] for each in answers) - min(each["start"] for each in answers)
    return sum(each["steps"] for each in answers) / taken


@contextmanager
def writing_process(directory: Path, socket: Path) -> Iterator[str]:
    """The writing process of a SQLite journal: where it is, for `engine.opened`."""
    code = "import sys; from benchmarks.runtime import write_journal; write_journal(*sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(directory), str(socket)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        yield f"{directory / 'journal.sqlite'}|{socket}"
    finally:
        process.terminate()
        process.wait(15)
