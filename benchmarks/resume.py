"""Age: a run of 10,000 steps that is resumed, a conversation of 10,000 turns that goes on."""

from __future__ import annotations

from benchmarks.bench import Bench, payload_bytes
from benchmarks.cell import Cell, kill
from benchmarks.figure import Section
from benchmarks.ledger import Ledger
from benchmarks.probe import own
from benchmarks.sample import Sample


def of_a_long_run(bench: Bench, steps: int) -> Sample:
    """Kill the worker that has a run of so many steps behind it, until the next step is taken elsewhere."""
    sample = Sample()
    with bench.fresh("resume") as path, Cell(path, workers=2) as cell:
        ledger = Ledger(path / "ledger")

        def marks(at_least: int) -> bool:
            ledger.read()
            return len(ledger.marks) >= at_least

        arguments = {"steps": steps, "size": payload_bytes, "marks": 1000, "pause_s": 0.3}
        cell.start("long", [{"ledger": str(ledger.path), **arguments}])
        for _ in range(bench.trials):
            seen = len(ledger.marks)
            # a mark beyond the last one taken over: since the last kill something new was recorded
            cell.until(lambda seen=seen: marks(seen + 1), 180, "the run is at a marked step")
            cell.until(lambda: len(cell.serving()) >= 3, 60, "the standby lives")
            ledger.read()
            mark = ledger.marks[-1]
            seen = len(ledger.marks)
            at = kill(mark.pid)
            cell.until(lambda seen=seen: marks(seen + 1), 60, "the run was resumed")
            sample.values.append(ledger.marks[seen].at - at)
        ledger.close()
    return sample


def measure(bench: Bench) -> Section:
    section = Section("age")
    long = of_a_long_run(bench, 10_000)
    section.add("resume_10k_s", "kill to next step of a 10,000-step run", "s", long, at_most=1.0)
    short = of_a_long_run(bench, 10)
    section.add("resume_10_s", "  the same of a run of 10 steps", "s", short)
    old, young = Sample(), Sample()
    with bench.fresh("session") as path, own("session", "benchmarks.outlast_session", "--dir", path, cwd=path) as probe:
        probe.ready()
        for _ in range(bench.trials):
            young.values.append(probe.measure("young")["turn_ms"])
            old.values.append(probe.measure("old")["turn_ms"])
    section.add("session_turn_ms_at_10", "a turn of a session of 10 turns", "ms", young)
    section.add("session_turn_ms_at_10k", "a turn of a session of 10,000 turns", "ms", old)
    section.add("session_growth", "  over that of 10 turns", "x", old.over(young), at_most=1.5)
    return section
