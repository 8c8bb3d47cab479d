"""What a step costs before Outlast does anything: SQLite's commit, in the rhythm and the table of a step.

A commit right after another is cheaper than one for which something was computed first; `pause_us` is about what a step
computes in-process. The pause itself is not counted.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.figure import Section
from benchmarks.probe import Probe, own
from benchmarks.sample import Sample

pause_us = 150
record_bytes = 1_300
"""About what Outlast's record of a step of 1 KB takes."""


def measure(bench: Bench) -> Section:
    section = Section(f"the floor of a step: a commit of {record_bytes} bytes")
    steps = bench.sized(400, 50)
    subjects = {
        "commit_ms": ("one right after another", ()),
        "commit_after_pause_ms": (f"  after {pause_us} us of computing", ("--pause-us", pause_us)),
        "commit_of_record_ms": ("as a record of the journal", ("--table", "journal")),
        "commit_of_record_after_pause_ms": ("  after the same", ("--table", "journal", "--pause-us", pause_us)),
    }
    with ExitStack() as stack:
        probes: dict[str, Probe] = {}
        for key, (_, arguments) in subjects.items():
            path = stack.enter_context(bench.fresh(key))
            common = ("--dir", path, "--steps", steps, *arguments)
            probes[key] = stack.enter_context(own(key, "benchmarks.commit", *common, cwd=path))
        samples = {key: Sample() for key in subjects}
        for probe in probes.values():
            probe.ready()
            for _ in range(3):  # until the log is as long as it gets
                probe.measure(str(record_bytes))
        for _ in range(bench.trials):
            for key, probe in probes.items():
                samples[key].values.append(probe.measure(str(record_bytes))["commit_ms"])
    for key, (text, _) in subjects.items():
        section.add(f"floor_{key}", text, "ms", samples[key])
    return section
