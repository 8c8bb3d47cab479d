"""``outlast queues``: how much waits in the queues that agents read, and dead letters."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from outlast.cli.option import Home, Json, command_group

queues_app = command_group("Look at the queues that agents read; let dead letters try again.")


@queues_app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """About how many messages wait in each queue of outlast.yaml, are under way, and are dead letters.

    For example:

        outlast queues list
    """
    import asyncio

    from outlast.blueprint.load import load
    from outlast.bootstrap.queue import depths
    from outlast.cli.home import project
    from outlast.cli.output import plain, print_json

    found: list[dict[str, Any]] = asyncio.run(depths(load(project(home))))
    if json:
        print_json({"queues": found})
        return
    for one in found:
        print(
            plain(
                f"{one['queue']}  {one['waiting']} waiting, {one['under_way']} under way, {one['dead']} dead letters"
                + (f"; read by {', '.join(one['agents'])}" if one["agents"] else "; read by no agent")
            )
        )
    if not found:
        print("outlast.yaml names no queues with an address")


@queues_app.command()
def redrive(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", show_default=False, help="A queue of outlast.yaml.")],
    count: Annotated[int, typer.Option("--count", min=1, max=100_000, help="Move at most so many.")] = 1000,
    home: Home = None,
    json: Json = False,
) -> None:
    """Move dead letters back into the queue that they came from. Each keeps its identity: none starts a run twice.

    For example:

        outlast queues redrive documents_in --count 100
    """
    import asyncio

    import msgspec

    from outlast.blueprint.load import load
    from outlast.bootstrap.queue import redrive_queue
    from outlast.cli.home import project
    from outlast.cli.output import print_json

    done = asyncio.run(redrive_queue(load(project(home)), queue, count))
    if json:
        print_json(msgspec.to_builtins(done))
    else:
        refused = f", {done.refused} were not taken back" if done.refused else ""
        print(f"{done.moved} moved{refused}, about {done.left} dead letters left")
