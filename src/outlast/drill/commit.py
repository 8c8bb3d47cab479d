"""Which state of the code a drill has drilled, as far as git knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

_within_s = 5.0


def commit_of(directory: Path) -> str:
    """The commit of a directory, with ``+`` where files differ from it; empty without git, or outside of its trees."""
    commit = _git(directory, "rev-parse", "--short=12", "HEAD")
    return f"{commit}+" if commit and _git(directory, "status", "--porcelain", "--untracked-files=no") else commit


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=_within_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
