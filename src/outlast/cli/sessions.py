"""``outlast sessions | session``: conversations, which successive runs share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from outlast.cli.option import Home, Json

looked_at_max = 10_000
"""How many of the newest runs are looked through for sessions."""


def sessions(
    limit: Annotated[int, typer.Option("--limit", min=1, max=looked_at_max, help="How many at most.")] = 20,
    home: Home = None,
    json: Json = False,
) -> None:
    """List sessions, the most recently used first.

    Looks through the newest 10,000 runs.

    For example:

        outlast run support "Hello" --session ada
        outlast sessions
    """
    from rich.table import Table
    from rich.text import Text

    from outlast.cli.access import reach
    from outlast.cli.home import project
    from outlast.cli.output import console, note, print_json, short
    from outlast.cli.story import moment, state_style

    access = reach(project(home), write=False)
    try:
        found = _sessions(access.runs(None, None, None, looked_at_max)["runs"], limit)
    finally:
        access.close()
    if json:
        print_json({"sessions": found})
        return
    if not found:
        note("no sessions; a run belongs to one with: outlast run AGENT INPUT --session NAME")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("session", "runs", "last run", "state", "at"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "runs" else "left")
    for entry in found:
        state = Text(entry["last_state"], state_style(entry["last_state"]))
        table.add_row(
            Text(short(entry["session"])), str(entry["runs"]), Text(entry["last_run"]), state, moment(entry["last_at"])
        )
    console().print(table)


def _sessions(newest_first: list[Any], limit: int) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in newest_first:
        name = entry["session"]
        if not name:
            continue
        if name in found:
            found[name]["runs"] += 1
        elif len(found) < limit:
            found[name] = {
                "session": name,
                "runs": 1,
                "last_run": entry["run"],
                "last_state": entry["state"],
                "last_at": entry["created_at"],
            }
    return list(found.values())


def session(
    name: Annotated[str, typer.Argument(metavar="SESSION", show_default=False, help="The session's name.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Show one session: its messages and turns.

    For example:

        outlast session ada --json | jq .state
    """
    from rich.text import Text

    from outlast.cli.access import reach
    from outlast.cli.home import project
    from outlast.cli.output import console, plain, print_json, short
    from outlast.cli.story import moment

    access = reach(project(home), write=False)
    try:
        view = access.session(name)
    finally:
        access.close()
    if json:
        print_json(view)
        return
    screen = console()
    screen.print(Text.assemble(("session  ", "bold"), short(view["session"])), soft_wrap=True)
    screen.print(Text.assemble(("turns    ", "bold"), f"{view['turns_ended']} ended"), soft_wrap=True)
    if view["expires_at"]:
        screen.print(Text.assemble(("expires  ", "bold"), moment(view["expires_at"])), soft_wrap=True)
    if view["state"]:
        screen.print(Text.assemble(("state    ", "bold"), short(view["state"], 500)), soft_wrap=True)
    for message in view["messages"]:
        screen.print(Text.assemble((f"{message['role']:>9}: ", "cyan"), plain(message["content"])), soft_wrap=True)
    for run in view["turns"]:
        screen.print(Text.assemble(("run      ", "dim"), short(run)), soft_wrap=True)
