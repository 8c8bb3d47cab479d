"""``python -m outlast.drill.failover``: kill primaries, and say what was lost.

Twice: with a synchronous standby, where nothing may be, and with asynchronous ones, where every loss must be reported.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.output import print_whole
from outlast.adapters.host.randomness import OsRandomness
from outlast.drill.evidence import append, stamped
from outlast.drill.failover.cluster import Mode
from outlast.drill.failover.experiment import Experiment
from outlast.drill.failover.report import Report, evidence_of
from outlast.kernel.error import OutlastError

MODES: Sequence[Mode] = ("sync", "async")


def arguments() -> argparse.Namespace:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog="python -m outlast.drill.failover", description=__doc__)
    parser.add_argument("-n", "--kills", type=int, default=20, help="primaries killed in each mode (default 20)")
    parser.add_argument("--mode", choices=MODES, action="append", help="only this one (default: both, one by one)")
    parser.add_argument("--seed", type=int, help="moments of the kills and what the load does (default: by chance)")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="add what the last mode showed of a journal")
    parser.add_argument("--system", default="", help="the system whose journal stands like that (default: any)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args()


def say(line: str) -> None:
    """Progress, for the one who waits."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def table(report: Report) -> str:
    """A report for people."""
    judged = report.judgement
    effects = f"{judged.effects_done} of {judged.effects_due}, {judged.effects_doubled}"
    lines = [
        f"{report.mode}: {report.verdict} (seed {report.seed}, {report.elapsed_s:g} s)",
        f"  primaries killed                      {report.kills}",
        f"  appends acknowledged                  {judged.records_acknowledged} ({judged.events_acknowledged} events)",
        f"  of these lost                         {report.records_lost} ({report.events_lost} events)",
        f"  reported lost by the engine           {report.losses_reported} events",
        f"  of these never acknowledged, and resent {report.losses_unanswered} events",
        f"  lost, unreported; reported, not lost  {report.losses_unreported}; {report.losses_invented}",
        f"  runs completed                        {judged.runs_completed} of {judged.runs}",
        f"  runs held for what they had lost      {report.runs_held}",
        f"  effects done, and doubled             {effects}",
        f"  calls judged, of unknown outcome      {judged.calls}, {judged.calls_unknown}",
        f"  streams not linearizable              {judged.streams_not_linearizable} of {judged.streams}",
        f"  old primaries refused                 {report.refused} of {report.refusals_due}",
        f"  kill to noticed, promoted (p50)       {report.noticed_s_p50} s, {report.promoted_s_p50} s",
        f"  kill to first new acknowledged append {report.acknowledged_s_p50} s p50, {report.acknowledged_s_p99} s p99",
    ]
    return "\n".join(lines + [f"  FOUND {finding}" for finding in report.findings])


def main() -> int:
    """0: all passed; 1: not; 2: the drill could not go on."""
    print_whole()
    args = arguments()
    seed = int.from_bytes(OsRandomness().token(3), "big") if args.seed is None else int(args.seed)
    reports: dict[str, Report] = {}
    try:
        for mode in args.mode or MODES:
            say(f"{mode}: {args.kills} kills, --seed {seed}")
            reports[mode] = asyncio.run(Experiment(mode, args.kills, seed, say).run())
    except OutlastError as error:
        say(f"{error.code}: {error}")
        return 2
    if args.evidence is not None and reports:
        shown = [evidence_of(report, SystemClock().now()) for report in list(reports.values())[-1:]]
        append(args.evidence, stamped(shown, args.system, Path.cwd()))
    if args.json:
        sys.stdout.buffer.write(msgspec.json.encode(reports) + b"\n")
    else:
        sys.stdout.write("\n\n".join(map(table, reports.values())) + "\n")
    return 0 if all(report.verdict == "passed" for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
