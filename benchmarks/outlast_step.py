"""Measures Outlast: one run, step after step, in-process or through a writing process."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import uvloop

from benchmarks.probe import reply
from benchmarks.runtime import opened


def record_bytes(path: Path) -> float:
    """The usual size of a record that holds one step, in bytes."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as database:
        sizes = [str(size) for (size,) in database.execute("SELECT length(body) FROM record ORDER BY length(body)")]
    return float(sizes[len(sizes) // 2])


def settings(path: Path) -> dict[str, Any]:
    """How durable the file is kept, as a new connection sees it."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as database:
        return {"journal_mode": database.pragma("journal_mode")}


def storage_bytes(directory: Path) -> int:
    """All that a closed journal takes: the database with its log folded in, and every file beside it."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and path.suffix != ".log")


async def serve(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    answer: dict[str, Any] = {}
    request = ""
    async with opened(args.dir, args.mode) as runtime:
        print("ready", flush=True)
        while request := await loop.run_in_executor(None, sys.stdin.readline):
            # The agent times itself: looking often whether it is done would only disturb it.
            taken = await runtime.complete("steps", {"steps": args.steps, "size": args.size}, look_s=0.02)
            path = args.dir / "journal.sqlite"
            answer = {"step_ms": taken / args.steps * 1000, "record_bytes": record_bytes(path), **settings(path)}
            if request.strip() == "storage":
                break
            reply(answer)
    if request.strip() == "storage":
        reply({**answer, "storage_bytes": storage_bytes(args.dir)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--mode", choices=["direct", "writer"], required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
