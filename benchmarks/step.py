"""One run, step after step: what a durable step costs, beside the bare commit of the same bytes and the peers.

All subjects live at the same time and take turns: a trial is one burst of each. A ratio is taken within a trial. The
bare commit writes rows as long as the record that Outlast's journal holds for one step (read from the file).
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench, payload_bytes
from benchmarks.beside import Beside
from benchmarks.figure import Section
from benchmarks.probe import Probe, own
from benchmarks.sample import Sample


def measure(bench: Bench) -> Section:
    section = Section("one run: a durable step of 1 KB, power-safe")
    steps = bench.sized(400, 50)
    peer_steps = bench.sized(150, 30)
    with ExitStack() as stack:

        def folder(name: str):
            return stack.enter_context(bench.fresh(name))

        def outlast(mode: str) -> Probe:
            path = folder(mode)
            module = "benchmarks.outlast_step"
            return own(mode, module, "--dir", path, "--mode", mode, "--steps", steps, "--size", payload_bytes, cwd=path)

        path = folder("commit")
        commit = stack.enter_context(own("commit", "benchmarks.commit", "--dir", path, "--steps", steps, cwd=path))
        writer = stack.enter_context(outlast("writer"))
        direct = stack.enter_context(outlast("direct"))
        peers: dict[str, Probe] = {}
        if bench.peers is not None:
            common = ("--steps", peer_steps, "--size", payload_bytes)
            path = folder("dbos")
            peers["dbos"] = bench.peer("dbos", "dbos_probe.py", "step", "--dir", path, *common, cwd=path)
            path = folder("dbos-shipped")
            shipped = ("--journal", "delete")
            peers["dbos_shipped"] = bench.peer(
                "dbos shipped", "dbos_probe.py", "step", "--dir", path, *common, *shipped, cwd=path
            )
            path = folder("langgraph")
            peers["langgraph"] = bench.peer("langgraph", "langgraph_probe.py", "step", "--dir", path, *common, cwd=path)
        for probe in peers.values():
            stack.enter_context(probe)
        for probe in (commit, writer, direct, *peers.values()):
            probe.ready()

        size = int(writer.measure()["record_bytes"])
        direct.measure()
        commit.measure(str(size))
        for probe in peers.values():
            probe.measure()

        beside = Beside(commit, {"writer": writer, "direct": direct}, size)
        of_peers = {name: Sample() for name in peers}
        for _ in range(bench.trials):
            beside.trial()
            for name, probe in peers.items():
                of_peers[name].values.append(probe.measure()["step_ms"])

    through_writer = beside.steps["writer"]
    section.add("commit_ms", f"bare SQLite commit of {size} bytes", "ms", beside.commits)
    section.add("step_ms", "Outlast through the writing process", "ms", through_writer)
    section.add("step_over_commit", "  over the commit beside it", "x", beside.over("writer"), at_most=2.5)
    section.add("step_in_process_ms", "Outlast in-process", "ms", beside.steps["direct"])
    section.add("step_over_commit_in_process", "  over the commit beside it", "x", beside.over("direct"), at_most=1.7)
    names = {
        "dbos": ("dbos_step_ms", "DBOS on SQLite, in WAL mode"),
        "dbos_shipped": ("dbos_shipped_step_ms", "DBOS on SQLite as shipped (rollback journal)"),
        "langgraph": ("langgraph_step_ms", "LangGraph with SqliteSaver, a super-step"),
    }
    for name, sample in of_peers.items():
        key, text = names[name]
        section.add(key, text, "ms", sample, remark=f"{sample.median / through_writer.median:.1f}x Outlast")
    return section
