"""The lean upstream client: HTTP/1.1 over asyncio with httptools, keep-alive, one exchange at a time on a connection.

The gateway's hot path. It knows bytes only: a request goes out whole, a head comes back, then a body whole or in
pieces. Everything that goes wrong is an EndpointUnavailable that says where and what.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable

connect_timeout_s_default = 3.0
"""Bound of one connection, TLS included."""
idle_s_default = 4.0
"""Below the 5 s of llama.cpp's and Node's servers: they close idle connections, we rather do first."""
idle_max_default = 256
"""Idle connections kept to one origin."""
head_bytes_max = 64 * 1024
"""Bound of the status line and headers of one answer: 64 KiB."""
buffer_bytes_max = 256 * 1024
"""What is read ahead of a slow reader before the server is made to wait: 256 KiB."""


class Origin(msgspec.Struct, frozen=True):
    """A server, and the path before every request's own: ``http://127.0.0.1:8001/v1``."""

    url: str
    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says: an address of IPv6 in brackets, the port only where it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse_origin(url: str) -> Origin:
    """A base URL, checked; without a path it gets ``/v1``. Raises ConfigurationError, which never shows a password."""
    problem = ConfigurationError("the url of a model server is not valid: write http(s)://host:port/v1")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise problem
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"the url of {parts.hostname} holds a user name or password: give a key by reference instead"
        )
    if not url.isascii() or not url.isprintable() or " " in url:
        raise problem
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/") or "/v1"
    return Origin(url.rstrip("/"), secure, parts.hostname, port or (443 if secure else 80), path)


class _Stale(Exception):
    """A kept connection was closed by the server before it said anything: it had not taken the request."""


class _Wire(asyncio.Protocol):
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
        self.keeper: Upstream | None = None
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
            self.problem = "broke off" if exc is None else _reason(exc)
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
            self.keeper.give_back(self)

    # The exchange

    def send(self, head: bytes, body: bytes) -> None:
        """Begin an exchange."""
        if self.used:
            self._begin()
        self.transport.write(head + body)

    async def head(self) -> None:
        """Until status and headers are here. Raises _Stale, EndpointUnavailable."""
        while not self.framed:
            if self.problem or self.closed:
                if self.used and not self._seen and self.problem != "":
                    raise _Stale
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


class Answer(Protocol):
    """What an exchange gave: read its body with `chunk` or `whole`, then `done` or `abort` the exchange."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> dict[bytes, bytes]:
        """By name in lower case."""
        ...

    async def chunk(self) -> bytes: ...

    async def whole(self, limit: int) -> bytes: ...


class Exchange:
    """One request and its answer. `abort` ends it from outside, whatever it is waiting for; safe at any time."""

    __slots__ = ("_aborted", "_connecting", "_upstream", "_wire")

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None
        self._aborted = False

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request and wait for status and headers.

        A kept connection that the server had closed meanwhile is replaced by a new one, once: such a request was not
        taken (RFC 9112, section 9.3.1). Raises EndpointUnavailable.
        """
        upstream = self._upstream
        wire = upstream.idle()
        if wire is not None:
            self._wire = wire
            wire.send(head, body)
            try:
                await wire.head()
                return wire
            except _Stale:
                wire.abort()
                self._wire = None
        self._wire = wire = await self._connect()
        wire.send(head, body)
        await wire.head()
        return wire

    def done(self) -> None:
        """What matters of the body was read: the connection is kept once the answer has ended, if it can be."""
        wire = self._wire
        if wire is not None:
            self._wire = None
            self._upstream.give_back(wire)

    def abort(self) -> None:
        """End it at once; who waits for it gets EndpointUnavailable."""
        self._aborted = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.abort()

    async def _connect(self) -> _Wire:
        where = self._upstream.where
        if self._aborted:
            raise EndpointUnavailable(f"{where} was given up")
        self._connecting = task = asyncio.ensure_future(self._upstream.connect())
        try:
            wire = await task
        except asyncio.CancelledError:
            if not self._aborted:  # the caller was cancelled, and the task with it
                raise
            raise EndpointUnavailable(f"{where} was given up") from None
        finally:
            self._connecting = None
        if self._aborted:
            wire.abort()
            raise EndpointUnavailable(f"{where} was given up")
        return wire


class Upstream:
    """The connections to one origin, on one event loop.

    `begin` gives an exchange; `sweep` closes what was idle too long, whoever holds it calls it now and then; `close`
    closes all that is idle.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        connect_timeout_s: float = connect_timeout_s_default,
        idle_s: float = idle_s_default,
        idle_max: int = idle_max_default,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.origin = parse_origin(url)
        self.where = f"the model server at {self.origin.url}"
        self._monotonic = clock.monotonic
        self._connect_timeout_s = connect_timeout_s
        self._idle_s = idle_s
        self._idle_max = idle_max
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Wire] = []
        self._ending: set[_Wire] = set()
        self._closed = False

    def begin(self) -> Exchange:
        """An exchange that has not begun."""
        return Exchange(self)

    def idle(self) -> _Wire | None:
        """A kept connection, the last used first: those beyond the need grow old and go."""
        kept = self._idle
        oldest = self._monotonic() - self._idle_s
        while kept:
            wire = kept.pop()
            if not wire.closed and wire.idle_since >= oldest:
                return wire
            wire.abort()
        return None

    def give_back(self, wire: _Wire) -> None:
        """Keep a connection whose exchange is over, if that can be; one whose answer is about to end may come early."""
        if wire.keeper is None and not wire.complete and not wire.problem:
            wire.keeper = self
            wire.idle_since = self._monotonic()
            self._ending.add(wire)
            return
        wire.keeper = None
        self._ending.discard(wire)
        if not wire.complete or not wire.reusable or wire.closed or self._closed or len(self._idle) >= self._idle_max:
            wire.abort()
            return
        wire.used = True
        wire.idle_since = self._monotonic()
        self._idle.append(wire)

    def sweep(self) -> None:
        """Close what has been idle for longer than `idle_s`."""
        oldest = self._monotonic() - self._idle_s
        kept = self._idle
        self._idle = [wire for wire in kept if not wire.closed and wire.idle_since >= oldest]
        for wire in kept:
            if wire.idle_since < oldest and not wire.closed:
                wire.abort()
        for wire in list(self._ending):
            if wire.idle_since < oldest or wire.closed:
                self._ending.discard(wire)
                wire.abort()

    def close(self) -> None:
        """Close idle connections, and the others when their exchange is over."""
        self._closed = True
        for wire in (*self._idle, *self._ending):
            wire.abort()
        self._idle.clear()
        self._ending.clear()

    async def connect(self) -> _Wire:
        """A new connection. Raises EndpointUnavailable."""
        origin, loop = self.origin, asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if origin.secure:
            if self._context is None:
                self._context = self._tls()
            options = {"ssl": self._context, "server_hostname": origin.host}
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, wire = await loop.create_connection(
                    lambda: _Wire(loop, self.where), origin.host, origin.port, **options
                )
        except TimeoutError:
            raise EndpointUnavailable(
                f"{self.where} could not be connected within {self._connect_timeout_s:g} s"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a host name that IDNA refuses
            raise EndpointUnavailable(f"{self.where} cannot be connected: {_reason(error)}") from None
        return wire


def _too_much(limit: int) -> str:
    return f"sent more than {limit} bytes, the bound response_bytes_max"


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text names the address only
    return " ".join(str(error).split()).lower()[:200] or type(error).__name__
