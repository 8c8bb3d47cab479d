"""A model server as a child process: for demos, drills and tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import IO, Any

import msgspec

from outlast.adapters.local.llama import LlamaOptions
from outlast.kernel.error import ConfigurationError, OutlastError

ready_timeout_s_default = 60.0
"""How long the model may take to load; about a second on a quiet machine."""

stop_timeout_s_default = 5.0
"""How long SIGTERM may take before SIGKILL."""

_log_bytes = 2_000


class ModelServerFailed(OutlastError):
    """The model server's process ended or did not become ready; the message holds its last words."""

    code = "model_server"
    retryable = True


class LocalModelServer:
    """SmolLM2 behind HTTP in a process of its own; ``with LocalModelServer() as server: server.url``.

    By default on any free port. All methods block: call them in a thread from async code. The child ends with this
    process, however that ends: it watches its standard input.
    """

    def __init__(
        self, options: LlamaOptions | None = None, *, ready_timeout_s: float = ready_timeout_s_default
    ) -> None:
        self._options = options or LlamaOptions(port=0)
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The base URL, up to and including ``/v1``; empty until it is ready."""
        return self._url

    @property
    def pid(self) -> int:
        """The child's process id, 0 if there is none: what a drill kills."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the child and wait until it answers.

        Raises ConfigurationError for what `llama.serve` refuses, ModelServerFailed if it dies or takes too long.
        """
        if self._process is not None:
            return
        command = [sys.executable, "-m", "outlast.adapters.local.llama", msgspec.json.encode(self._options).decode()]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the child; stop() closes it)
        self._process = process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True
        )
        line = self._first_line(process)
        if line is None:
            said = self._last_words()
            self.stop()
            raise ModelServerFailed(f"the model server was not ready within {self._ready_timeout_s:g} s: {said}")
        found = _decoded(line)
        if "url" not in found:
            said = self._last_words()
            self.stop()
            if "error" in found:
                raise ConfigurationError(str(found["error"]))
            raise ModelServerFailed(f"the model server ended before it was ready: {said}")
        self._url = str(found["url"])

    def stop(self, timeout_s: float = stop_timeout_s_default) -> None:
        """SIGTERM to the child, SIGKILL if that takes longer than `timeout_s`. Safe to call again."""
        process, self._process, self._url = self._process, None, ""
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, self._log):
            if stream is not None:
                stream.close()
        self._log = None

    def __enter__(self) -> LocalModelServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _first_line(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """What the child writes when it is ready or gives up (empty: it died); None at the deadline."""
        output = process.stdout
        assert output is not None
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.append(output.readline(65536)), daemon=True)
        reader.start()
        reader.join(self._ready_timeout_s)
        return lines[0] if lines else None

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        size = self._log.seek(0, 2)
        self._log.seek(max(size - _log_bytes, 0))
        text = self._log.read().decode("utf-8", "replace")
        return " ".join("".join(char if char.isprintable() else " " for char in text).split()) or "it said nothing"


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
