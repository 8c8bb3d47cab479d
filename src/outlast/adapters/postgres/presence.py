"""Signs of life as rows, one a host. Their commits wait for nothing: they are hints."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.adapters.postgres.pool import Pool
from outlast.cell.presence import HostBeat, read, written
from outlast.kernel.error import StoreCorrupt


class PostgresPresence:
    """Implements `Presence`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(self, beat: HostBeat) -> None:
        await self._pool.rows(
            "INSERT INTO host (host, count, workers) VALUES (%s, %s, %s) "
            "ON CONFLICT (host) DO UPDATE SET count = excluded.count, workers = excluded.workers",
            (beat.host, beat.count, written(beat)),
        )

    async def leave(self, host: str) -> None:
        await self._pool.rows("DELETE FROM host WHERE host = %s", (host,))

    async def all(self) -> Sequence[HostBeat]:
        rows = await self._pool.rows("SELECT host, count, workers FROM host ORDER BY host")
        try:
            return [read(str(host), int(count), workers) for host, count, workers in rows]
        except msgspec.MsgspecError as error:
            raise StoreCorrupt(f"table host holds workers that are not understood: {error}") from None
