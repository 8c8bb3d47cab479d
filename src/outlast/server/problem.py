"""Errors as RFC 9457 problem documents: one table from error class to status, one middleware that applies it.

`code` is the error's own and stable; `retryable` says whether the same request may succeed later. `type` is
``about:blank``, so `title` is the status' own phrase, as the RFC asks.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlast.kernel.error import (
    BudgetExceeded,
    ConfigurationError,
    Conflict,
    NotFound,
    OutlastError,
    PayloadTooLarge,
    RunStopped,
    StepError,
    StoreError,
    StoreUnavailable,
    TypeMismatch,
    UsageError,
)
from outlast.server.log import Log
from outlast.server.refusal import (
    AnswerTooLarge,
    BadHead,
    BadRequest,
    BodyTooLarge,
    CrossOrigin,
    HeadersTooLarge,
    NoRoute,
    Overloaded,
    Stopping,
    TargetTooLong,
    TookTooLong,
    TooSlow,
    Unauthorized,
    WrongHost,
    WrongMediaType,
    WrongMethod,
)

media_type = "application/problem+json"

STATUS: dict[type[OutlastError], int] = {
    BadRequest: 400,
    UsageError: 400,
    ConfigurationError: 400,
    Unauthorized: 401,
    CrossOrigin: 403,
    NotFound: 404,
    NoRoute: 404,
    WrongMethod: 405,
    TooSlow: 408,
    Conflict: 409,
    RunStopped: 409,
    BodyTooLarge: 413,
    PayloadTooLarge: 413,
    TargetTooLong: 414,
    WrongMediaType: 415,
    WrongHost: 421,
    AnswerTooLarge: 422,
    TypeMismatch: 422,
    StepError: 422,
    BudgetExceeded: 429,
    HeadersTooLarge: 431,
    StoreError: 500,
    OutlastError: 500,
    Overloaded: 503,
    Stopping: 503,
    StoreUnavailable: 503,
    TookTooLong: 504,
}
"""The status of each error; a class that is not listed has its nearest base's."""

RETRY_AFTER_S: dict[int, int] = {408: 1, 429: 10, 503: 1, 504: 1}
"""What a retryable answer says in ``Retry-After``, by status."""


class Problem(msgspec.Struct, frozen=True):
    """What the body of every answer of 4xx and 5xx is. `status` repeats the response's; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool


def status_of(error: OutlastError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: OutlastError) -> Problem:
    """The problem document of an error."""
    status = status_of(error)
    return Problem("about:blank", HTTPStatus(status).phrase, status, _text(error), error.code, error.retryable)


def _text(error: OutlastError) -> str:
    return str(error).encode("utf-8", "replace").decode() or error.code.replace("_", " ")


def problem_headers(error: OutlastError) -> dict[str, str]:
    """The headers that belong to an error's response."""
    status = status_of(error)
    headers = {"content-type": media_type}
    if error.retryable and status in RETRY_AFTER_S:
        headers["retry-after"] = str(RETRY_AFTER_S[status])
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="outlast"'
    if isinstance(error, WrongMethod):
        headers["allow"] = error.allow
    if isinstance(error, (TooSlow, BadHead, HeadersTooLarge, TargetTooLong)):
        headers["connection"] = "close"
    return headers


def problem_body(error: OutlastError) -> bytes:
    """The body of an error's response."""
    return msgspec.json.encode(problem_of(error))


class Problems:
    """Middleware: what is raised below becomes a problem document; what nobody foresaw is logged and hidden."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as raised:  # noqa: BLE001 (outermost: whatever a request led to ends here, and is said)
            error = self._known(scope, raised)
            if started:
                self._log.broken_off(scope, error)
                return
            body = problem_body(error)
            headers = [(name.encode(), value.encode("latin-1")) for name, value in problem_headers(error).items()]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _known(self, scope: Scope, raised: Exception) -> OutlastError:
        if isinstance(raised, OutlastError):
            return raised
        if isinstance(raised, HTTPException) and raised.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allow = (raised.headers or {}).get("Allow", "")
            return WrongMethod(f"method {scope['method'][:20]} is not served at this path: use {allow}", allow)
        if isinstance(raised, HTTPException) and raised.status_code == HTTPStatus.NOT_FOUND:
            return NoRoute("nothing is served at this path: see /openapi.json for what is")
        self._log.failed(scope, raised)
        return OutlastError("the server failed to answer this request; its log says why")
