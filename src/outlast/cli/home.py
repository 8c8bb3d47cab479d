"""The project directory, and what is in its state directory."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.kernel.error import ConfigurationError

marks = ("outlast.yaml", "app.py")


def blueprint_path(file: Path | None, home: Path | None) -> Path:
    """The blueprint that a command is about: `file`, or ``outlast.yaml`` of the project. Raises ConfigurationError."""
    path = file if file is not None else project(home, "give --file FILE") / marks[0]
    if not path.is_file():
        raise ConfigurationError(f"{path} is not a file: write it, or give another one with --file FILE")
    return path


def project(given: Path | None, advice: str = "run `outlast init` to make one, or give --home DIR") -> Path:
    """The project directory: `given`, or the nearest one upwards from here that holds ``outlast.yaml`` or ``app.py``.

    Raises ConfigurationError if there is none (the message ends with `advice`), or if what was found upwards is another
    user's: its code would run.
    """
    if given is not None:
        if not given.is_dir():
            raise ConfigurationError(f"project directory {given} is not a directory: create it, or correct --home")
        return given.resolve()
    here = Path.cwd()
    for directory in (here, *here.parents):
        for mark in marks:
            found = directory / mark
            if found.is_file():
                if found.stat().st_uid not in (os.getuid(), 0):
                    raise ConfigurationError(
                        f"{found} belongs to another user, and its code would run as you: "
                        f"give --home {directory} if that is what you want"
                    )
                return directory
    raise ConfigurationError(
        f"no project here: neither {' nor '.join(marks)} is in {here} or above it; {advice}"
    )
