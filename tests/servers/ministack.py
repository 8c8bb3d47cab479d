"""MiniStack: DynamoDB, S3 and more in one process, in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import free_port, script, serving


@contextlib.contextmanager
def ministack(directory: Path) -> Iterator[str]:
    """Its address."""
    port = free_port()
    environment = {
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",
        "TMPDIR": str(directory),
    }  # fmt: skip
    with serving([script("ministack")], port, directory / f"ministack-{port}.log", environment):
        yield f"http://127.0.0.1:{port}"
