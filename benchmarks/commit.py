"""The floor: bare SQLite commits, one row of so many bytes each, with nothing around them.

WAL, ``synchronous=FULL``, autocommit: each is durable when it returns. It is what Outlast's step is compared with.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import apsw

from benchmarks.probe import serve
from outlast.adapters.sqlite.schema import STATEMENTS

TABLES = {
    "bare": (
        ["CREATE TABLE record (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT"],
        "INSERT INTO record (number, body) VALUES (?, ?)",
    ),
    "journal": (
        [statement for statement in STATEMENTS if " record " in statement],
        "INSERT INTO record (stream, seq, count, body, hash) VALUES (1, ?, 1, ?, zeroblob(32))",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--table", choices=TABLES, default="bare")
    parser.add_argument("--pause-us", type=float, default=0.0, help="computed for so long before each commit, untimed")
    args = parser.parse_args()
    connection = apsw.Connection(str(args.dir / "commit.sqlite"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    create, insert = TABLES[args.table]
    for statement in create:
        connection.execute(statement)
    pause = args.pause_us / 1e6
    numbers = itertools.count(1)

    def measure(size: str) -> dict[str, object]:
        bodies = [(b"%08d" % number).ljust(int(size), b"x") for number in range(args.steps)]
        taken = 0.0
        for body in bodies:
            start = time.perf_counter()
            while time.perf_counter() < start + pause:
                pass
            start = time.perf_counter()
            connection.execute(insert, (next(numbers), body))
            taken += time.perf_counter() - start
        (mode,), (synchronous,) = (
            connection.execute(f"PRAGMA {name}").fetchone() or ("",) for name in ("journal_mode", "synchronous")
        )
        return {"commit_ms": taken / args.steps * 1000, "journal_mode": mode, "synchronous": synchronous}

    serve(measure)


if __name__ == "__main__":
    main()
