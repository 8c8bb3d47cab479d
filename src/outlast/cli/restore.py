"""``outlast restore``: the journal as it was at an instant, into an empty store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Json

if TYPE_CHECKING:
    from outlast.bootstrap.restoring import Outcome
    from outlast.journal.copy import Copied

_progress_every = 1000


def restore(
    source: Annotated[
        str, typer.Option("--from", metavar="PLACE", show_default=False, help="A directory, or s3://bucket/prefix.")
    ],
    target: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="DIR",
            show_default=False,
            help="A project directory; its outlast.yaml says which engine is restored into. SQLite without one.",
        ),
    ],
    at: Annotated[
        str, typer.Option("--at", metavar="INSTANT", help="A time such as 2026-11-26T10:00:00Z, or latest.")
    ] = "latest",
    backup: Annotated[
        str, typer.Option("--backup", metavar="SERIES/NUMBER", show_default=False, help="Not the newest that fits.")
    ] = "",
    nothing_later: Annotated[
        bool,
        typer.Option(
            "--nothing-later",
            help="The old cell is gone and did nothing after the newest backup: runs go on and are not held.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Restore the journal from a backup, as it was at an instant, into an empty store.

    Chains are verified as they are read, and the whole store afterwards. One that breaks off goes on when it is done
    again; until then nothing runs there. What a run did after the instant is not known to the store: so runs that had
    not ended are held, and driven on (`outlast redrive`) each of their `once` steps is verified, or asked about, before
    it is done. Two cells must never go on from one history: stop the old one for good first.

    For example:

        outlast restore --from /mnt/backups/desk --at 2026-11-26T10:00:00Z --to desk-restored
        outlast restore --from /mnt/backups/desk --to desk-restored --nothing-later
    """
    import asyncio

    from outlast.bootstrap.depot import open_depot
    from outlast.bootstrap.restoring import restore as write
    from outlast.cli.output import note
    from outlast.recover.choice import parse_instant

    instant = parse_instant(at)

    def progress(copied: Copied) -> None:
        if copied.streams % _progress_every == 0:
            note(f"{copied.streams} streams, {copied.records} records …")

    async def do() -> Outcome:
        async with open_depot(source, Path.cwd()) as depot:
            return await write(
                depot, target.absolute(), instant, backup=backup, nothing_later=nothing_later, progress=progress
            )

    done = asyncio.run(do())
    _say(done, target, json)
    if not done.restored.report.whole:
        raise typer.Exit(ExitCode.FAILED)


def _say(done: Outcome, target: Path, json: bool) -> None:
    import msgspec

    from outlast.cli.output import note, plain, print_json
    from outlast.recover.choice import instant_text

    report, told, copied = done.restored.report, done.restored.told, done.restored.copied
    if json:
        shown: dict[str, Any] = msgspec.to_builtins(done)
        print_json({"whole": report.whole, **shown})
        return
    for flaw in report.flaws:
        print(plain(f"{'FLAW' if flaw.grave else 'note'}  {flaw.damage}: {flaw.subject}: {flaw.message}"))
    instant = instant_text(done.begun_at if done.at is None else done.at)
    there = f", {copied.there} were there" if copied.there else ""
    print(
        plain(
            f"restored {done.backup} as of {instant} into {target}: {report.streams} streams, {report.events} events, "
            f"{report.blobs} blobs in {done.took_s:.1f} s{there}: "
            + ("whole" if report.whole else "NOT what was written")
        )
    )
    if told.held:
        note(
            f"{len(told.held)} runs are held when they are claimed, because they may have gone on after that instant "
            f"({len(told.unborn)} of them began later): `outlast runs --state held`, then `outlast redrive` or `cancel`"
        )
    for agent in told.stopped:
        note(f"agent {agent} is stopped, because its switch was used later: look, then `outlast resume {agent}`")
    if done.configuration:
        note(f"the outlast.yaml of that time is in {done.configuration}")
