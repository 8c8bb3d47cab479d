"""``outlast run``: start a run and follow it, in the cell that runs here or in one started for the purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import AgentName, Home, Json

if TYPE_CHECKING:
    from outlast.cli.follow import Watch
    from outlast.cli.remote import Remote


def run(
    agent: AgentName,
    text: Annotated[
        str | None, typer.Argument(metavar="INPUT", show_default=False, help="The agent's one argument, as text.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key: the same key again is the same run.")
    ] = None,
    session: Annotated[str | None, typer.Option("--session", help="The conversation that this run belongs to.")] = None,
    input_json: Annotated[
        str | None,
        typer.Option(
            "--input-json",
            metavar="JSON",
            help="Arguments as JSON: an object of named ones, an array of positional ones; @FILE, or - for stdin.",
        ),
    ] = None,
    crash_in: Annotated[
        str | None,
        typer.Option(
            "--crash-in", metavar="TOOL", help="Kill the worker between this tool's effect and its record, once."
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as the run is recorded.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Start a run and follow it to its end.

    Uses the `outlast up` of this directory if one runs, else starts workers for the time being. Steps are shown on
    standard error as they are recorded, the result is printed on standard output. Exit code 0 when the run completed,
    1 when it failed, was cancelled, or waits for a person.

    For example:

        outlast run support "Where is order 1043?"
        outlast run support "Refund order 1043, 80 EUR" --crash-in refund
        outlast run intake --input-json '{"path": "a.pdf", "pages": [1, 2]}' --key a.pdf --json
    """
    from outlast.cli.access import reach, refuse_running, running_server
    from outlast.cli.home import project
    from outlast.cli.output import note, print_json
    from outlast.cli.value import read_json
    from outlast.kernel.error import UsageError

    if text is not None and input_json is not None:
        raise UsageError("give the input once: as INPUT or with --input-json")
    if crash_in is not None and detach:
        raise UsageError("--crash-in shows the crash and what follows: leave --detach out")
    given: Any = {} if text is None else text
    if input_json is not None:
        given = read_json(input_json, "--input-json")
    directory = project(home)
    if crash_in is not None:
        refuse_running(directory, "--crash-in kills a worker of a cell of its own, which cannot be started")
    if detach:
        access = reach(directory, write=True)
        try:
            started = access.start(agent, given, key, session)
        finally:
            access.close()
        if json:
            print_json(started)
        else:
            print(started["run"])
            if access.waits:
                note("recorded; nothing runs here: it begins with the next `outlast up`")
        return
    remote = running_server(directory)
    if remote is not None:
        _finish(_watch(remote, agent, given, key, session), json)
        return
    from outlast.cli.cell import PrivateCell

    with PrivateCell(directory, crash_in) as cell:
        watch = _watch(cell.access, agent, given, key, session)
    if crash_in is not None:
        from outlast.cli.crash import tell_crash

        if not tell_crash(watch.events, crash_in, killed=cell.crashed):
            _finish(watch, json, failed=True)
    _finish(watch, json)


def _watch(access: Remote, agent: str, given: Any, key: str | None, session: str | None) -> Watch:
    from outlast.cli.follow import Watch
    from outlast.cli.output import note

    started = access.start(agent, given, key, session)
    note(f"run {started['run']}" + ("" if started["created"] else ": this key has started it before"))
    watch = Watch(access, started["run"])
    try:
        watch.to_end()
    except KeyboardInterrupt:
        note(f"not followed any more; the run is not lost: outlast show {watch.run}")
        raise
    return watch


def _finish(watch: Watch, json: bool, *, failed: bool = False) -> None:
    """Print how it ended, and end with the exit code for that."""
    from outlast.cli.output import json_text, note, plain, print_json
    from outlast.cli.story import advice

    view = watch.view
    if json:
        print_json(view)
    elif view["state"] == "completed":
        result = view["result"]
        print(plain(result) if isinstance(result, str) else json_text(result, indent=2))
    for line in advice(view):
        note(line)
    if failed or view["state"] != "completed":
        raise typer.Exit(ExitCode.FAILED)
