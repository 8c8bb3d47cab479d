"""A step over the bare commit on slower disks: under a preloaded library, every sync takes so much longer.

The disk itself is the fastest one; what is added is slept, for the commit and for Outlast alike. A machine in the cloud
has a network between itself and its disk: a sync takes 0.5 to 2 ms there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Bench, payload_bytes
from benchmarks.figure import Section
from benchmarks.probe import own
from benchmarks.sample import Sample

added_us = (50, 150, 500)


def measure(bench: Bench) -> Section:
    section = Section("one run, on slower disks")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        bench.say("left out: slower disks need Linux and a C compiler")
        return section
    with bench.fresh("library") as folder:
        library = folder / "slower.so"
        source = Path(__file__).with_name("slower.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        for us in added_us:
            _measure(bench, section, us, {"LD_PRELOAD": str(library), "SLOWER_US": str(us)})
    return section


def _measure(bench: Bench, section: Section, us: int, environment: dict[str, str]) -> None:
    steps = bench.sized(200, 20)
    with ExitStack() as stack:

        def probe(name: str, module: str, *arguments: object):
            path = stack.enter_context(bench.fresh(name))
            common = ("--dir", path, "--steps", steps, *arguments)
            return stack.enter_context(own(name, module, *common, cwd=path, environment=environment))

        commit = probe("commit", "benchmarks.commit")
        outlast = {
            mode: probe(mode, "benchmarks.outlast_step", "--mode", mode, "--size", payload_bytes)
            for mode in ("writer", "direct")
        }
        for each in (commit, *outlast.values()):
            each.ready()
        size = str(int(outlast["writer"].measure()["record_bytes"]))
        outlast["direct"].measure()
        commit.measure(size)
        commits = Sample()
        before = {mode: Sample() for mode in outlast}
        steps_of = {mode: Sample() for mode in outlast}
        for _ in range(bench.trials):
            first = commit.measure(size)["commit_ms"]
            commits.values.append(first)
            for mode, each in outlast.items():
                steps_of[mode].values.append(each.measure()["step_ms"])
                second = commit.measure(size)["commit_ms"]
                commits.values.append(second)
                before[mode].values.append((first + second) / 2)
                first = second
    section.add(f"disk_{us}_commit_ms", f"bare commit, {us} us more a sync", "ms", commits)
    ratio = steps_of["writer"].over(before["writer"])
    section.add(f"disk_{us}_step_over_commit", "  a step through the writing process over it", "x", ratio)
    ratio = steps_of["direct"].over(before["direct"])
    section.add(f"disk_{us}_step_over_commit_in_process", "  a step in-process over it", "x", ratio)
