"""What the server writes down: one JSON object a line, never a body, a header, a query or a token."""

from __future__ import annotations

import logging
import traceback
from typing import Any, TextIO, cast

import structlog
from starlette.types import Scope

from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

_text_chars_max = 500
_frames_max = 20


class Log:
    """Writes JSON lines to `stream`. `requests` asks for a line for each request, not only for failures."""

    def __init__(self, stream: TextIO, clock: Clock, *, requests: bool = False, secret: str | None = None) -> None:
        def stamp(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
            return {"at": round(clock.now(), 3), "level": method, **event}

        self.requests = requests
        self._secret = secret
        self._log = cast(
            structlog.typing.FilteringBoundLogger,
            structlog.wrap_logger(
                structlog.WriteLogger(stream),
                processors=[stamp, structlog.processors.JSONRenderer()],
                wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            ),
        )

    def said(self, event: str, **fields: Any) -> None:
        """Something worth knowing happened."""
        self._log.info(event, **fields)

    def answered(self, scope: Scope, status: int, elapsed_s: float) -> None:
        """A request was answered; written only if `requests`."""
        if self.requests:
            self._log.info("request", **self._where(scope), status=status, ms=round(elapsed_s * 1000, 2))

    def broken_off(self, scope: Scope, error: OutlastError) -> None:
        """A response had begun when it failed."""
        self._log.warning("response broken off", **self._where(scope), code=error.code, text=self._text(error))

    def failed(self, scope: Scope, error: Exception) -> None:
        """An exception that nobody foresaw: its class, its text, where it was raised."""
        frames = traceback.extract_tb(error.__traceback__)[-_frames_max:]
        at = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self._log.error(
            "request failed", **self._where(scope), type=type(error).__name__, text=self._text(error), frames=at
        )

    def handler(self) -> logging.Handler:
        """For the standard library's loggers of uvicorn: errors only, in the same form."""
        return _Handler(self)

    def relayed(self, record: logging.LogRecord) -> None:
        """A record of another library."""
        self._log.error("library", logger=record.name, text=self._cut(record.getMessage()))

    def _where(self, scope: Scope) -> dict[str, Any]:
        return {"method": scope["method"][:20], "path": self._cut(scope["path"])}

    def _text(self, error: Exception) -> str:
        return self._cut(str(error))

    def _cut(self, text: str) -> str:
        if self._secret:
            text = text.replace(self._secret, "…")
        return text[:_text_chars_max].encode("utf-8", "replace").decode()


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._to = log

    def emit(self, record: logging.LogRecord) -> None:
        self._to.relayed(record)
