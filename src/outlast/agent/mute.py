"""Prints and log lines of agent code are muted while its recorded steps are given again: they happened already."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any, Protocol, TextIO, TypeVar

T = TypeVar("T")


class Replaying(Protocol):
    """Knows whether recorded outcomes are being given again."""

    @property
    def replaying(self) -> bool: ...


_current: ContextVar[Replaying | None] = ContextVar("outlast_replaying", default=None)


def is_muted() -> bool:
    """Whether the code that asks is agent code in replay."""
    current = _current.get()
    return current is not None and current.replaying


async def muted_while(code: Awaitable[T], replaying: Replaying) -> T:
    """Run agent code so that `is_muted` knows it."""
    _current.set(replaying)
    return await code


class _MuteFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not is_muted()


class _MutedText:
    """A text stream that drops what agent code writes in replay."""

    def __init__(self, inner: TextIO) -> None:
        self._inner = inner

    def write(self, text: str) -> int:
        return len(text) if is_muted() else self._inner.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def install() -> None:
    """Mute standard output, standard error and the handlers of all loggers of this process: in a worker, once what the
    app configures is configured. Again is once.
    """
    if not isinstance(sys.stdout, _MutedText):
        sys.stdout = _MutedText(sys.stdout)
        sys.stderr = _MutedText(sys.stderr)
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    for handler in [handler for logger in (logging.root, *loggers) for handler in logger.handlers]:
        if not any(isinstance(one, _MuteFilter) for one in handler.filters):
            handler.addFilter(_MuteFilter())
