"""Shared counters on a Valkey or Redis server or cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outlast.adapters.valkey.connection import Connection


class ValkeyTally:
    """Implements `model.tally.Tally`: a hash whose fields are counted up in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, name: str, counts: Sequence[int], ttl_s: float) -> Sequence[int]:
        async def added(client: Any) -> list[int]:
            async with client.pipeline(transaction=True) as pipe:
                for number, count in enumerate(counts):
                    pipe.hincrby(name, str(number), count)
                pipe.pexpire(name, max(1, round(ttl_s * 1000)))
                return [int(total) for total in (await pipe.execute())[:-1]]

        return await self._connection.ask(name, added)
