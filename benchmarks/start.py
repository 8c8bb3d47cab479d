"""How long `import outlast` and `outlast --help` take in a new process, a bare interpreter taken off the first."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figure import Section
from benchmarks.sample import Sample

import_code = "import time; t = time.perf_counter(); import outlast; print(time.perf_counter() - t)"


def timed(command: Sequence[str], cwd: Path) -> tuple[float, str]:
    """Wall-clock seconds of a command that must succeed, and its output."""
    start = time.perf_counter()
    shown = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=60).stdout
    return time.perf_counter() - start, shown


def measure(bench: Bench) -> Section:
    section = Section("start")
    imported, helped = Sample(), Sample()
    outlast = str(Path(sys.executable).with_name("outlast"))
    with bench.fresh("start") as cwd:
        timed([sys.executable, "-c", import_code], cwd)  # the first one reads the files into memory
        timed([outlast, "--help"], cwd)
        for _ in range(bench.trials):
            imported.values.append(float(timed([sys.executable, "-c", import_code], cwd)[1]))
            helped.values.append(timed([outlast, "--help"], cwd)[0])
    section.add("import_s", "import outlast", "s", imported, at_most=0.3)
    section.add("help_s", "outlast --help, whole process", "s", helped, at_most=0.4)
    return section
