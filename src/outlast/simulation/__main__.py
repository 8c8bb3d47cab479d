"""``python -m outlast.simulation``: many seeds, one seed with its trace, a schedule shrunk, or the mutants."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from outlast.adapters.host.output import print_whole
from outlast.kernel.error import OutlastError, UsageError
from outlast.simulation import hunt, sample
from outlast.simulation.catalog import match, read_faults, read_workload
from outlast.simulation.child import Case, simulate
from outlast.simulation.coverage import Coverage
from outlast.simulation.mutant import MUTANTS, find
from outlast.simulation.result import Result
from outlast.simulation.shrink import Schedule, shrink
from outlast.simulation.story import replay_command, tell

seeds_default = 100
progress_every_s = 10.0
"""How often a line of progress goes to standard error where that is no terminal, in seconds."""
_told_max = 5  # failing seeds whose story is printed


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 clean, 1 a rule was violated (or a mutant not caught), 2 usage."""
    if arguments is None:
        print_whole()
    asked = _parser().parse_args(arguments)
    code = 2
    try:
        return _do(asked)
    except* OutlastError as group:  # of the lanes' task group, or alone
        for error in group.exceptions:
            _say(f"error: {error}\n", sys.stderr)
            code = 1 if isinstance(error, sample.ChildDied) else code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m outlast.simulation", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, metavar="N", help="how many seeds (default: 100; with --mutants at most 300)")
    add("--start", type=int, default=1, metavar="S", help="the first one (default: %(default)s)")
    add("--workload", metavar="W", help="a name, or a .json file; default: each seed picks one")
    add("--faults", metavar="F", help="a name, or a .json file; default: each seed picks them")
    add("--jobs", type=int, default=1, metavar="J", help="processes (default: %(default)s)")
    add("--json", action="store_true", help="figures as JSON on standard output")
    add("--check-determinism", action="store_true", help="every seed in two processes with other hash seeds")
    add("--coverage", action="store_true", help="which crash points were reached, which faults bit")
    add("--seed", type=int, metavar="S", help="one seed, in this process")
    add("--trace", action="store_true", help="with --seed or --schedule: everything that happened")
    add("--shrink", action="store_true", help="with --seed: the smallest schedule that still fails, as JSON")
    add("--tries", type=int, default=400, metavar="N", help="simulations that --shrink may use (default: %(default)s)")
    add("--schedule", type=Path, metavar="FILE", help="run what --shrink printed")
    add("--mutants", action="store_true", help="which deliberate bugs are caught, and how soon")
    add("--anywhere", action="store_true", help="with --mutants: with the workload and faults that each seed picks")
    add("--mutant", metavar="NAME", help="run with this bug switched on; with --mutants: this one only")
    return parser


def _do(asked: argparse.Namespace) -> int:
    if asked.mutant:
        find(asked.mutant)
    if asked.workload is not None:
        read_workload(asked.workload)
    if asked.faults is not None:
        read_faults(asked.faults)
    if asked.workload is not None and asked.faults is not None:
        match(asked.workload, asked.faults)
    if min(asked.jobs, asked.tries, 1 if asked.seeds is None else asked.seeds) < 1:
        raise UsageError("--seeds, --jobs and --tries must be at least 1")
    if asked.mutants:
        return _mutants(asked)
    if asked.schedule is not None:
        return _schedule(asked)
    if asked.seed is not None:
        return _one(asked)
    return _many(asked)


def _many(asked: argparse.Namespace) -> int:
    told, count, progress = 0, asked.seeds or seeds_default, Progress(sys.stderr)

    def hear(case: Case, result: Result, totals: sample.Totals) -> None:
        nonlocal told
        if result.violations and told < _told_max:
            told += 1
            _say(f"\n{tell(case, result)}\n", sys.stderr)
        line = f"{totals.seeds}/{count} seeds, {totals.violations} violations, {totals.wall_s:.0f} s"
        progress.show(line, totals.wall_s)

    cases = sample.seeds(asked.start, count, asked.workload, asked.faults, mutant=asked.mutant or "")
    totals = asyncio.run(sample.run_cases(cases, asked.jobs, hear, twice=asked.check_determinism))
    progress.clear()
    figures = totals.figures()
    if asked.coverage:
        coverage = Coverage.of(totals)
        figures["coverage"] = msgspec.to_builtins(coverage)
        if not asked.json:
            _say(coverage.text() + "\n\n")
    if asked.json:
        _say(msgspec.json.encode(figures).decode() + "\n")
    else:
        _say("".join(f"{name:<24}{value}\n" for name, value in figures.items() if name != "coverage"))
    if totals.failing:
        first = min(totals.failing, key=lambda case: case.seed)
        _say(f"replay: {replay_command(first)}\n", sys.stderr)
    return 1 if totals.violations else 0


