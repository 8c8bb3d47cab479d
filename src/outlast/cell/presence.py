"""Who is there on the hosts that share a store: one entry a host, written over and over, read by all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class HostBeat(msgspec.Struct, frozen=True):
    """One supervisor's sign of life. `host` is unique for each supervisor process that ever was."""

    host: str
    count: int
    """Grows with every beat; observers age it by their own monotonic clocks, no clock of the host's is trusted."""
    workers: tuple[str, ...] = ()
    """Its workers that are not silent."""


class Presence(Protocol):
    """Where hosts say that they are there. Every adapter passes `tests/contracts/presence.py`.

    A hint like any other: losing, doubling or delaying a beat costs time, never correctness.
    """

    async def beat(self, beat: HostBeat) -> None:
        """Write this host's entry over. Raises StoreUnavailable."""
        ...

    async def leave(self, host: str) -> None:
        """Remove a host's entry; nothing if there is none. Raises StoreUnavailable."""
        ...

    async def all(self) -> Sequence[HostBeat]:
        """Every entry, in the order of hosts, as of now. Raises StoreUnavailable."""
        ...
