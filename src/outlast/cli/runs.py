"""``outlast runs | show``: what ran, and what happened in it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from outlast.cli.option import Home, Json, RunId

limit_max = 100_000


def runs(
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            help="Only these: ready, running, parked, held, quarantined, completed, failed, cancelled, continued.",
        ),
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only runs of this agent.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="Only runs of this session.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=limit_max, help="How many at most.")] = 20,
    home: Home = None,
    json: Json = False,
) -> None:
    """List runs, newest first.

    For example, all that wait for a person:

        outlast runs --state held
    """
    from typing import get_args

    from outlast.blueprint.document import nearest
    from outlast.cli.access import reach
    from outlast.cli.home import project
    from outlast.cli.output import print_json
    from outlast.journal.index import State
    from outlast.kernel.error import UsageError

    states = get_args(State)
    if state is not None and state not in states:
        near = nearest(state, states)
        hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(states)}"
        raise UsageError(f"no such state {state[:40]!r}: {hint}")
    access = reach(project(home), write=False)
    try:
        found = access.runs(state, agent, session, limit)
    finally:
        access.close()
    if json:
        print_json(found)
    else:
        _print_runs(found["runs"])
        if "behind_s" in found:
            _print_behind(found["behind_s"])


def _print_behind(behind_s: float | None) -> None:
    from outlast.cli.output import note

    how = "by how much is not known" if behind_s is None else f"by {behind_s:.1f} s at most"
    note(f"a replica told this list, and may be behind the primary: {how}")


def _print_runs(found: list[Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from outlast.cli.output import console, note, short
    from outlast.cli.story import moment, state_style

    if not found:
        note("no runs match; start one with: outlast run AGENT INPUT")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "agent", "state", "created", "session", "reason"):
        table.add_column(heading, no_wrap=heading != "reason")
    for entry in found:
        table.add_row(
            Text(short(entry["run"])),
            Text(short(entry["agent"])),
            Text(entry["state"], state_style(entry["state"])),
            moment(entry["created_at"]),
            Text(short(entry["session"], 40)),
            Text(short(entry["reason"])),
        )
    console().print(table)


def show(
    run: RunId,
    events: Annotated[bool, typer.Option("--events", help="Every event of its history, one on a line.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Tell the story of one run, step by step.

    Exit code 0 whatever became of the run: `outlast show RUN --json | jq -r .state` tells.

    For example:

        outlast show run_01k… --events
    """
    from outlast.cli.access import reach
    from outlast.cli.home import project
    from outlast.cli.output import console, print_json, width_of
    from outlast.cli.story import Teller

    access = reach(project(home), write=False)
    try:
        view = access.view(run)
        history = list(access.events(run)) if events else []
    finally:
        access.close()
    if json:
        print_json({**view, "events": history} if events else view)
        return
    screen = console()
    _print_view(screen, view)
    if events:
        screen.print()
        teller = Teller(width_of(screen))
        for event in history:
            line = teller.line(event, everything=True)
            if line is not None:
                screen.print(line, soft_wrap=True)


def _print_view(screen: Any, view: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from outlast.cli.output import short, width_of
    from outlast.cli.story import advice, failure, moment, state_style, took

    def row(name: str, value: object, style: str = "") -> None:
        screen.print(Text.assemble((f"{name:9}", "bold"), (str(value), style)), soft_wrap=True)

    width = max(width_of(screen) - 10, 60)
    row("run", short(view["run"]))
    row("agent", short(view["agent"]))
    if view.get("session"):
        row("session", short(view["session"]))
    row("state", view["state"], state_style(view["state"]))
    ended = view.get("ended_at")
    after = f", ended after {took(ended - view['created_at'])}" if ended else ""
    row("created", moment(view["created_at"]) + after)
    if view.get("owner"):
        row("worker", short(view["owner"]))
    if (view.get("claims") or 0) > 1:
        row("claims", f"{view['claims']}, so many times a worker took it up")
    row("input", short(view.get("input"), width))
    if view["state"] == "completed":
        row("result", short(view.get("result"), width))
    if view.get("error"):
        row("error", failure(view["error"]), "red")
    if view.get("reason"):
        row("reason", short(view["reason"], 400), "yellow")
    if view["steps"]:
        screen.print()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("step", "name", "kind", "state", "attempt", "took", "result"):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "took" else "left")
        for step in view["steps"]:
            began, end = step.get("started_at"), step.get("ended_at")
            text = failure(step["error"]) if step.get("error") else short(step.get("value"), 80)
            table.add_row(
                short(step["place"]),
                Text(short(step["name"], 40)),
                str(step["kind"]),
                Text(str(step["state"]).replace("_", " "), state_style(step["state"])),
                str(step.get("attempt") or ""),
                took(end - began) if began and end else "",
                Text(text if step.get("error") or step.get("value") is not None else ""),
            )
        screen.print(table)
    for line in advice(view):
        screen.print(Text(line, "bold"), soft_wrap=True)
