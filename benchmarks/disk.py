"""A step over the bare commit on slower disks: under a preloaded library, every sync takes so much longer.

What is added is slept, for the commit and for Outlast alike; all else is the disk that is there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Bench, payload_bytes
from benchmarks.beside import Beside
from benchmarks.figure import Section
from benchmarks.probe import own

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
        size = int(outlast["writer"].measure()["record_bytes"])
        outlast["direct"].measure()
        commit.measure(str(size))
        beside = Beside(commit, outlast, size)
        for _ in range(bench.trials):
            beside.trial()
    section.add(f"disk_{us}_commit_ms", f"bare commit, {us} us more a sync", "ms", beside.commits)
    key, text = f"disk_{us}_step_over_commit", "  a step through the writing process over it"
    section.add(key, text, "x", beside.over("writer"))
    section.add(f"{key}_in_process", "  a step in-process over it", "x", beside.over("direct"))
