"""llama.cpp's own HTTP server in this process, by xllamacpp: OpenAI-compatible, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from outlast.adapters.local.artifact import artifacts_of, smollm2, verified
from outlast.adapters.local.extra import required
from outlast.kernel.error import ConfigurationError, OutlastError

port_default = 8089
parallel_max = 64
context_tokens_max = 8192
"""What SmolLM2 was trained for."""

answer_tokens_max = 1024
"""Bound of an answer whose request names none: a small model may not find an end."""


class LlamaOptions(msgspec.Struct, frozen=True):
    """How the server runs. `context_tokens` bounds prompt and answer of one request; port 0 takes any free one."""

    model: str = smollm2
    host: str = "127.0.0.1"
    port: int = port_default
    parallel: int = 2
    """Requests answered at once; more wait in the server, without a bound: admission is the caller's."""
    context_tokens: int = 4096
    threads: int = 1
    """Threads that compute. More than one are for idle cores: on busy ones two were seen to be slower than one, though
    not in every trial. 0: one for each core."""


def serve(options: LlamaOptions, ready: Callable[[str], None], *, until_stdin_closes: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the base URL (up to ``/v1``) when it answers.

    Then **ends this process** with status 0: llama.cpp's destructor waits for ever for requests under way (seen with
    xllamacpp 2026.10), so what is under way breaks off. Call it in the main thread of a process made for it. With
    `until_stdin_closes` it also ends when the process at the other end of standard input is gone.

    Raises ConfigurationError for wrong options, a port in use or a missing extra; NotFound if the model was not pulled;
    ChecksumMismatch if it is damaged.
    """
    _check(options)
    path = verified(artifacts_of(options.model)[0])
    xllamacpp = required("xllamacpp", "serving a model")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {options.model}
    parameters.hostnames = [options.host]
    parameters.port = options.port
    parameters.n_parallel = options.parallel
    parameters.n_ctx = options.context_tokens * options.parallel
    parameters.n_predict = answer_tokens_max
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads or os.cpu_count() or 1
    parameters.cache_ram_mib = 0  # else it keeps up to 8 GiB of prompts
    parameters.ui = False
    parameters.endpoint_slots = False  # shows the prompts of others
    parameters.endpoint_metrics = True  # counts only
    parameters.cors_origins = ""  # else any web page may ask it
    parameters.verbosity = 0
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise ConfigurationError(f"the model server cannot start on {options.host}:{options.port}: {error}") from None
    if until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(stop,), daemon=True).start()
    ready(f"{server.listening_address}/v1")
    stop.wait()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _check(options: LlamaOptions) -> None:
    if options.host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"the model server listens on loopback only, found {options.host!r}: use 127.0.0.1, "
            "and a proxy with TLS and keys to reach it from elsewhere"
        )
    if options.model != smollm2:
        raise ConfigurationError(f"model {options.model[:64]!r} cannot be served, expected {smollm2}")
    if not 1 <= options.parallel <= parallel_max:
        raise ConfigurationError(f"parallel is {options.parallel}, expected 1 to {parallel_max}")
    if not 256 <= options.context_tokens <= context_tokens_max:
        raise ConfigurationError(f"context is {options.context_tokens} tokens, expected 256 to {context_tokens_max}")
    if not 0 <= options.port <= 65535:
        raise ConfigurationError(f"port is {options.port}, expected 0 to 65535")
    if options.port:
        _check_free(options.host, options.port)


def _check_free(host: str, port: int) -> None:
    """llama.cpp says only "failed to init" of a port in use, after loading the model; this says it at once."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfigurationError(f"port {port} of {host} cannot be used: {why}; choose another") from None


def main(arguments: list[str]) -> int:
    """A child process of `LocalModelServer`: takes `LlamaOptions` as JSON, writes one JSON line when it is ready."""
    options: LlamaOptions = msgspec.json.decode(arguments[0], type=LlamaOptions)
    try:
        serve(options, lambda url: _write({"url": url}), until_stdin_closes=True)
    except OutlastError as error:
        _write({"error": str(error), "code": error.code})
        return 1
    return 0


def _write(document: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def _watch_stdin(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
