"""A server process: started, awaited, ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

start_deadline_s = 60.0


_ports = range(20_000, 32_768)
_given: set[int] = set()


def free_port() -> int:
    """A port of the loopback for a server that is started later, or never.

    It lies below those that Linux gives to clients and to whoever asks for any: none of them takes it meanwhile.
    """
    while True:
        port = secrets.choice(_ports)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def script(name: str) -> str:
    """A command of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


def from_npm(npm: str, package: str, home: Path) -> str:
    """Install a package below `home`, whole or not at all: other tests may do so at the same time. What npm said."""
    home.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(beside), package]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if made.returncode == 0:
        with contextlib.suppress(OSError):  # somebody else was first
            beside.rename(home)
    shutil.rmtree(beside, ignore_errors=True)
    return made.stderr.strip()[-300:]


@contextlib.contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on `port`; ended, with what it started, when the block is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command), stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        _await(process, port, log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, at once: it leads a session of its own, and keeps nothing."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(60)


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + start_deadline_s
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"server did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
