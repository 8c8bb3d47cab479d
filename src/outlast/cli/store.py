"""``outlast store``: prepare a shared journal, say what rights it needs, what a failover lost and what was let go."""

from __future__ import annotations

from typing import Annotated

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home, Json, command_group

store_app = command_group("Prepare a journal that machines share; say what rights it needs, and what a failover lost.")


@store_app.command()
def prepare(home: Home = None, json: Json = False) -> None:
    """Make the tables (and on AWS the bucket) that the journal of outlast.yaml needs. Any number of times.

    Run it as an owner: workers need fewer rights, see `outlast store permissions`.

    For example:

        outlast store prepare
    """
    import asyncio

    from outlast.blueprint.load import load
    from outlast.bootstrap.preparing import prepare_store
    from outlast.cli.home import project
    from outlast.cli.output import plain, print_json

    directory = project(home)
    said = asyncio.run(prepare_store(directory, load(directory)))
    if json:
        print_json({"prepared": said})
    else:
        print(plain(said))


@store_app.command()
def permissions(
    role: Annotated[
        str, typer.Option("--role", help="PostgreSQL: the database role. AWS: worker, keeper or preparer.")
    ] = "worker",
    account: Annotated[str, typer.Option("--account", metavar="ID", help="AWS: the account, 12 digits.")] = "",
    home: Home = None,
) -> None:
    """Print the least rights that processes need: SQL for PostgreSQL, an IAM policy document for AWS.

    For example:

        outlast store permissions --role app | psql "$OWNER_URL"
        outlast store permissions --account 111122223333 > policy.json
    """
    from outlast.blueprint.load import load
    from outlast.bootstrap.preparing import permissions as needed
    from outlast.cli.home import project

    print(needed(load(project(home)), role, account))


@store_app.command()
def losses(home: Home = None, json: Json = False) -> None:
    """Say which acknowledged events a failover of PostgreSQL lost, as this host found. Exit code 1 if there are any.

    With a synchronous standby (`strong: true`) there are none. Each line is one stream, to the event. Runs that lost
    some are held until somebody decides: `outlast runs --state held`.

    For example:

        outlast store losses --json | jq '.losses[].lost'
    """
    import msgspec

    from outlast.adapters.postgres.loss import losses_beside, read_losses
    from outlast.bootstrap.home import StateDirectory
    from outlast.cli.home import project
    from outlast.cli.output import note, plain, print_json

    found = read_losses(losses_beside(StateDirectory(project(home)).postgres))
    if json:
        print_json({"losses": msgspec.to_builtins(found), "events": sum(report.events for report in found)})
    else:
        for report in found:
            for one in report.lost:
                where = f"{report.place}  timeline {report.timeline}"
                print(plain(f"{where}  {one.stream}  events {one.first} to {one.last}"))
            if not report.complete:
                note("more was acknowledged than is remembered: more may be missing")
        if not found:
            print("nothing that was acknowledged is known to be lost")
    if found:
        raise typer.Exit(ExitCode.FAILED)


@store_app.command()
def removals(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="Only what went of this run.", show_default=False)] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Say which streams were removed because their runs ended long enough ago (`keep`), oldest first.

    Each line is one stream, with its last event and the chain hash there: what a backup or an archive must end with. An
    audit does not miss them.

    For example:

        outlast store removals --json | jq '.removals[].stream'
    """
    import asyncio

    import msgspec

    from outlast.bootstrap.auditing import removals_of
    from outlast.cli.home import project
    from outlast.cli.output import plain, print_json
    from outlast.cli.story import moment

    found = asyncio.run(removals_of(project(home), run))
    if json:
        print_json({"removals": msgspec.to_builtins(found)})
        return
    for each in found:
        print(plain(f"{moment(each.at)}  {each.stream}  {each.seq} events  {each.hash[:16]}  {each.reason}"))
    if not found:
        print("nothing was removed")
