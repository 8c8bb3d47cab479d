"""What AWS services have in common as upstreams: an exchange that can be ended from outside, an answer in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from outlast.adapters.aws.client import Client
from outlast.adapters.aws.failure import translated
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable

T = TypeVar("T")

Pieces = AsyncIterator[bytes]
Asking = Callable[[bytes, "ServiceExchange"], Awaitable[tuple[bytes, Pieces]]]
"""Sends a body; the content type of the answer and its pieces. Tells the exchange with `held` what is to be closed."""


class ServiceAnswer:
    """An answer with status 200; errors were raised before it came to be."""

    status = 200

    def __init__(self, kind: bytes, pieces: Pieces, exchange: ServiceExchange) -> None:
        self.headers = {b"content-type": kind}
        self._pieces = pieces
        self._exchange = exchange

    async def chunk(self) -> bytes:
        """The next piece of the body, empty at its end. Raises EndpointError."""
        return await self._exchange.under_way(self._next())

    async def whole(self, limit: int) -> bytes:
        """All of the body. Raises EndpointRefused above `limit` bytes."""
        gathered = bytearray()
        while piece := await self.chunk():
            gathered += piece
            if len(gathered) > limit:
                where = self._exchange.where
                raise EndpointRefused(f"{where} answered more than {limit} bytes: ask for less (max_tokens)")
        return bytes(gathered)

    async def _next(self) -> bytes:
        async for piece in self._pieces:
            if piece:
                return piece
        return b""


class ServiceExchange:
    """One request and its answer. `abort` ends it from outside, whatever it is waiting for; safe at any time."""

    def __init__(self, ask: Asking, where: str) -> None:
        self.where = where
        self._ask = ask
        self._task: asyncio.Task[Any] | None = None
        self._close: Callable[[], object] | None = None
        self._aborted = False

    async def ask(self, head: bytes, body: bytes) -> ServiceAnswer:
        """Send a chat completion's JSON object; `head` is for HTTP and not used. Raises EndpointError."""
        kind, pieces = await self.under_way(self._asked(body))
        return ServiceAnswer(kind, pieces, self)

    def held(self, close: Callable[[], object]) -> None:
        """What ends the answer that is coming."""
        self._close = close

    def done(self) -> None:
        """What matters of the body was read."""
        if self._close is not None:
            self._close()
            self._close = None

    def abort(self) -> None:
        """End it at once; who waits for it gets EndpointUnavailable."""
        self._aborted = True
        if self._task is not None:
            self._task.cancel()
        self.done()

    async def under_way(self, work: Coroutine[Any, Any, T]) -> T:
        """Await in a task of its own, which `abort` can end."""
        if self._aborted:
            work.close()
            raise EndpointUnavailable(f"the request to {self.where} was given up")
        self._task = asyncio.get_running_loop().create_task(self._translated(work))
        try:
            return await self._task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._aborted and not (current is not None and current.cancelling()):
                raise EndpointUnavailable(f"the request to {self.where} was given up") from None
            raise
        finally:
            self._task = None

    async def _translated(self, work: Coroutine[Any, Any, T]) -> T:
        with translated(self.where):
            return await work

    async def _asked(self, body: bytes) -> tuple[bytes, Pieces]:
        try:
            return await self._ask(body, self)
        except ConfigurationError as error:
            raise EndpointRefused(f"{self.where} cannot be asked: {error}", elsewhere=True) from None


class Service:
    """An upstream whose requests go through one client."""

    def __init__(self, where: str, client: Client, ask: Asking) -> None:
        self.where = where
        self._client = client
        self._ask = ask

    def begin(self) -> ServiceExchange:
        """An exchange; nothing is sent yet."""
        return ServiceExchange(self._ask, self.where)

    def sweep(self) -> None:
        """Nothing: the client looks after its connections."""

    def close(self) -> None:
        """Close the client's connections, in the background."""
        self._client.close()
