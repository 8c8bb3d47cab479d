"""The lean upstream client: HTTP/1.1 over asyncio with httptools, keep-alive, one exchange at a time on a connection.

The gateway's hot path. It knows bytes only: a request goes out whole, a head comes back, then a body whole or in
pieces. Everything that goes wrong is an EndpointUnavailable that says where and what.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from outlast.adapters.openai.link import Link, Stale, reason_of
from outlast.adapters.openai.origin import parse_origin
from outlast.kernel.clock import Clock
from outlast.model.endpoint import EndpointUnavailable

connect_timeout_s_default = 3.0
"""Bound of one connection, TLS included."""
idle_s_default = 4.0
"""Below the 5 s of llama.cpp's and Node's servers: they close idle connections, we rather do first."""
idle_max_default = 256
"""Idle connections kept to one origin."""


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
        self._wire: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
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
            except Stale:
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

    async def _connect(self) -> Link:
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
        self._idle: list[Link] = []
        self._ending: set[Link] = set()
        self._closed = False

    def begin(self) -> Exchange:
        """An exchange that has not begun."""
        return Exchange(self)

    def idle(self) -> Link | None:
        """A kept connection, the last used first: those beyond the need grow old and go."""
        kept = self._idle
        oldest = self._monotonic() - self._idle_s
        while kept:
            wire = kept.pop()
            if not wire.closed and wire.idle_since >= oldest:
                return wire
            wire.abort()
        return None

    def give_back(self, wire: Link) -> None:
        """Keep a connection whose exchange is over, if that can be; one whose answer is about to end may come early."""
        if wire.keeper is None and not wire.complete and not wire.problem:
            wire.keeper = self.give_back
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

    async def connect(self) -> Link:
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
                    lambda: Link(loop, self.where), origin.host, origin.port, **options
                )
        except TimeoutError:
            raise EndpointUnavailable(
                f"{self.where} could not be connected within {self._connect_timeout_s:g} s"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a host name that IDNA refuses
            raise EndpointUnavailable(f"{self.where} cannot be connected: {reason_of(error)}") from None
        return wire
