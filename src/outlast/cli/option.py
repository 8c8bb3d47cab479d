"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="OUTLAST_HOME",
        metavar="DIR",
        show_default=False,
        help="Project directory. Default: the nearest one upwards with outlast.yaml or app.py.",
    ),
]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        show_default=False,
        help="The blueprint. Default: outlast.yaml of the project directory.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="The run's identifier.")]
AgentName = Annotated[str, typer.Argument(metavar="AGENT", show_default=False, help="An agent of the app.")]


def command_group(help: str) -> typer.Typer:
    """A Typer application as all groups of commands here are made: no tracebacks of its own, no completion options."""
    return typer.Typer(
        help=help,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=context_settings,
    )


context_settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
