"""Which node of a cluster holds which key: learned from the nodes, beside the calls and never in their way.

The client of the library learns a new shape by closing every connection and having all commands wait: when one shard is
lost, the answers of the others are lost as well for as long. Here a node that fails fails alone.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from outlast.kernel.clock import Clock

refresh_every_s = 0.1
"""The shape is asked for no more often than this."""
nodes_max = 1_000


class Shape:
    """The clients of all nodes that are known. Without `cluster` the first one holds everything."""

    def __init__(self, nodes: tuple[str, ...], make: Callable[[str], Any], clock: Clock, *, cluster: bool) -> None:
        self._first = nodes
        self._make = make
        self._clock = clock
        self._cluster = cluster
        self._clients: dict[str, Any] = {}
        self._starts: list[int] = []
        self._owners: list[str] = []
        self._moved: dict[int, str] = {}  # slots that a node said are elsewhere, until the shape is learned anew
        self._learning: asyncio.Task[None] | None = None
        self._learned_at = -refresh_every_s

    def node(self, key: str) -> str:
        """Which node holds a key, as far as it is known; empty: it is not."""
        if not self._cluster:
            return self._first[0]
        from valkey.crc import key_slot

        slot = key_slot(key.encode())
        if slot in self._moved:
            return self._moved[slot]
        at = bisect_right(self._starts, slot) - 1
        return self._owners[at] if at >= 0 else ""

    async def client(self, key: str) -> Any:
        """The client of the node that holds a key; waits for the shape if nothing is known yet."""
        if self._cluster and not self._starts:
            await self.learned()
        return self.of(self.node(key) or self._first[0])

    def of(self, node: str) -> Any:
        """The client of one node."""
        if node not in self._clients:
            self._clients[node] = self._make(node)
        return self._clients[node]

    def moved(self, slot: int, node: str) -> None:
        """A node said where a slot is now."""
        self._moved[slot] = node
        self.learn()

    def learn(self) -> None:
        """Ask for the shape, in the background, unless that was done just now."""
        if self._cluster and (self._learning is None or self._learning.done()):
            self._learning = asyncio.get_running_loop().create_task(self._learn())

    async def learned(self) -> None:
        """Wait until it was asked for once more."""
        self.learn()
        if self._learning is not None:
            await asyncio.shield(self._learning)

    async def close(self) -> None:
        """Close all connections."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    async def _learn(self) -> None:
        wait_s = self._learned_at + refresh_every_s - self._clock.monotonic()
        await self._clock.sleep(max(0.0, wait_s))
        for node in dict.fromkeys([*self._owners, *self._first, *self._clients]):
            if await self._told_by(node):
                break
        self._learned_at = self._clock.monotonic()

    async def _told_by(self, node: str) -> bool:
        from valkey.exceptions import ValkeyError

        try:
            found: list[Any] = await self.of(node).execute_command("CLUSTER SLOTS")
            ranges = sorted((int(start), _address(primary, node)) for start, _, primary, *_ in found)
        except (ValkeyError, OSError, TimeoutError, ValueError, TypeError, IndexError):
            return False
        if not ranges or len(ranges) > nodes_max:
            return False
        self._starts, self._owners = [start for start, _ in ranges], [owner for _, owner in ranges]
        self._moved.clear()
        gone = [each for each in self._clients if each not in self._owners and each not in self._first]
        for each in gone:
            await self._clients.pop(each).aclose()
        return True


def _address(primary: list[Any], asked: str) -> str:
    """A node that does not know its own name is where it was asked."""
    host = primary[0].decode() if primary[0] else asked.rpartition(":")[0]
    return f"{host}:{int(primary[1])}"
