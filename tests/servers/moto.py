"""Moto's server: the shapes of AWS's calls, in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import free_port, script, serving


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[str]:
    """Its address."""
    port = free_port()
    with serving([script("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port, directory / f"moto-{port}.log"):
        yield f"http://127.0.0.1:{port}"
