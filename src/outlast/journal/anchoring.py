"""Carries acknowledged heads from the append path to where they are anchored: in the background, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.journal.anchor import AnchorStore
from outlast.journal.stream import Head
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

waiting_max = 20_000
"""Bound of the streams whose heads wait to be anchored: from half of it on they are anchored at once."""


class Anchoring:
    """Give `see` to who acknowledges appends, run `run` until it is cancelled, then await `flush`.

    `every_s`: how often heads are anchored, so how long a cut-off tail may go unnoticed. A head that is replaced by a
    later one before that is never written. `complain` gets a line when heads cannot be written, not the same twice.
    """

    def __init__(
        self,
        anchors: AnchorStore,
        clock: Clock,
        every_s: float,
        complain: Callable[[str], None],
        waiting_max: int = waiting_max,
    ) -> None:
        self._anchors = anchors
        self._clock = clock
        self._every_s = every_s
        self._complain = complain
        self._waiting_max = waiting_max
        self._waiting: dict[str, Head] = {}
        self._many = asyncio.Event()
        self._said = ""
        self.dropped = 0
        """Heads that were given up, because they could not be written for too long."""

    def see(self, heads: Sequence[tuple[str, Head]]) -> None:
        """These streams have come so far. Never fails, and takes about a microsecond for each."""
        waiting = self._waiting
        for stream, head in heads:
            waiting[stream] = head
        if len(waiting) * 2 > self._waiting_max:
            self._many.set()
            while len(waiting) > self._waiting_max:
                del waiting[next(iter(waiting))]
                self.dropped += 1

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            tasks = [loop.create_task(self._clock.sleep(self._every_s)), loop.create_task(self._many.wait())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
            self._many.clear()
            if not await self.flush():
                await self._clock.sleep(self._every_s)

    async def flush(self) -> bool:
        """Anchor what waits now; whether that went well."""
        taken, self._waiting = self._waiting, {}
        if not taken:
            return True
        try:
            await self._anchors.note(taken.items())
        except BaseException as error:
            self._waiting = {**taken, **self._waiting}  # a later head replaces an earlier one
            if not isinstance(error, OutlastError):
                raise
            if str(error) != self._said:  # a second witness: without it the journal goes on, and somebody should know
                self._said = str(error)
                self._complain(f"heads of streams are not anchored: {error}")
            return False
        self._said = ""
        return True
