"""``outlast demo``: shows it, then says in one table whether anything was lost, doubled or missing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Json
from outlast.cli.output import console, note, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from outlast.drill.demo import Status, Told
    from outlast.drill.fault import Harm
    from outlast.drill.report import Report

_FAULTS: dict[str, str] = {
    "crash_point": "SIGKILL between effect and record",
    "after_booking": "SIGKILL right after a booking",
    "busy_worker": "SIGKILL of a busy worker",
    "freeze": "SIGSTOP of a worker, woken later",
    "writer": "SIGKILL of the writing process",
    "supervisor": "SIGKILL of the supervisor",
}


def demo(
    tickets: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, show_default=False, metavar="N", help="Tickets. Default: all of the example."),
    ] = None,
    kills: Annotated[int, typer.Option(min=0, max=1000, metavar="N", help="Workers that are killed.")] = 9,
    seed: Annotated[
        int | None,
        typer.Option(min=0, show_default=False, metavar="N", help="Order of tickets and faults. Default: by chance."),
    ] = None,
    model: Annotated[
        Literal["real", "scripted"] | None,
        typer.Option(show_default=False, help="What writes the replies. Default: real where it is installed."),
    ] = None,
    fault: Annotated[
        bool, typer.Option("--fault/--no-fault", help="Kill, freeze and restart things meanwhile.")
    ] = True,
    home: Annotated[
        Path | None,
        typer.Option(
            show_default=False, metavar="DIR", help="Empty directory to work in, and kept. Default: a temporary one."
        ),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence", show_default=False, metavar="FILE", help="Add what was shown, for `outlast assess`."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Crash everything while agents work, and count what was lost: nothing.

    Starts the support desk of the examples with two workers and a spare, gives it tickets, and meanwhile kills workers
    (some between a refund and its record), freezes one and lets it come back, kills the journal's writer and the
    supervisor. A ledger outside the system says what really happened.

    Exit code 0 only if no run was lost, no refund doubled or missing, and at least one refund was in doubt and verified
    (not asked of --no-fault).
    """
    from outlast.adapters.host.clock import SystemClock
    from outlast.adapters.host.randomness import OsRandomness
    from outlast.drill.demo import Options, run_demo

    options = Options(tickets=tickets, kills=kills, seed=seed, model=model, faults=fault, home=home)
    with _progress(quiet=json) as told:
        report = asyncio.run(run_demo(options, SystemClock(), OsRandomness(), told))
    if evidence is not None:
        from outlast.cli.evidence import keep
        from outlast.drill.report import evidence_of

        keep([evidence_of(report, SystemClock().now())], "support-desk", evidence, None)
    if json:
        import msgspec

        print_json(msgspec.to_builtins(report))
    else:
        console().print(_verdict(report))
    if report.verdict != "passed":
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _progress(quiet: bool) -> Generator[Told]:
    """Live on a terminal; else a line on standard error for each new phase and each fault."""
    if sys.stderr.isatty() and not quiet:
        from rich.live import Live

        with Live(console=console(stderr=True), transient=True, refresh_per_second=8) as live:
            yield lambda status: live.update(_picture(status))
        return
    said: set[str] = set()

    def say(status: Status) -> None:
        for line in (*map(_told_harm, status.faults), f"{status.phase} (seed {status.seed})"):
            if line not in said:
                said.add(line)
                note(line)

    yield say


def _picture(status: Status) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Text(f"{status.phase} · seed {status.seed}")
    if not status.total:
        return head
    bars = Table.grid(padding=(0, 2))
    for name, count in (("submitted", status.submitted), ("ended", status.ended)):
        bars.add_row(f"tickets {name}", ProgressBar(status.total, count, width=40), f"{count} of {status.total}")
    bars.add_row("workers alive", str(status.workers), status.model)
    struck = [Text(_told_harm(harm), style="red" if harm.bitten else "dim") for harm in status.faults]
    now = [Text(f"… {_FAULTS[status.striking]}", style="yellow")] if status.striking else []
    return Group(head, bars, *struck, *now)


def _told_harm(harm: Harm) -> str:
    who = f" {harm.worker}" if harm.worker else ""
    pid = f" (pid {harm.pid})" if harm.pid else ""
    return f"{_FAULTS[harm.kind]}:{who}{pid}{'' if harm.bitten else ' did not bite: ' + harm.note}"


def _verdict(report: Report) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in _rows(report):
        table.add_row(name, value)
    style = {"passed": "bold green", "failed": "bold red", "invalid": "bold yellow"}[report.verdict]
    lines = [Text(finding, style="red") for finding in report.findings[:20]]
    if len(report.findings) > 20:
        lines.append(Text(f"and {len(report.findings) - 20} more: --json lists them", style="red"))
    if report.home:
        lines.append(Text(f"kept for a look: {report.home}"))
    return Group(table, Text(f"\nverdict: {report.verdict}", style=style), *lines)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    yield "runs", f"{report.runs_completed} of {report.runs_total} completed, {report.runs_lost} lost"
    wrong = (
        f"{report.effects_duplicated} doubled, {report.effects_missing} missing, {report.effects_unexpected} not due"
    )
    yield "refunds", f"{report.effects_done} of {report.effects_expected} in the ledger, {wrong}"
    yield "in doubt, then verified", str(report.in_doubt_verified)
    yield "workers killed", str(report.workers_killed)
    yield "workers frozen", f"{report.workers_frozen}, {report.zombies_returned} came back as zombies"
    yield "writers killed", str(report.writers_killed)
    yield "supervisor restarts", str(report.supervisor_restarts)
    yield "kill to next claim", _spread(report.takeover_s_p50, report.takeover_s_p99)
    yield "kill to next step", _spread(report.recovery_s_p50, report.recovery_s_p99)
    yield "journal", "whole: every hash, head and blob is what was written" if report.journal_whole else "NOT whole"
    yield "labels right", f"{report.labels_right} of {report.runs_total}, by {report.labelled_by or 'nobody'}"
    yield "replies by", report.model if report.model_kind == "real" else "the scripted model: no model wrote them"
    yield "steps, time, seed", f"{report.steps}, {report.elapsed_s:g} s, {report.seed}"


def _spread(p50: float | None, p99: float | None) -> str:
    return "nothing to measure" if p50 is None else f"p50 {p50:g} s, p99 {p99:g} s"
