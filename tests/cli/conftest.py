"""What the tests of the command line share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from outlast.cli.main import main


class Said(NamedTuple):
    """What one command did: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run one command line in this process."""

    def run(*arguments: object) -> Said:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Said]:
    """Run one command line in a process of its own, in `cwd`, with these variables added."""

    def run(*arguments: object, cwd: Path = tmp_path, env: dict[str, str] | None = None, stdin: str = "") -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "outlast", *map(str, arguments)],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=100,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run
