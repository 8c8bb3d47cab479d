"""One connection to a server: HTTP/1.1 parsed by httptools, one exchange at a time."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import cast

import httptools

from outlast.model.endpoint import EndpointRefused, EndpointUnavailable

head_bytes_max = 64 * 1024
"""Bound of the status line and headers of one answer: 64 KiB."""
buffer_bytes_max = 256 * 1024
"""What is read ahead of a slow reader before the server is made to wait: 256 KiB."""


class Stale(Exception):
    """A kept connection was closed by the server before it said anything: it had not taken the request."""


class Link(asyncio.Protocol):
    """One connection. Between `send` and `over` it carries one exchange."""

    __slots__ = (
        "_bytes",
        "_chunks",
        "_ends_with_connection",
        "_loop",
        "_parser",
        "_paused",
        "_seen",
        "_waiter",
        "_where",
        "closed",
        "complete",
        "framed",
        "headers",
        "idle_since",
        "keeper",
        "limit",
        "problem",
        "reusable",
        "status",
        "transport",
        "used",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, where: str) -> None:
        self._loop = loop
        self._where = where
        self.transport = cast(asyncio.Transport, None)
        self.closed = False
        self.used = False
        self.keeper: Callable[[Link], None] | None = None
        """Who takes the connection as soon as the answer has ended."""
        self.idle_since = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._chunks: list[bytes] = []
        self._bytes = self._seen = self.status = self.limit = 0
        self._paused = self.complete = self.reusable = self.framed = self._ends_with_connection = False
        self.headers: dict[bytes, bytes] = {}
        self.problem = ""

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._ends_with_connection and exc is None:
            self.complete = True
        elif not self.complete and not self.problem:
            self.problem = "broke off" if exc is None else reason_of(exc)
        self._wake()

    def data_received(self, data: bytes) -> None:
        if self.complete or self.problem:  # nothing was asked: whatever it is, the connection is of no more use
            self.reusable = False
            self.abort()
            return
        self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"sent what is no HTTP: {type(error).__name__.removeprefix('HttpParser').lower()}")
            return
        if not self.framed and self._seen > head_bytes_max:
            self._fail(f"sent more than {head_bytes_max} bytes of headers, the bound head_bytes_max")
        elif self.limit and self._bytes > self.limit:
            self._fail(_too_much(self.limit))
        elif not self.limit and self._bytes > buffer_bytes_max and not self._paused and not self.closed:
            self._paused = True
            self.transport.pause_reading()
        if self.framed and (not self.limit or self.complete):
            self._wake()

    # httptools

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for makes the connection unfit for another request."""
        if self.complete:
            self.reusable = False
            self.closed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; of several with one name the last counts."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is here; an informational one (1xx) is passed over."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.status = status
        self.framed = True
        self.reusable = self._parser.should_keep_alive()
        headers = self.headers
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            self._ends_with_connection = status not in (204, 304)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._bytes += len(body)
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The end of an answer."""
        if not self.framed:
            self.headers = {}
            return
        self.complete = True
        if self.keeper is not None:
            self.keeper(self)

    # The exchange

    def send(self, head: bytes, body: bytes) -> None:
        """Begin an exchange."""
        if self.used:
            self._begin()
        self.transport.write(head + body)

    async def head(self) -> None:
        """Until status and headers are here. Raises Stale, EndpointUnavailable."""
        while not self.framed:
            if self.problem or self.closed:
                if self.used and not self._seen and self.problem != "":
                    raise Stale
                self.refuse()
            await self._wait()

    async def chunk(self) -> bytes:
        """What has come since, at least one byte; empty at the end of the body. Raises EndpointUnavailable."""
        while not self._chunks:
            if self.complete:
                return b""
            if self.problem:
                self.refuse()
            await self._wait()
        return self._take()

    async def whole(self, limit: int) -> bytes:
        """The rest of the body, at most `limit` bytes. Raises EndpointUnavailable, also when it is more."""
        self.limit = limit
        self._resume()
        while True:
            if self._bytes > limit and not self.problem:  # so much may have come before the bound was known
                self._fail(_too_much(limit))
            if self.problem:
                self.refuse()
            if self.complete:
                return self._take()
            await self._wait()

    def refuse(self) -> None:
        """Raise what went wrong."""
        if self.problem == _too_much(self.limit):
            raise EndpointRefused(f"{self._where} {self.problem}: ask for less, or raise the bound", elsewhere=True)
        raise EndpointUnavailable(f"{self._where} {self.problem or 'broke off'}")

    def abort(self, problem: str = "was given up") -> None:
        """Close at once."""
        if not self.complete and not self.problem:
            self.problem = problem
        self.closed = True
        self.transport.abort()
        self._wake()

    def _take(self) -> bytes:
        chunks = self._chunks
        if len(chunks) == 1:
            found = chunks[0]
            chunks.clear()
        else:
            found = b"".join(chunks)
            self._chunks = []
        self._bytes = 0
        self._resume()
        return found

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self.closed:
                self.transport.resume_reading()

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self.reusable = False
        self.abort()

    async def _wait(self) -> None:
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _too_much(limit: int) -> str:
    return f"sent more than {limit} bytes, the bound response_bytes_max"


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in a few words without an address."""
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text names the address only
    return " ".join(str(error).split()).lower()[:200] or type(error).__name__
