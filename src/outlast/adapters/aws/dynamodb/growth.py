"""Which streams grew, in whatever process: told by the stream of the table, for whoever publishes them.

DynamoDB tells no process what another one has written, but keeps the keys of what changed for a day. One host reads
them: a shard of a table's stream has room for two readers, and for one where the table is replicated. So this is no
doorbell between many hosts; `cell/courier.py` is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Place
from outlast.adapters.aws.streams import Change, TableStream
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import SnapshotStore
from outlast.journal.stream import Notice, StreamKey
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreError, UsageError

look_again_s = 60.0
"""How long it rests where the table has no stream, or does not say."""
_room_every_s = 0.1


class Growth:
    """Run `run` until it is cancelled. `ring` is told of streams of `lineage` that grew, never of more than there is
    `room` for. `complain` gets a line for what is in the way.
    """

    def __init__(
        self, table: str, calls: Calls, place: Place, snapshots: SnapshotStore, lineage: Lineage, clock: Clock,
        ring: Callable[[Sequence[Notice]], None], room: Callable[[], int], complain: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._table = table
        self._calls = calls
        self._place = place
        self._snapshots = snapshots
        self._lineage = lineage
        self._clock = clock
        self._ring = ring
        self._room = room
        self._complain = complain

    async def run(self) -> None:
        arn = await self._found()
        stream = TableStream(
            arn, self._place, self._snapshots, self._lineage, self._clock, self._heard, self._complain
        )  # fmt: skip
        try:
            await stream.run()
        finally:
            await stream.close()

    async def _found(self) -> str:
        """The table's stream, once it has one."""
        said = ""
        while True:
            try:
                told: dict[str, Any] = (await self._calls.many("DescribeTable", TableName=self._table))["Table"]
                if told.get("StreamSpecification", {}).get("StreamEnabled"):
                    return str(told["LatestStreamArn"])
                problem = (
                    f"table {self._table} has no stream, so events are found late, by looking: "
                    "run `outlast store prepare`"
                )
            except StoreError as error:
                problem = f"the stream of table {self._table} cannot be found: {error}"
            if problem != said:
                self._complain(problem)
                said = problem
            await self._clock.sleep(look_again_s)

    async def _heard(self, changes: Sequence[Change]) -> None:
        notices = [notice for change in changes if (notice := self._notice(change)) is not None]
        while self._room() < len(notices):
            await self._clock.sleep(_room_every_s)
        self._ring(notices)

    def _notice(self, change: Change) -> Notice | None:
        """That of a record of ours; None for all else that the table holds."""
        try:
            stream, place = str(change.keys["pk"]["S"]), str(change.keys["sk"]["S"])
            if change.kind != "REMOVE" and place.isdigit() and StreamKey.parse(stream).lineage == self._lineage:
                return Notice(stream, int(place))
        except (KeyError, TypeError, UsageError):
            pass
        return None
