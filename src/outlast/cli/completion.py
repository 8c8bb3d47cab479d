"""``outlast completion``: Typer's completion scripts, printed and never installed behind the user's back."""

from __future__ import annotations

import enum
from typing import Annotated

import typer


class Shell(enum.StrEnum):
    """Shells that have a completion script."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(show_default=False, help="The shell that shall complete commands.")],
) -> None:
    """Print the completion script for a shell.

    Example (put the line into ~/.bashrc or ~/.zshrc; for fish: `outlast completion fish | source`):

        eval "$(outlast completion bash)"
    """
    import os

    from outlast.cli.main import complete_variable, root

    os.environ[complete_variable] = f"source_{shell.value}"
    root().main([], prog_name="outlast")
