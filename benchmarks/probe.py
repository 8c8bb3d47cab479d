"""A process that measures on demand: it says "ready", then answers each line on its input with one line of JSON.

Probes stay alive between measurements, so that measurements of different subjects can alternate: what else happens on
the machine hits all of them alike.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ready_within_s = 300.0
answer_within_s = 300.0


class ProbeFailed(RuntimeError):
    """A probe died, said something else than expected, or took too long."""


class Probe:
    """One such process and all that it starts (a session of its own, killed at the end)."""

    def __init__(self, name: str, command: Sequence[str], cwd: Path, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self._log = (cwd / f"{name.replace(' ', '-')}.log").open("w+b")
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "PYTHONHASHSEED": "0", **(environment or {})},
        )
        self._buffer = b""

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def ready(self) -> Probe:
        """Wait until it is set up."""
        line = self._line(ready_within_s)
        if line != "ready":
            raise self._failed(f"said {line!r} instead of 'ready'")
        return self

    def ask(self, request: str = "go") -> None:
        """Begin one measurement."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("died") from None

    def answer(self) -> dict[str, Any]:
        """The result of the measurement."""
        line = self._line(answer_within_s)
        try:
            return json.loads(line)
        except ValueError:
            raise self._failed(f"answered {line!r}, which is not JSON") from None

    def measure(self, request: str = "go") -> dict[str, Any]:
        """Ask and wait for the answer."""
        self.ask(request)
        return self.answer()

    def close(self) -> None:
        """End it: by the end of its input, then by SIGKILL to its process group."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it is already gone
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing of its group is left
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _line(self, within_s: float) -> str:
        assert self._process.stdout is not None
        end = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise self._failed(f"said nothing for {within_s:g} s")
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    raise self._failed("died")
                self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode().strip()

    def _failed(self, what: str) -> ProbeFailed:
        self._log.seek(0)
        tail = self._log.read()[-3000:].decode(errors="replace")
        return ProbeFailed(f"probe {self.name} {what}\n{tail}")


def own(name: str, module: str, *arguments: object, cwd: Path, environment: dict[str, str] | None = None) -> Probe:
    """A probe that is a module of this package, run by this interpreter."""
    root = str(Path(__file__).resolve().parent.parent)
    command = [sys.executable, "-m", module, *(str(each) for each in arguments)]
    return Probe(name, command, cwd, {"PYTHONPATH": root, **(environment or {})})


def reply(answer: dict[str, Any]) -> None:
    """The other side: one answer."""
    print(json.dumps(answer), flush=True)


def serve(measure: Callable[[str], dict[str, Any]]) -> None:
    """The other side: say ready, answer each line of the input by what `measure` returns for it."""
    print("ready", flush=True)
    for line in sys.stdin:
        reply(measure(line.strip()))
