"""``outlast doctor``."""

from __future__ import annotations

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home, Json


def doctor(home: Home = None, json: Json = False) -> None:
    """Check this machine and project, and say what to mend.

    Exit code 0 when nothing failed (warnings included), 1 otherwise.

    For example:

        outlast doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    import msgspec
    from rich.text import Text

    from outlast.cli.check import Check, run_checks
    from outlast.cli.output import console, print_json

    screen = console()
    found: list[Check] = []
    style = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    for check in run_checks(home):
        found.append(check)
        if json:
            continue
        line = Text.assemble((f"{check.status:8}", style[check.status]), f"{check.name:15} ", check.found)
        screen.print(line, soft_wrap=True)
        if check.advice:
            screen.print(Text(" " * 24 + check.advice), soft_wrap=True)
    failed = sum(check.status == "failed" for check in found)
    if json:
        print_json({"ok": not failed, "checks": msgspec.to_builtins(found)})
    if failed:
        raise typer.Exit(ExitCode.FAILED)
