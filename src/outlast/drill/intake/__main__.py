"""``python -m outlast.drill.intake``: take each dependency of the document intake away, and say what became of it."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.output import print_whole
from outlast.drill.evidence import append, stamped
from outlast.drill.intake.experiment import Experiment, during
from outlast.drill.intake.outage import outages
from outlast.drill.intake.report import Report, evidence_of
from outlast.kernel.error import OutlastError

_columns = ("away", "documents", "affected", "degraded", "waited", "longest", "lost", "doubled", "caught up", "whole")


def arguments() -> argparse.Namespace:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog="python -m outlast.drill.intake", description=__doc__)
    names = [outage.name for outage in outages]
    parser.add_argument("--only", choices=names, action="append", help="only this outage (default: each in turn)")
    parser.add_argument("--documents", type=int, default=during, help=f"sent while one is away (default {during})")
    parser.add_argument("--keep", action="store_true", help="keep the directory, also when it passes")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="add what was shown, for `outlast assess`")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args()


def say(line: str) -> None:
    """Progress, for the one who waits."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def table(report: Report) -> str:
    """A report for people."""
    rows = [
        (
            row.name + ("" if row.bitten else " (did not bite)"),
            *map(str, (row.documents, row.affected, row.degraded, row.waited)),
            f"{row.waited_s_max:g} s",
            *map(str, (row.lost, row.doubled)),
            "never" if row.caught_up_s is None else f"{row.caught_up_s:g} s",
            "never" if row.whole_s is None else f"{row.whole_s:g} s",
        )
        for row in report.rows
    ]
    widths = [max(len(row[column]) for row in [_columns, *rows]) for column in range(len(_columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in [_columns, *rows]]
    agreeing = sum(row.agrees for row in report.rows)
    lines += [
        "",
        f"{report.completed} of {report.documents} documents ended, {report.lost} lost",
        f"{report.filed} filed, {report.doubled} doubled, {report.missing} missing",
        f"{report.degraded} degraded, {report.marks_wrong} marked wrongly",
        f"{report.in_doubt_verified} filings in doubt, then verified",
        f"journal {'whole' if report.journal_whole else 'NOT whole'}",
        f"predicted as observed: {agreeing} of {len(report.rows)}",
        f"verdict: {report.verdict} ({report.elapsed_s:g} s)",
    ]
    kept = [f"kept for a look: {report.home}"] if report.home else []
    return "\n".join([*lines, *(f"FOUND {finding}" for finding in report.findings), *kept])


async def drill(args: argparse.Namespace) -> Report:
    """The report; its directory stays where something is to be seen in it."""
    chosen = [outage for outage in outages if not args.only or outage.name in args.only]
    home = Path(tempfile.mkdtemp(prefix="outlast-intake-"))
    keep = True
    try:
        report = await Experiment(home, chosen, SystemClock(), say, args.documents).run()
        keep = args.keep or report.verdict != "passed"
    finally:
        if not keep:
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
    return report if keep else msgspec.structs.replace(report, home="")


def main() -> int:
    """0: passed; 1: not; 2: the drill could not go on."""
    print_whole()
    args = arguments()
    try:
        report = asyncio.run(drill(args))
    except OutlastError as error:
        say(f"{error.code}: {error}")
        return 2
    if args.evidence is not None:
        results = evidence_of(report, SystemClock().now())
        append(args.evidence, stamped(results, "document-intake", Path(__file__).parent))
    if args.json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        sys.stdout.write(table(report) + "\n")
    return 0 if report.verdict == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
