"""``outlast backup``: take, list, verify and prune backups of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home, Json, context_settings

if TYPE_CHECKING:
    from pathlib import Path

    from outlast.recover.catalog import Catalog
    from outlast.recover.manifest import Manifest

backup_app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=context_settings,
)

Place = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="PLACE",
        show_default=False,
        help="A directory, or s3://bucket/prefix. Default: backup: {journal: {places: {home: …}}} of outlast.yaml.",
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="PLACE",
        show_default=False,
        help="Where backups lie. Default: backup: {journal: {places: {home: …}}} of outlast.yaml.",
    ),
]


@backup_app.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    place: Place = None,
    full: Annotated[
        bool, typer.Option("--full", help="Copy everything, and not only what came since the last one.")
    ] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Back up the journal now; list, verify and prune backups.

    Without a command it takes one: what came since the newest backup, or everything where there is none. It runs beside
    `outlast up`. A backup that was killed goes on with the next. Nothing that lies there is ever overwritten.

    For example:

        outlast backup --to /mnt/backups/desk
        outlast backup --to "s3://my-backups/desk?region=eu-central-1" --full
        outlast backup verify --from /mnt/backups/desk
    """
    if context.invoked_subcommand is not None:
        return
    import asyncio

    from outlast.blueprint.load import load
    from outlast.bootstrap.backing import back_up, place_named
    from outlast.bootstrap.depot import open_depot
    from outlast.cli.home import project
    from outlast.cli.output import note, plain, print_json
    from outlast.recover.backup import Progress

    directory = project(home)
    blueprint = load(directory)

    def progress(done: Progress) -> None:
        note(f"{done.segments} segments, {done.records} records …")

    async def take() -> Manifest:
        async with open_depot(place_named(blueprint, place), directory) as depot:
            return await back_up(directory, blueprint, depot, full=full, progress=progress)

    taken = asyncio.run(take())
    if json:
        print_json(_shown(taken))
        return
    if taken.forked:
        note(f"a new series begins, because the journal has another history than the newest backup: {taken.forked}")
    print(plain(_line(taken)))


@backup_app.command("list")
def list_(place: Where = None, home: Home = None, json: Json = False) -> None:
    """List the backups that are complete, oldest first.

    For example:

        outlast backup list --json | jq '.backups[-1]'
    """
    import asyncio

    from outlast.cli.output import note, plain, print_json

    catalog = asyncio.run(_catalog(place, home))
    if json:
        broken = [{"name": one.name, "why": one.why} for one in catalog.broken]
        print_json({"backups": [_shown(one) for one in catalog.backups], "broken": broken})
    else:
        for one in sorted(catalog.backups, key=lambda one: one.begun_at):
            print(plain(_line(one)))
        if not catalog.backups:
            print("no backup is there")
        for broken in catalog.broken:
            note(f"not a backup: {broken.name}: {broken.why}")


