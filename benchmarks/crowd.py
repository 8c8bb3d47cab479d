"""A step through the writing process while others want the cores: with nobody, one and two busy loops at nice 19.

The commit beside it runs among the same busy loops, so the ratio says what Outlast adds to it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.bench import Bench, payload_bytes
from benchmarks.beside import Beside
from benchmarks.figure import Section
from benchmarks.probe import own


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """So many processes that do nothing but use a core, at the lowest priority."""
    command = ["nice", "-n", "19", sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


def measure(bench: Bench) -> Section:
    section = Section("one run through the writing process, among busy neighbours")
    steps = bench.sized(200, 50)
    with ExitStack() as stack:
        path = stack.enter_context(bench.fresh("commit"))
        commit = stack.enter_context(own("commit", "benchmarks.commit", "--dir", path, "--steps", steps, cwd=path))
        path = stack.enter_context(bench.fresh("writer"))
        common = ("--dir", path, "--mode", "writer", "--steps", steps, "--size", payload_bytes)
        writer = stack.enter_context(own("writer", "benchmarks.outlast_step", *common, cwd=path))
        for probe in (commit, writer):
            probe.ready()
        size = int(writer.measure()["record_bytes"])
        commit.measure(str(size))
        for count in (0, 1, 2):
            beside = Beside(commit, {"writer": writer}, size)
            with hogs(count):
                for _ in range(bench.trials):
                    beside.trial()
            among = ("alone", "one busy loop", "two busy loops")[count]
            key = f"crowd_{count}_step_over_commit"
            section.add(f"crowd_{count}_step_ms", f"Outlast, {among}", "ms", beside.steps["writer"])
            bound = 2.5 if not count else None
            section.add(key, "  over the commit beside it", "x", beside.over("writer"), at_most=bound)
    return section