def _one(asked: argparse.Namespace) -> int:
    case = sample.pick(asked.seed, asked.workload, asked.faults, mutant=asked.mutant or "")
    if asked.shrink:
        return _shrink(case, asked)
    return _show(msgspec.structs.replace(case, trace=asked.trace), asked)


def _schedule(asked: argparse.Namespace) -> int:
    try:
        schedule = msgspec.json.decode(asked.schedule.read_bytes(), type=Schedule)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"schedule {asked.schedule} cannot be read: {error}") from None
    return _show(msgspec.structs.replace(schedule.case(), trace=asked.trace), asked)


def _show(case: Case, asked: argparse.Namespace) -> int:
    outcome = simulate(case)
    result = outcome.result
    if asked.json:
        fields = msgspec.to_builtins(result)
        if not asked.trace:
            del fields["trace"]
        _say(msgspec.json.encode(fields).decode() + "\n")
    else:
        if asked.trace:
            _say("".join(f"{line}\n" for line in result.trace))
        if result.violations:
            shown = msgspec.structs.replace(result, trace=[]) if asked.trace else result
            _say(tell(case, shown) + "\n", sys.stderr)
        _say(
            f"{sample.name_of(case)}: {len(result.violations)} violations, {result.events} events, {result.crashes} "
            f"crashes, {result.virtual_s} virtual s, {outcome.cpu_s:.2f} CPU s, digest {result.digest[:16]}\n"
        )
    return 1 if result.violations else 0


def _shrink(case: Case, asked: argparse.Namespace) -> int:
    progress = Progress(sys.stderr)
    shrunk = shrink(case, asked.tries, progress.show)
    progress.clear()
    if shrunk is None:
        _say(f"{sample.name_of(case)} violates nothing: there is nothing to shrink\n", sys.stderr)
        return 0
    _say(msgspec.json.format(msgspec.json.encode(shrunk), indent=2).decode() + "\n")
    return 1


def _mutants(asked: argparse.Namespace) -> int:
    wanted = [find(asked.mutant)] if asked.mutant else list(MUTANTS.values())
    limit = asked.seeds or hunt.seeds_max

    def hear(caught: hunt.Caught) -> None:
        if not asked.json:
            how = f"{caught.seeds:>4} seeds  {caught.violation[:90]}" if caught.seeds else "NOT CAUGHT"
            _say(f"{caught.name:<26}{how}\n")
            sys.stdout.flush()

    run = hunt.hunt(wanted, asked.jobs, hear, start=asked.start, limit=limit, anywhere=asked.anywhere)
    figures = hunt.figures(asyncio.run(run))
    if asked.json:
        _say(msgspec.json.encode(figures).decode() + "\n")
    else:
        _say(f"mutants_total {figures['mutants_total']}, mutants_caught {figures['mutants_caught']}\n")
    return 0 if figures["mutants_total"] == figures["mutants_caught"] else 1


class Progress:
    """How far it is: one line that changes on a terminal, elsewhere a line now and then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s = progress_every_s

    def show(self, text: str, wall_s: float = 0.0) -> None:
        """Say it; `wall_s` is the time since the start, in seconds."""
        if self._stream.isatty():
            _say(f"\r\x1b[2K{text}", self._stream)
        elif wall_s >= self._next_s:
            self._next_s = wall_s + progress_every_s
            _say(f"{text}\n", self._stream)
            self._stream.flush()

    def clear(self) -> None:
        """Take the changing line away."""
        if self._stream.isatty():
            _say("\r\x1b[2K", self._stream)


def _say(text: str, stream: object = None) -> None:
    print(text, end="", file=stream if stream is not None else sys.stdout)  # type: ignore[arg-type] # one of the two


if __name__ == "__main__":
    sys.exit(main())
