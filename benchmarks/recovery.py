"""kill -9 of a worker until the next step of its runs, detection included, with a standby on the host.

Workers are killed one after the other while each has runs with a step in flight. A kill's figure is that of the *last*
of the killed worker's runs to take its next step in another process, as the steps themselves write it down. A kill is
made only when as many workers serve as there should be, the spare included: the standby is there, as it is in service.
"""

from __future__ import annotations

import time
from collections import defaultdict

from benchmarks.bench import Bench
from benchmarks.cell import Cell, kill
from benchmarks.figure import Section
from benchmarks.ledger import Ledger
from benchmarks.sample import Sample, percentile

workers = 2
runs_at_once = 8
steps_of_a_run = 200
pause_s = 0.02
recovered_within_s = 30.0


class Load:
    """Keeps runs going."""

    def __init__(self, cell: Cell, ledger: Ledger) -> None:
        self._cell = cell
        self._ledger = ledger
        self.started = 0

    def active(self) -> list[str]:
        """Runs that have steps to go; those near their end do not count."""
        self._ledger.read()
        last = self._ledger.last
        names = [f"r{number}" for number in range(self.started)]
        return [name for name in names if name not in last or last[name].number < steps_of_a_run - 20]

    def top_up(self) -> None:
        """Start runs until enough are active."""
        missing = runs_at_once - len(self.active())
        if missing > 0:
            path = str(self._ledger.path)
            self._cell.start(
                "marked",
                [
                    {"ledger": path, "name": f"r{self.started + n}", "steps": steps_of_a_run, "pause_s": pause_s}
                    for n in range(missing)
                ],
            )
            self.started += missing


def of_one_kill(cell: Cell, load: Load, ledger: Ledger) -> float:
    """Seconds from the death of the worker with the most runs until all of them go on elsewhere."""
    hit: list[tuple[int, list[str]]] = []

    def busiest() -> bool:
        load.top_up()
        if len(cell.serving()) < workers + 1:
            return False
        owned: defaultdict[int, list[str]] = defaultdict(list)
        fresh = time.monotonic() - 0.2
        for name in load.active():
            if name in ledger.last and ledger.last[name].at > fresh:
                owned[ledger.last[name].pid].append(name)
        living = set(cell.serving().values())
        hit[:] = sorted(((pid, names) for pid, names in owned.items() if pid in living), key=lambda one: -len(one[1]))
        return bool(hit)

    cell.until(busiest, 60, "a worker has runs in flight and the standby lives")
    pid, _ = hit[0]
    at = kill(pid)
    ledger.read()
    # whoever began a step there last was its owner; a run that only now reached its end is not waited for
    orphans = {name for name in load.active() if name in ledger.last and ledger.last[name].pid == pid}

    def recovered() -> bool:
        ledger.read()
        return all(ledger.last[name].pid != pid for name in orphans)

    cell.until(recovered, recovered_within_s, "the killed worker's runs go on elsewhere")
    firsts: dict[str, float] = {}
    for mark in ledger.marks:
        if mark.run in orphans and mark.pid != pid and mark.at > at:
            firsts.setdefault(mark.run, mark.at)
    return max((moment - at for moment in firsts.values()), default=0.0)


def measure(bench: Bench) -> Section:
    kills = bench.sized(200, 50)
    section = Section(f"recovery: kill -9 of a worker to the next step of the last of its runs ({kills} kills)")
    taken: list[float] = []
    with bench.fresh("recovery") as path, Cell(path, workers=workers) as cell:
        ledger = Ledger(path / "ledger")
        load = Load(cell, ledger)
        while len(taken) < kills:
            seconds = of_one_kill(cell, load, ledger)
            if seconds > 0:
                taken.append(seconds)
        cell.until(lambda: cell.states().get("completed", 0) == load.started, 60, "every run completes")
        ledger.close()
    section.add("recovery_s_p50", "median of kills", "s", Sample([percentile(taken, 0.5)]))
    section.add("recovery_s_p99", "p99 of kills", "s", Sample([percentile(taken, 0.99)]), at_most=0.5)
    section.add("recovery_s_max", "the slowest", "s", Sample([max(taken)]))
    section.add("kills", "kills", "", Sample([float(kills)]))
    return section
