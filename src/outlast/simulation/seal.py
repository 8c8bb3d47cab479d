"""What would bring in the real world raises while a simulation runs: clocks, chance, threads, sockets, sleeping."""

from __future__ import annotations

import contextlib
import gc
import os
import random as _random
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

_SEALED: list[tuple[Any, str]] = [
    *((time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    (os, "urandom"),
    *((_random, name) for name in ("random", "randint", "randrange", "choice", "shuffle", "uniform", "getrandbits")),
    (threading.Thread, "start"),
    (socket.socket, "connect"),
    (socket.socket, "bind"),
]


class Escaped(BaseException):
    """Code in the simulation reached for the real world."""


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **keywords: Any) -> Any:
        raise Escaped(f"{name} was called in a simulation: take it from a port")

    return refuse


def _ignore(unraisable: object) -> None:
    return None


@contextlib.contextmanager
def sealed() -> Generator[None]:
    """Seal this process's real world for the block, and keep the garbage collector still."""
    before = [(owner, name, getattr(owner, name)) for owner, name in _SEALED]
    collecting = gc.isenabled()
    unraisable = sys.unraisablehook
    gc.disable()
    try:
        for owner, name, _ in before:
            setattr(owner, name, _refusal(f"{getattr(owner, '__name__', owner)}.{name}"))
        sys.unraisablehook = _ignore  # coroutines of crashed nodes are closed, by the collector, after the end
        yield
        gc.collect()
    finally:
        sys.unraisablehook = unraisable
        for owner, name, value in before:
            setattr(owner, name, value)
        if collecting:
            gc.enable()
