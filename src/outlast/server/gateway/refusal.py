"""What the gateway says when it does not answer: statuses, and bodies in the shape that the client's library reads."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

Shape = Literal["openai", "anthropic"]
"""Whose error objects the client reads."""

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class Refusal(Exception):
    """One refusal. `code` is stable; the message is lower case: subject, found, expected, what to do."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        param: str | None = None,
        allow: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.param = param
        self.allow = allow

    @property
    def kind(self) -> str:
        """The type in the error object."""
        return _KINDS.get(self.status) or ("invalid_request_error" if self.status < 500 else "api_error")

    def body(self, shape: Shape) -> bytes:
        """The JSON object that the client's library makes an exception of."""
        if shape == "anthropic":
            return msgspec.json.encode(
                {"type": "error", "error": {"type": self.kind, "message": self.message, "code": self.code}}
            )
        return msgspec.json.encode(
            {"error": {"message": self.message, "type": self.kind, "code": self.code, "param": self.param}}
        )

    def headers(self) -> bytes:
        """Header lines beyond the usual: whole seconds, rounded up, for Retry-After (RFC 9110, section 10.2.3)."""
        lines = b"Allow: %b\r\n" % self.allow if self.allow else b""
        if self.retry_after_s is not None:
            lines += b"Retry-After: %d\r\n" % max(1, math.ceil(self.retry_after_s))
        return lines
