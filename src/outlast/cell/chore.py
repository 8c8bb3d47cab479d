"""What somebody does for a store again and again: rounds, what fails in them, and when blobs were collected last."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import StreamKey
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError, StoreCorrupt
from outlast.kernel.randomness import Randomness

Tell = Callable[[Literal["info", "warning"], str], None]
"""Gets lines for people."""

_version = 1


class Rounds:
    """Goes round until it is cancelled. Each pause is shortened or lengthened by up to a quarter: hosts that start
    together shall not go round together.
    """

    def __init__(self, clock: Clock, randomness: Randomness, tell: Tell) -> None:
        self._clock = clock
        self._randomness = randomness
        self._tell = tell
        self._said = ""

    async def run(self, go: Callable[[], Awaitable[object]], first_after_s: float, every_s: float) -> None:
        """Until cancelled. What fails is said once, and done by the next round. Times in seconds."""
        await self._rest(first_after_s)
        while True:
            try:
                await go()
                self._said = ""
            except OutlastError as error:
                self.complain(f"this store is not kept in order now: {error}")
            await self._rest(every_s)

    def complain(self, line: str) -> None:
        """A warning, not the same one twice."""
        if line != self._said:
            self._said = line
            self._tell("warning", line)

    async def _rest(self, seconds: float) -> None:
        await self._clock.sleep(seconds * (0.75 + 0.5 * self._randomness.uniform()))


class CollectionMark:
    """When the blobs of a journal were collected last, for whoever would do it next."""

    def __init__(self, snapshots: SnapshotStore, lineage: Lineage, clock: Clock) -> None:
        self._snapshots = snapshots
        self._stream = str(StreamKey("chore", "collect", lineage))
        self._clock = clock

    async def at(self) -> float:
        """Seconds since 1970 by the clock of who did, now at the latest; 0 if that is not known."""
        try:
            snapshot = await self._snapshots.load(self._stream)
            if snapshot is None or snapshot.v != _version:
                return 0.0
            return min(msgspec.json.decode(snapshot.body, type=float), self._clock.now())
        except (StoreCorrupt, msgspec.MsgspecError):
            return 0.0

    async def note(self, at: float) -> None:
        """They were collected at that time."""
        body = msgspec.json.encode(at)
        await self._snapshots.save(Snapshot(self._stream, int(at), hashlib.sha256(body).digest(), _version, body))
