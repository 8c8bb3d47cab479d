"""dynalite: DynamoDB's conditional writes by another hand, from npm, kept in this checkout."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port, from_npm, serving

_version = "4.0.0"
_home = Path(__file__).parents[2] / "build" / "dynalite"


def program() -> Path:
    """Its program, installed if it is not there; a visible skip where it cannot be, and a failure in CI."""
    found = _home / "node_modules" / "dynalite" / "cli.js"
    if found.exists():
        return found
    npm = shutil.which("npm")
    why = "npm is not installed"
    if npm is not None:
        said = from_npm(npm, f"dynalite@{_version}", _home)
        if found.exists():
            return found
        why = f"npm could not install dynalite: {said}"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@contextlib.contextmanager
def dynalite(directory: Path) -> Iterator[str]:
    """Its address."""
    port = free_port()
    command = ["node", str(program()), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "20"]
    with serving(command, port, directory / f"dynalite-{port}.log"):
        yield f"http://127.0.0.1:{port}"
