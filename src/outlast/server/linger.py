"""The outermost middleware: the headers that every response has, and refusals that a client still sending can read.

A connection that is closed while its client sends is reset, and the reset may overtake the answer. So what is left of a
body that nobody read is thrown away for a bounded time and size, and the connection is closed after the answer.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlast.kernel.clock import Clock
from outlast.server.limit import Limits
from outlast.server.log import Log

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


class Linger:
    """Middleware; see the module."""

    def __init__(self, app: ASGIApp, limits: Limits, clock: Clock, log: Log) -> None:
        self._app = app
        self._limits = limits
        self._clock = clock
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = _Exchange(scope, receive, send, self._limits)
        begun = self._clock.monotonic()
        await self._app(scope, exchange.receive, exchange.send)
        self._log.answered(scope, exchange.status, self._clock.monotonic() - begun)


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        headers = Headers(scope=scope)
        self._unread = headers.get("content-length", "0").strip("0") != "" or "transfer-encoding" in headers
        self._receive = receive
        self._send = send
        self._limits = limits
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            for name, value in _ALWAYS.items():
                headers.setdefault(name, value)
            if self._unread:
                headers["connection"] = "close"
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _discard(self) -> None:
        size = 0
        try:
            async with asyncio.timeout(self._limits.linger_s):
                while self._unread and size < self._limits.discard_bytes_max:
                    size += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return  # it has had its time; the connection is closed with what is left
