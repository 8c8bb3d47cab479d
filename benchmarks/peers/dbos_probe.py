"""Measures DBOS on SQLite, or with ``--url`` on PostgreSQL. Runs in the peers' environment; imports nothing of Outlast.

The file is put into WAL mode before DBOS opens it (DBOS leaves SQLite's rollback journal, which is slower) and
``synchronous`` stays FULL, so that a commit survives a loss of power: the same durability as Outlast and the bare
commit. What the connections really use is read back from DBOS's own engine and reported.

Steps and workflows are synchronous functions: here that is the faster of DBOS's two styles, alone (2.0 against 3.4 ms a
step) and with many at once (290 against 245 steps a second).

On PostgreSQL it is used as it ships; how durable its connections commit is read back from them, too.

``--journal delete`` leaves the file as DBOS ships it. A line "ready" says that it is set up; each line on standard
input then asks for one measurement, which is answered by one line of JSON; the end of the input ends the process.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sqlite3
import sys
import time
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, _dbos


@DBOS.step()
def step(number: int, size: int) -> str:
    return "x" * size


@DBOS.workflow()
def run(steps: int, size: int) -> float:
    start = time.perf_counter()
    for number in range(steps):
        step(number, size)
    return time.perf_counter() - start


def launch(directory: Path, executor: str, journal: str, url: str | None) -> dict[str, object]:
    """Open DBOS on a file in `directory`, or on a database; what its connections use."""
    path = directory / "dbos.sqlite"
    if journal == "wal" and url is None:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url or f"sqlite:///{path}",
            "executor_id": executor,
            "application_version": "1",
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
    )
    DBOS.launch()
    engine = _dbos._get_dbos_instance()._sys_db.engine  # noqa: SLF001 (there is no public way to see its settings)
    with engine.connect() as connection:
        if url is not None:
            names = ("server_version", "synchronous_commit", "fsync")
            settings = {name: connection.execute(sa.text(f"SHOW {name}")).scalar() for name in names}
            return {"dbos": importlib.metadata.version("dbos"), **settings}
        return {
            "dbos": importlib.metadata.version("dbos"),
            "sqlite": sqlite3.sqlite_version,
            "journal_mode": connection.execute(sa.text("PRAGMA journal_mode")).scalar(),
            "synchronous": connection.execute(sa.text("PRAGMA synchronous")).scalar(),
        }


def many(runs: int, steps: int, size: int) -> None:
    """`runs` workflows at once."""
    handles = [DBOS.start_workflow(run, steps, size) for _ in range(runs)]
    for handle in handles:
        handle.get_result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["step", "concurrent"])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--journal", choices=["wal", "delete"], default="wal")
    parser.add_argument("--executor", default="w0")
    parser.add_argument("--url", help="of a PostgreSQL database, instead of a file in --dir")
    args = parser.parse_args()
    facts = launch(args.dir, args.executor, args.journal, args.url)
    print("ready", flush=True)
    for _ in sys.stdin:
        if args.work == "step":
            answer = {"step_ms": run(args.steps, args.size) / args.steps * 1000, **facts}
        else:
            start = time.monotonic()
            many(args.runs, args.steps, args.size)
            answer = {"start": start, "end": time.monotonic(), "steps": args.runs * args.steps, **facts}
        print(json.dumps(answer), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
