"""``outlast migrate``: move the journal to another engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home, Json

if TYPE_CHECKING:
    from outlast.journal.copy import Copied

_progress_every = 100


def migrate(
    source: Annotated[str, typer.Option("--from", metavar="ENGINE", help="sqlite, postgres or dynamodb.")],
    target: Annotated[str, typer.Option("--to", metavar="ENGINE", help="sqlite, postgres or dynamodb.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Copy the whole journal, with its blobs, from one engine to another, and verify the copy.

    Nothing may run on either of them meanwhile. Chains are verified as they are read, keys and hashes stay what they
    are, how far events were published goes along, and the source stays as it is. A copy that broke off goes on where it
    was. Afterwards set `run_on: {local: {journal: ENGINE}}` in outlast.yaml; app.py does not change.

    For example:

        outlast migrate --from sqlite --to postgres
    """
    import asyncio

    import msgspec

    from outlast.blueprint.load import load
    from outlast.bootstrap.engine import EngineName
    from outlast.bootstrap.migrating import migrate as copy
    from outlast.cli.home import project
    from outlast.cli.output import note, plain, print_json
    from outlast.kernel.error import UsageError

    names: list[EngineName] = []
    for option, name in (("--from", source), ("--to", target)):
        if name not in ("sqlite", "postgres", "dynamodb"):
            raise UsageError(f"{option} {name[:32]!r} is not an engine: expected sqlite, postgres or dynamodb")
        names.append(name)

    def progress(copied: Copied) -> None:
        if copied.streams % _progress_every == 0:
            note(f"{copied.streams} streams, {copied.records} records …")

    directory = project(home)
    done = asyncio.run(copy(directory, load(directory), names[0], names[1], progress))
    if json:
        print_json({"whole": done.report.whole, **msgspec.to_builtins(done)})
    else:
        for flaw in done.report.flaws:
            print(plain(f"{'FLAW' if flaw.grave else 'note'}  {flaw.damage}: {flaw.subject}: {flaw.message}"))
        found, copied = done.report, done.copied
        print(
            f"{copied.records} records and {copied.blobs} blobs copied, {copied.there} records were there; "
            f"{target} now holds {found.streams} streams, {found.records} records: "
            + ("whole" if found.whole else "NOT what was written")
        )
        if found.whole:
            note(f"set run_on: {{local: {{journal: {target}}}}} in outlast.yaml; what {source} holds was left as it is")
    if not done.report.whole:
        raise typer.Exit(ExitCode.FAILED)