@backup_app.command()
def verify(
    backups: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERIES/NUMBER]...", show_default=False, help="Only these, and what they stand on."),
    ] = None,
    place: Where = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Read every object of every backup and say whether it is what was written. Exit code 1 if it is not.

    Checks manifests, checksums, the hash chain of every stream, and that nothing is missing. No key is needed.

    For example:

        outlast backup verify --from /mnt/backups/desk
    """
    import asyncio

    import msgspec

    from outlast.bootstrap.depot import open_depot
    from outlast.cli.output import note, plain, print_json
    from outlast.recover.check import Check, Checked

    def progress(checked: Checked) -> None:
        note(f"{checked.backups} backups, {checked.segments} segments …")

    async def look() -> Checked:
        named, directory = _place(place, home)
        async with open_depot(named, directory) as depot:
            return await Check(depot, progress).run(backups or ())

    checked = asyncio.run(look())
    if json:
        print_json({"whole": checked.whole, **msgspec.to_builtins(checked)})
    else:
        for flaw in checked.flaws:
            print(plain(f"{'FLAW' if flaw.grave else 'note'}  {flaw.damage}: {flaw.subject}: {flaw.message}"))
        verdict = "whole" if checked.whole else "NOT what was written"
        print(
            f"{verdict}: {checked.backups} backups, {checked.segments} segments, {checked.records} records, "
            f"{checked.events} events, {checked.blobs} blobs"
        )
    if not checked.whole:
        raise typer.Exit(ExitCode.FAILED)


@backup_app.command("test")
def try_(place: Where = None, home: Home = None, json: Json = False) -> None:
    """Restore the newest backup into a temporary store, verify it, and note how long that took.

    Exit code 1 if it cannot be restored, or is not what was written. The result is kept beside the backups, and in
    .outlast/evidence.jsonl, which `outlast assess` reads.

    For example:

        outlast backup test
    """
    import asyncio

    import msgspec

    from outlast.blueprint.load import load
    from outlast.bootstrap.backing import place_named
    from outlast.bootstrap.depot import open_depot
    from outlast.bootstrap.trial import try_restore
    from outlast.cli.home import project
    from outlast.cli.output import plain, print_json
    from outlast.recover.trial import Trial

    directory = project(home)
    blueprint = load(directory)

    async def do() -> Trial:
        async with open_depot(place_named(blueprint, place), directory) as depot:
            return await try_restore(directory, blueprint, depot)

    trial = asyncio.run(do())
    if json:
        print_json(msgspec.to_builtins(trial))
    elif trial.passed:
        print(
            plain(
                f"{trial.backup} was restored and verified in {trial.took_s:.1f} s: {trial.streams} streams, "
                f"{trial.events} events; it was {trial.age_s:.0f} s old"
            )
        )
    else:
        print(plain(f"{trial.backup} could NOT be restored: {trial.why}"))
    if not trial.passed:
        raise typer.Exit(ExitCode.FAILED)


@backup_app.command()
def prune(
    place: Where = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep", metavar="35d", show_default=False, help="Default: keep, else point_in_time of outlast.yaml, 35d."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this, it only says what it would do.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Remove backups that are older than asked for: never the newest, one that is locked, or one that others stand on.

    For example:

        outlast backup prune --keep 35d
        outlast backup prune --keep 35d --yes
    """
    import asyncio

    import msgspec

    from outlast.adapters.host.clock import SystemClock
    from outlast.blueprint.load import load
    from outlast.bootstrap.backing import keep_seconds
    from outlast.bootstrap.depot import open_depot
    from outlast.cli.output import plain, print_json
    from outlast.kernel.unit import seconds
    from outlast.recover.prune import Pruned
    from outlast.recover.prune import prune as remove

    async def do() -> Pruned:
        named, directory = _place(place, home)
        keep_s = seconds(keep) if keep is not None else keep_seconds(load(directory))
        async with open_depot(named, directory) as depot:
            return await remove(depot, SystemClock(), keep_s, dry_run=not yes)

    done = asyncio.run(do())
    if json:
        print_json(msgspec.to_builtins(done))
        return
    for id in done.backups:
        print(plain(f"{'removed' if yes else 'would remove'}  {id}"))
    for name in done.locked:
        print(plain(f"locked, stays  {name}"))
    what = f"{len(done.backups)} backups, {done.objects} objects, {done.blobs} blobs"
    print(f"{'removed' if yes else 'would remove'} {what}; {done.kept} backups stay" + ("" if yes else "; add --yes"))


async def _catalog(place: str | None, home: Path | None) -> Catalog:
    from outlast.bootstrap.depot import open_depot
    from outlast.recover.catalog import Catalog

    named, directory = _place(place, home)
    async with open_depot(named, directory) as depot:
        return await Catalog.read(depot)


def _place(place: str | None, home: Path | None) -> tuple[str, Path]:
    """Where backups lie, and what a relative path begins at: no project is needed where a place is given."""
    from pathlib import Path

    from outlast.blueprint.load import load
    from outlast.bootstrap.backing import place_named
    from outlast.cli.home import project
    from outlast.kernel.error import ConfigurationError

    try:
        directory = project(home)
    except ConfigurationError:
        if home is not None or place is None:
            raise
        return place, Path.cwd()
    return place_named(load(directory), place), directory


def _shown(one: Manifest) -> dict[str, Any]:
    import msgspec

    return {"id": one.id, **msgspec.to_builtins(one), "segments": len(one.segments)}


def _line(one: Manifest) -> str:
    from outlast.recover.choice import instant_text

    locked = f", locked until {instant_text(one.locked_until)}" if one.locked_until else ""
    return (
        f"{one.id}  {one.kind:9}  up to {instant_text(one.begun_at)}  {one.events} events in {one.records} records, "
        f"{one.bytes / 1e6:.1f} MB, {one.blobs} blobs, {one.streams} of {one.streams_in_all} streams, "
        f"{one.ended_at - one.begun_at:.1f} s{locked}"
    )
