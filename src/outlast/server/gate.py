"""Bounds on each request: how large, how long, how many at once. Pure ASGI, between the wire and the routes."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlast.server.limit import Limits
from outlast.server.refusal import (
    BadHead,
    BodyTooLarge,
    HeadersTooLarge,
    Overloaded,
    TargetTooLong,
    TookTooLong,
    TooSlow,
)


class Turn:
    """One request's place among those that are being answered; in ``scope["outlast.turn"]``."""

    def __init__(self, gate: Gate, bound: asyncio.Timeout) -> None:
        self._gate = gate
        self._bound = bound
        self._held = True
        gate.answering += 1

    @classmethod
    def of(cls, scope: Scope) -> Turn:
        """The turn of this request."""
        turn = scope["outlast.turn"]
        assert isinstance(turn, Turn)
        return turn

    def follow(self) -> None:
        """Give the place back and lift the bound on time: from here on the bounds of followers hold."""
        self._bound.reschedule(None)
        self.leave()

    def leave(self) -> None:
        """Give the place back; a second time does nothing."""
        if self._held:
            self._held = False
            self._gate.answering -= 1


class Gate:
    """Middleware: refuses what is over a bound of `Limits`, and ends what takes too long."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self.answering = 0
        """Requests that are being answered now."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self._limits
        check_head(scope, limits)
        if self.answering >= limits.requests_max:
            raise Overloaded(
                f"the server answers {limits.requests_max} requests at once, which is its bound: try again"
            )
        bound = asyncio.timeout(limits.request_timeout_s)
        try:
            async with bound:
                turn = scope["outlast.turn"] = Turn(self, bound)
                try:
                    await self._app(scope, _Metered(receive, limits), send)
                finally:
                    turn.leave()
        except TimeoutError:
            if not bound.expired():
                raise
            raise TookTooLong(
                f"the answer took longer than {limits.request_timeout_s:g} s: what was asked may have been done; "
                "ask again with the same Idempotency-Key"
            ) from None


class _Metered:
    """`receive` with the bounds on a body's size and time."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._limits = limits
        self._size = 0
        self._ended = False
        self._until = asyncio.get_running_loop().time() + limits.body_timeout_s

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"the body did not arrive within {self._limits.body_timeout_s:g} s") from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._size > self._limits.body_bytes_max:
                raise _too_large(self._limits)
        else:
            self._ended = True
        return message


def check_head(scope: Scope, limits: Limits) -> None:
    """Refuse a request whose head is over a bound or announces a body that is."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if scope["http_version"] not in ("1.0", "1.1"):
        raise BadHead("the request is not of HTTP/1.1 or HTTP/1.0, which are what this server speaks")
    if len(scope["raw_path"]) + len(scope["query_string"]) > limits.target_bytes_max:
        raise TargetTooLong(
            f"path and query are longer than {limits.target_bytes_max} bytes, the bound target_bytes_max"
        )
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > limits.header_count_max or size > limits.header_bytes_max:
        raise HeadersTooLarge(
            f"{len(headers)} headers of {size} bytes are over the bounds header_count_max {limits.header_count_max} "
            f"and header_bytes_max {limits.header_bytes_max}"
        )
    names = [name for name, _ in headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise BadHead("the request has both Content-Length and Transfer-Encoding: send one of them")
    length = Headers(scope=scope).get("content-length", "0")
    if int(length) > limits.body_bytes_max:  # the HTTP parser let digits through, nothing else
        raise _too_large(limits)


def _too_large(limits: Limits) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is larger than {limits.body_bytes_max} bytes, the bound body_bytes_max: pass a reference instead"
    )
