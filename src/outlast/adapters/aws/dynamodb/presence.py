"""Signs of life: one item a host, all of a store under one key."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.table import Table
from outlast.cell.presence import HostBeat, read, written
from outlast.journal.lineage import Lineage
from outlast.kernel.error import StoreCorrupt


class DynamoPresence:
    """Implements `Presence`."""

    def __init__(self, table: Table, lineage: Lineage) -> None:
        self._table = table
        self._pk = layout.presence(lineage)

    async def beat(self, beat: HostBeat) -> None:
        await self._table.put(
            {**layout.key(self._pk, beat.host), "beats": {"N": str(beat.count)}, "workers": {"S": written(beat)}}
        )

    async def leave(self, host: str) -> None:
        await self._table.delete(layout.key(self._pk, host))

    async def all(self) -> Sequence[HostBeat]:
        found = await self._table.query(self._pk)
        try:
            return [read(item["sk"]["S"], int(item["beats"]["N"]), item["workers"]["S"]) for item in found]
        except (KeyError, ValueError, msgspec.MsgspecError) as error:
            raise StoreCorrupt(f"table {self._table.name}: an entry of {self._pk} cannot be read: {error}") from None
