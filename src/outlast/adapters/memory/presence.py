"""Signs of life in memory: for tests and the simulation."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.cell.presence import HostBeat


class MemoryPresence:
    """Implements `Presence` for supervisors of one process."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostBeat] = {}

    async def beat(self, beat: HostBeat) -> None:
        self._hosts[beat.host] = beat

    async def leave(self, host: str) -> None:
        self._hosts.pop(host, None)

    async def all(self) -> Sequence[HostBeat]:
        return [self._hosts[host] for host in sorted(self._hosts)]
