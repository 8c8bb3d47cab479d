"""`make bench`: one run of everything, one report."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import concurrent, crowd, disk, floor, recovery, resume, start, step, storage
from benchmarks.bench import ROOT, Bench
from benchmarks.figure import Section
from benchmarks.machine import describe
from benchmarks.report import json_object, table

SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "floor": floor.measure,
    "step": step.measure,
    "disk": disk.measure,
    "crowd": crowd.measure,
    "concurrent": concurrent.measure,
    "recovery": recovery.measure,
    "resume": resume.measure,
    "storage": storage.measure,
    "start": start.measure,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output instead of the table")
    parser.add_argument("--trials", type=int, default=9, help="trials of each figure, interleaved (default 9, least 7)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work in each of 7 trials, for CI")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this section; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="leave DBOS and LangGraph out")
    place = ROOT / "build" / "bench"
    parser.add_argument("--dir", type=Path, default=place, help="where to write; its file system is what is measured")
    parser.add_argument("--command", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    peers = ROOT / ".venv-peers" / "bin" / "python"
    if not args.no_peers and not peers.exists():
        print("no .venv-peers: run `make peers` first, or leave the peers out with --no-peers", file=sys.stderr)
        return 2
    args.dir.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=args.dir.resolve()))
    command = args.command or shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    facts = describe(directory, ROOT, command)
    bench = Bench(
        directory,
        trials=7 if args.quick else max(7, args.trials),
        scale=0.2 if args.quick else 1.0,
        peers=None if args.no_peers else peers,
    )
    sections: list[Section] = []
    try:
        for name in args.only or SECTIONS:
            bench.say(f"measuring: {name}")
            sections.append(SECTIONS[name](bench))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json_object(facts, sections) if args.json else table(facts, sections))
    return 0


if __name__ == "__main__":
    sys.exit(main())
