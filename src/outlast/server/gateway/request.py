"""One request as it was read, and what it is refused for while it is read."""

from __future__ import annotations

from outlast.server.gateway.limit import GatewayLimits
from outlast.server.gateway.refusal import Refusal


class Request:
    """One request. `path` is without query; header names are in lower case, of several lines with one name the last
    counts.
    """

    __slots__ = ("body", "close", "expects", "headers", "key", "method", "minor", "path")

    def __init__(self) -> None:
        self.method = b""
        self.path = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.minor = 1
        self.close = False
        self.expects = False
        self.key: object = None
        """What `Service.admit` found out about its sender."""


def size_of(headers: dict[bytes, bytes]) -> int:
    """Their bytes on the wire."""
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def late(code: str, what: str, bound_s: float) -> Refusal:
    """What did not come in time."""
    return Refusal(408, code, f"the {what} did not come within {code}_s, {bound_s:g} s: send faster")


def head_too_large(limits: GatewayLimits) -> Refusal:
    """More headers than may be."""
    return Refusal(431, "head_bytes", f"the headers are larger than head_bytes_max, {limits.head_bytes_max} bytes")


def body_too_large(limits: GatewayLimits) -> Refusal:
    """More of a body than may be."""
    return Refusal(413, "body_bytes", f"the body is larger than body_bytes_max, {limits.body_bytes_max} bytes")
