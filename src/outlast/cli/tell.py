"""``outlast signal | cancel | resolve | redrive``: what people tell a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.cli.option import Home, Json, RunId

if TYPE_CHECKING:
    from outlast.cli.access import Access


def signal(
    run: RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The signal that the run waits for.")],
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="What it carries, as JSON; @FILE reads a file, - standard input.")
    ] = "null",
    id: Annotated[
        str | None, typer.Option("--id", help="The same id again is the same signal: it counts once.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Send a signal to a run.

    It is durable when this returns, and waits in the run's inbox until the run asks for it.

    For example:

        outlast signal run_01k… approved true
        outlast signal run_01k… parcel '{"at": "door"}' --id scan-77
    """
    from outlast.cli.value import read_json

    value = read_json(payload, "the signal's payload")
    _tell(home, json, run, {"signal": name}, lambda access: access.signal(run, name, value, id))


def cancel(
    run: RunId,
    reason: Annotated[str, typer.Option("--reason", help="Why, for people.")] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Ask a run to stop.

    The run is cancelled at its next step; a step that has begun is decided first.

    For example:

        outlast cancel run_01k… --reason "the customer withdrew"
    """
    _tell(home, json, run, {"cancel": reason}, lambda access: access.cancel(run, reason))


def resolve(
    run: RunId,
    step: Annotated[str, typer.Argument(metavar="STEP", show_default=False, help="Its place, as `show` prints it: 3")],
    done: Annotated[
        str | None, typer.Option("--done", metavar="JSON", help="It happened, and this is what it returned.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="It surely did not happen: try again.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Let the step fail, with MESSAGE.")] = False,
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", show_default=False, help="With --fail: what the agent is told.")
    ] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Decide a step in doubt: it was done, try again, or fail.

    Look at the outside world first (the ledger, the mailbox): what you say here is recorded as the truth.

    For example:

        outlast resolve run_01k… 3 --done '"80.00 EUR"'
        outlast resolve run_01k… 3 --retry
        outlast resolve run_01k… 3 --fail "the bank refuses"
    """
    from outlast.cli.value import read_json
    from outlast.kernel.error import UsageError

    if (done is not None) + retry + fail != 1:
        raise UsageError("say exactly one of --done JSON, --retry, --fail")
    if message and not fail:
        raise UsageError("a message belongs to --fail only")
    how = "done" if done is not None else "retry" if retry else "fail"
    value = read_json(done, "the result") if done is not None else None
    document = {"step": step, "how": how}
    _tell(home, json, run, document, lambda access: access.resolve(run, step, how, value, message))


def redrive(run: RunId, home: Home = None, json: Json = False) -> None:
    """Let a quarantined or held run try again.

    For example:

        outlast runs --state quarantined
        outlast redrive run_01k…
    """
    _tell(home, json, run, {"redrive": True}, lambda access: access.redrive(run))


def _tell(home: Path | None, json: bool, run: str, document: dict[str, Any], act: Callable[[Access], None]) -> None:
    from outlast.cli.access import reach
    from outlast.cli.home import project
    from outlast.cli.output import note, print_json

    access = reach(project(home), write=True)
    try:
        act(access)
    finally:
        access.close()
    if json:
        print_json({"run": run, **document})
    else:
        then = "; nothing runs here: it counts with the next `outlast up`" if access.waits else ""
        note(f"recorded{then}; see: outlast show {run}")
