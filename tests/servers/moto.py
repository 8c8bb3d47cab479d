"""Moto's server: the shapes of AWS's calls, in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import free_port, script, serving


@contextlib.contextmanager
def moto(directory: Path, calls_before_policies: int = 1_000_000) -> Iterator[str]:
    """Its address. After so many calls it enforces IAM policies."""
    port = free_port()
    command = [script("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    environment = {"INITIAL_NO_AUTH_ACTION_COUNT": str(calls_before_policies)}
    with serving(command, port, directory / f"moto-{port}.log", environment):
        yield f"http://127.0.0.1:{port}"
