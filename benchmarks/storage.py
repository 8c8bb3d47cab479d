"""What a run of 200 steps that adds 1 KB a step takes on disk: the whole database, its log folded in."""

from __future__ import annotations

from benchmarks.bench import Bench, payload_bytes
from benchmarks.figure import Section
from benchmarks.probe import own
from benchmarks.sample import Sample

steps = 200


def measure(bench: Bench) -> Section:
    section = Section(f"storage of a run of {steps} steps that adds 1 KB a step")
    data = steps * payload_bytes
    with bench.fresh("storage") as path:
        common = ("--dir", path, "--steps", steps, "--size", payload_bytes)
        with own("storage", "benchmarks.outlast_step", *common, "--mode", "direct", cwd=path) as probe:
            ours = float(probe.ready().measure("storage")["storage_bytes"])
        section.add("storage_kb", "Outlast, journal and anchors", "KB", Sample([ours / 1024]))
        section.add("storage_over_data", "  over the data", "x", Sample([ours / data]), at_most=2.0)
        if bench.peers is not None:
            with bench.peer("langgraph", "langgraph_probe.py", "storage", *common, cwd=path) as probe:
                theirs = float(probe.ready().measure("storage")["storage_bytes"])
            remark = f"{theirs / ours:.0f}x Outlast"
            sample = Sample([theirs / 1024])
            section.add("langgraph_storage_kb", "LangGraph with SqliteSaver", "KB", sample, remark=remark)
    return section
