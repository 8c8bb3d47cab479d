"""`make bench-stores`: the same durable steps on SQLite, PostgreSQL and DynamoDB, and DBOS on the same PostgreSQL."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, Bench, payload_bytes
from benchmarks.machine import describe
from benchmarks.report import number
from benchmarks.sample import Sample, percentile
from benchmarks.stores.cost import cost
from benchmarks.stores.subject import Load, Store, nobody, together, writing_process
from tests.servers.ministack import ministack
from tests.servers.moto import moto
from tests.servers.postgres import PostgresServer, running

NAMES = ("sqlite", "postgres", "dynamodb-ministack", "dynamodb-moto")
processes = 2
"""Worker processes of each engine; DBOS is measured with one and with so many, and its better figure counts."""
record_bytes = 1300
"""About what the record of a step that returns 1 KB takes: what the bare writes write."""
dbos_at_least = 5.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output instead of the table")
    parser.add_argument("--trials", type=int, default=5, help="trials of each figure, interleaved (default 5)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work in each of 3 trials")
    parser.add_argument("--only", choices=NAMES, action="append", help="only this store; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="leave DBOS out")
    parser.add_argument("--dir", type=Path, default=ROOT / "build" / "bench", help="where SQLite writes")
    return parser.parse_args()


def begin(bench: Bench, stack: ExitStack, names: tuple[str, ...], server: PostgresServer | None) -> list[Store]:
    """Every store with its server and processes."""
    directory = bench.directory
    found: list[Store] = []
    quick = Load(bench.sized(200, 40), 100, bench.sized(400, 100))
    slow = Load(bench.sized(40, 16), 25, bench.sized(200, 60))  # an emulator takes milliseconds of processor time
    for name in names:
        bench.say(f"starting {name}")
        if name == "sqlite":
            home = directory / "sqlite"
            home.mkdir()
            socket = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ol-", dir="/tmp"))) / "writer.sock"
            where = stack.enter_context(writing_process(home, socket))
            store = Store(name, "sqlite", where, str(directory / "bare.sqlite"), quick)
        elif name == "postgres":
            assert server is not None
            url = server.create_database("outlast")
            store = Store(name, "postgres", url, server.create_database("bare"), quick)
        else:
            emulator = ministack if name.endswith("ministack") else moto
            address = stack.enter_context(emulator(directory))
            store = Store(name, "dynamodb", f"{address}|outlast", f"{address}|outlast", slow)
        store.begin(stack, directory, processes)
        store.warm()
        found.append(store)
    return found


def dbos(bench: Bench, server: PostgresServer, workers: int, database: str) -> tuple[float, dict[str, Any]]:
    """Steps per second of so many DBOS processes on one database of the same server, and how they commit."""
    runs, steps = max(1, bench.sized(96, 24) // workers), 20
    url = server.url(database).replace("postgresql://", "postgresql+psycopg://")
    with bench.fresh("dbos") as path, ExitStack() as stack:
        common = ("--dir", path, "--steps", steps, "--runs", runs, "--size", payload_bytes, "--url", url)
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
    facts = {name: answers[0][name] for name in ("dbos", "server_version", "synchronous_commit", "fsync")}
    return together(answers), facts


def measure(bench: Bench, names: tuple[str, ...]) -> dict[str, Any]:
    """Everything, in trials that take turns."""
    peers: dict[int, Sample] = {}
    facts: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(running(settings=["max_wal_size = '4GB'"])) if "postgres" in names else None
        stores = begin(bench, stack, names, server)
        for trial in range(bench.trials):
            bench.say(f"trial {trial + 1} of {bench.trials}")
            for store in stores:
                store.steps_per_s.values.append(store.many())
                store.alone(record_bytes)
                bench.say(f"  {store.name}: {store.steps_per_s.values[-1]:,.0f} steps/s")
                if store.kind == "postgres" and bench.peers is not None:
                    assert server is not None
                    for workers in (1, processes):
                        database = f"dbos{trial}w{workers}"
                        server.create_database(database)
                        rate, facts = dbos(bench, server, workers, database)
                        peers.setdefault(workers, Sample()).values.append(rate)
                        bench.say(f"  DBOS, {workers} processes: {rate:,.0f} steps/s")
    return report(stores, peers, facts)


def report(stores: list[Store], peers: dict[int, Sample], facts: dict[str, Any]) -> dict[str, Any]:
    """One object."""
    found: list[dict[str, Any]] = []
    for store in stores:
        dynamodb = store.kind == "dynamodb"
        line: dict[str, Any] = {
            "name": store.name,
            "steps_per_s": round(store.steps_per_s.median, 1),
            "p50_ms": round(percentile(store.lone_ms, 0.5), 3),
            "p99_ms": round(percentile(store.lone_ms, 0.99), 3),
            "bare_write_p50_ms": round(percentile(store.bare_ms, 0.5), 3),
            "bare_write_p99_ms": round(percentile(store.bare_ms, 0.99), 3),
            "p50_over_bare": round(store.over_bare.median, 2),
            "writes_per_step": round(store.per_step("items" if dynamodb else "records"), 3),
            "writes_per_run": round(store.per_run("items" if dynamodb else "records"), 1),
            "write_units_per_step": round(store.per_step("units"), 3) if dynamodb else None,
            "steps_per_s_trials": [round(each, 1) for each in store.steps_per_s.values],
        }
        if dynamodb:
            line["cost"] = cost(store)
        found.append(line)
    best = max(peers.values(), key=lambda sample: sample.median, default=None)
    ours = next((store for store in stores if store.kind == "postgres"), None)
    ratio = ours.steps_per_s.over(best).median if ours is not None and best is not None else None
    return {
        "stores": found,
        "dbos_postgres_steps_per_s": None if best is None else round(best.median, 1),
        "postgres_over_dbos": None if ratio is None else round(ratio, 2),
        "dbos_by_processes": {str(workers): round(sample.median, 1) for workers, sample in peers.items()},
        "dbos": facts,
        "processes": processes,
    }


def table(facts: dict[str, Any], told: dict[str, Any]) -> str:
    """The same, readable."""
    lines = [f"{name.replace('_', ' '):>12}  {value}" for name, value in facts.items()]
    title = f"durable steps of 1 KB, {told['processes']} worker processes; a lone step beside the bare write"
    head = f"{'':20}{'steps/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'bare p50':>10}{'p50/bare':>10}{'writes/step':>12}"
    lines += ["", title, head]
    for store in told["stores"]:
        lines.append(
            f"  {store['name']:<18}{number(store['steps_per_s']):>9}{number(store['p50_ms']):>9}"
            f"{number(store['p99_ms']):>9}{number(store['bare_write_p50_ms']):>10}{number(store['p50_over_bare']):>10}"
            f"{store['writes_per_step']:>12}"
        )
    if told["dbos_postgres_steps_per_s"] is not None:
        holds = "ok" if told["postgres_over_dbos"] >= dbos_at_least else "MISSED"
        ratio = f"Outlast over it: {told['postgres_over_dbos']}x (must be >= {dbos_at_least:g}x: {holds})"
        lines.append(f"  {'DBOS on postgres':<18}{number(told['dbos_postgres_steps_per_s']):>9}   {ratio}")
    for store in told["stores"]:
        if "cost" in store:
            lines += ["", *bill(store["name"], store["cost"])]
    return "\n".join(lines)


def bill(name: str, cost: dict[str, Any]) -> list[str]:
    """What a million steps cost."""
    about = f"runs of {cost['steps_of_a_run']} steps, {cost['region']}, prices of {cost['as_of']}"
    units = f"{cost['write_units_per_step']} units a step, {cost['write_units_per_run']} a run"
    return [
        f"a million steps by the units counted on {name} ({about}), US dollars",
        f"  DynamoDB, one region   {cost['usd_per_million_steps']:>6}   ({units})",
        f"  with one replica       {cost['usd_per_million_steps_with_a_replica']:>6}",
        f"  Step Functions         {cost['step_functions_usd']:>6}",
        f"  Lambda durable         {cost['lambda_durable_functions_usd']:>6}",
    ]


def main() -> int:
    args = arguments()
    peers = ROOT / ".venv-peers" / "bin" / "python"
    if not args.no_peers and not peers.exists():
        print("no .venv-peers: run `make peers` first, or leave DBOS out with --no-peers", file=sys.stderr)
        return 2
    os.environ.update(nobody)
    args.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stores-", dir=args.dir.resolve()) as name:
        bench = Bench(
            Path(name),
            trials=3 if args.quick else max(3, args.trials),
            scale=0.2 if args.quick else 1.0,
            peers=None if args.no_peers else peers,
        )
        facts = describe(Path(name), ROOT, shlex.join(["python", "-m", "benchmarks.stores", *sys.argv[1:]]))
        told = measure(bench, tuple(args.only or NAMES))
    print(json.dumps({**told, "machine": facts}) if args.json else table(facts, told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
