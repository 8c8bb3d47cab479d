"""Why a request is refused before it reaches an agent. `problem.py` maps each class to a status."""

from __future__ import annotations

from outlast.kernel.error import OutlastError, UsageError


class BadRequest(UsageError):
    """The request itself is malformed: JSON, query, header."""

    code = "bad_request"


class BadHead(BadRequest):
    """It cannot be told where the request ends, or it is not HTTP/1: the connection ends with it."""


class Unauthorized(UsageError):
    """No bearer token, or another one than the server's."""

    code = "unauthorized"


class CrossOrigin(UsageError):
    """A browser sent it on behalf of another site."""

    code = "cross_origin"


class WrongHost(UsageError):
    """The Host header names another host than this server is reached by: the sign of DNS rebinding."""

    code = "wrong_host"


class NoRoute(UsageError):
    """Nothing is served at this path."""

    code = "no_route"


class WrongMethod(UsageError):
    """The path exists, the method does not. `allow` lists those that do."""

    code = "wrong_method"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class WrongMediaType(UsageError):
    """A body that is not announced as ``application/json``."""

    code = "wrong_media_type"


class BodyTooLarge(UsageError):
    """The body is larger than `Limits.body_bytes_max`."""

    code = "body_too_large"


class AnswerTooLarge(UsageError):
    """What is asked for is larger than `Limits.answer_bytes_max`."""

    code = "answer_too_large"


class TargetTooLong(UsageError):
    """Path and query are longer than `Limits.target_bytes_max`."""

    code = "target_too_long"


class HeadersTooLarge(UsageError):
    """The headers are more or larger than `Limits` allows."""

    code = "headers_too_large"


class Overloaded(OutlastError):
    """The server answers as many requests as it may at once."""

    code = "overloaded"
    retryable = True


class TooSlow(OutlastError):
    """The client did not send its request in time."""

    code = "too_slow"
    retryable = True


class TookTooLong(OutlastError):
    """The answer was not ready within `Limits.request_timeout_s`. With an idempotency key it is safe to ask again."""

    code = "took_too_long"
    retryable = True


class Stopping(OutlastError):
    """The server is shutting down; another one takes over."""

    code = "stopping"
    retryable = True
