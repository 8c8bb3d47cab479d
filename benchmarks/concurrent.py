"""Many runs at once: durable steps per second, each with a result of 1 KB, with one and with four workers.

The clock runs from the first start of a run until all of them have ended, so starting, claiming and ending runs counts.
Outlast's figure is of a whole cell as `outlast up` runs it. A DBOS worker is a process of its own on the shared file;
its load is smaller, because it would take minutes otherwise, yet lasts for seconds.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench, payload_bytes
from benchmarks.cell import Cell
from benchmarks.figure import Section
from benchmarks.sample import Sample

workers_tried = (1, 4)


def of_outlast(bench: Bench, workers: int) -> float:
    """Steps per second of one cell."""
    runs, steps = bench.sized(200, 40), 100
    with bench.fresh("cell") as path, Cell(path, workers=workers) as cell:
        cell.complete([{"steps": 1, "size": payload_bytes}] * workers * 4)  # every worker has loaded the app
        taken = cell.complete([{"steps": steps, "size": payload_bytes}] * runs)
    return runs * steps / taken


def of_dbos(bench: Bench, workers: int) -> float:
    """Steps per second of so many DBOS processes on one file."""
    runs, steps = max(1, bench.sized(48, 12) // workers), 20
    with bench.fresh("dbos") as path, ExitStack() as stack:
        common = ("--dir", path, "--steps", steps, "--runs", runs, "--size", payload_bytes)
        probes = [
            # one after the other: the first one makes the schema
            stack.enter_context(
                bench.peer(f"dbos {n}", "dbos_probe.py", "concurrent", *common, "--executor", f"w{n}", cwd=path)
            ).ready()
            for n in range(workers)
        ]
        for probe in probes:
            probe.ask()
        answers = [probe.answer() for probe in probes]
    taken = max(each["end"] for each in answers) - min(each["start"] for each in answers)
    return sum(each["steps"] for each in answers) / taken


def measure(bench: Bench) -> Section:
    section = Section("many runs at once: durable steps per second, 1 KB each")
    ours = {workers: Sample() for workers in workers_tried}
    dbos = {workers: Sample() for workers in workers_tried}
    for _ in range(bench.trials):
        for workers in workers_tried:
            ours[workers].values.append(of_outlast(bench, workers))
            if bench.peers is not None:
                dbos[workers].values.append(of_dbos(bench, workers))
    keys = {1: "steps_per_s_concurrent", 4: "steps_per_s_concurrent_4_workers"}
    for workers in workers_tried:
        name = f"Outlast, {workers} worker{'s'[: workers - 1]}"
        section.add(keys[workers], name, "/s", ours[workers], at_least=4000)
    for workers in workers_tried if bench.peers is not None else ():
        ratio = ours[workers].median / dbos[workers].median
        name = f"DBOS on SQLite, {workers} process{'es' if workers > 1 else ''}"
        section.add(f"dbos_{keys[workers]}", name, "/s", dbos[workers], remark=f"Outlast {ratio:.0f}x")
    return section
