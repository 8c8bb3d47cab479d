"""The floor: bare SQLite commits, one row of so many bytes each, with nothing around them.

WAL, ``synchronous=FULL``, autocommit: each is durable when it returns. It is what Outlast's step is compared with.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import apsw

from benchmarks.probe import serve


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    args = parser.parse_args()
    connection = apsw.Connection(str(args.dir / "commit.sqlite"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE record (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")

    def measure(size: str) -> dict[str, object]:
        bodies = [(b"%08d" % number).ljust(int(size), b"x") for number in range(args.steps)]
        start = time.perf_counter()
        for body in bodies:
            connection.execute("INSERT INTO record (body) VALUES (?)", (body,))
        taken = time.perf_counter() - start
        (mode,), (synchronous,) = (
            connection.execute(f"PRAGMA {name}").fetchone() or ("",) for name in ("journal_mode", "synchronous")
        )
        return {"commit_ms": taken / args.steps * 1000, "journal_mode": mode, "synchronous": synchronous}

    serve(measure)


if __name__ == "__main__":
    main()
