"""How a Valkey server or cluster is reached: time-outs of milliseconds, TLS, and no secret but by reference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from outlast.adapters.valkey.shape import Shape
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.model.shelf import ShelfUnavailable

T = TypeVar("T")

_shown_chars = 200


class ValkeyPlace(msgspec.Struct, frozen=True):
    """Where it is. `nodes` are ``host:port``; of a cluster any of them, the rest is learned.

    `timeout_s` bounds what a caller waits for one answer, `late_s` what goes on behind it (a cluster's new shape is
    learned there). At most `connections_max` a node and `late_max` answers that nobody waits for any more.
    """

    nodes: tuple[str, ...]
    cluster: bool = False
    tls: bool = False
    ca_file: str | None = None
    username: str | None = None
    timeout_s: float = 0.1
    late_s: float = 2.0
    connections_max: int = 64
    late_max: int = 256

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ConfigurationError("valkey nodes are missing: write at least one host:port")
        for node in self.nodes:
            host, _, port = node.rpartition(":")
            if not host or not port.isdigit():
                raise ConfigurationError(f"valkey node {node[:100]!r} is not understood: write host:port")
        if not 0 < self.timeout_s <= self.late_s:
            raise ConfigurationError(
                f"valkey timeout_s is {self.timeout_s:g}: it must be more than 0 and at most late_s, {self.late_s:g}"
            )


class Connection:
    """The clients of one server or cluster; `password` is asked for when one is made, never kept here. Close it when
    done.
    """

    def __init__(self, place: ValkeyPlace, clock: Clock, password: Callable[[], str | None] | None = None) -> None:
        self._place = place
        self._password = password
        self._shape = Shape(place.nodes, self._made, clock, cluster=place.cluster)
        self._late: set[asyncio.Task[Any]] = set()

    async def ask(self, key: str, what: Callable[[Any], Awaitable[T]]) -> T:
        """What the client of the key's node says within `timeout_s`. Raises ShelfUnavailable.

        An answer that comes later is read all the same, so that a connection is not given up for a slow moment and the
        next answer on it is not taken for another's.
        """
        if len(self._late) >= self._place.late_max:
            raise ShelfUnavailable(f"valkey does not answer: {len(self._late)} answers are late already")
        task = asyncio.get_running_loop().create_task(self._asked(key, what))
        try:
            done, _ = await asyncio.wait((task,), timeout=self._place.timeout_s)
        except asyncio.CancelledError:
            self._keep(task)
            raise
        if done:
            return task.result()
        self._keep(task)
        raise ShelfUnavailable(f"valkey did not answer within {self._place.timeout_s:g} s")

    def part(self, key: str) -> str:
        """The node that holds a key, as far as it is known."""
        return self._shape.node(key)

    async def close(self) -> None:
        """Close its connections; what is late is given up."""
        for task in list(self._late):
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        await self._shape.close()

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._late.add(task)
        task.add_done_callback(self._came)

    def _came(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # it was said that there is no answer; what it would have been does not matter

    async def _asked(self, key: str, what: Callable[[Any], Awaitable[T]]) -> T:
        try:
            from valkey import exceptions as said
        except ImportError:
            raise ShelfUnavailable("valkey needs the extra: pip install 'outlast[valkey]'") from None

        try:
            async with asyncio.timeout(self._place.late_s):
                client = await self._shape.client(key)
                try:
                    return await what(client)
                except said.MovedError as moved:
                    there: Any = moved
                    node = f"{there.host}:{there.port}"
                    self._shape.moved(there.slot_id, node)
                    return await what(self._shape.of(node))
        except (said.ValkeyError, OSError, TimeoutError) as error:
            self._shape.learn()
            words = " ".join(str(error).split())[:_shown_chars] or type(error).__name__
            raise ShelfUnavailable(f"valkey did not answer: {words}") from None

    def _made(self, node: str) -> Any:
        from valkey import asyncio as clients
        from valkey.asyncio.retry import Retry
        from valkey.backoff import NoBackoff

        place = self._place
        host, _, port = node.rpartition(":")
        return clients.Valkey(
            host=host,
            port=int(port),
            username=place.username,
            password=self._password() if self._password is not None else None,
            ssl=place.tls,
            ssl_ca_certs=place.ca_file,
            ssl_check_hostname=place.tls,
            socket_timeout=place.late_s,
            socket_connect_timeout=min(1.0, place.late_s),
            retry=Retry(NoBackoff(), 0),
            max_connections=place.connections_max,
        )
