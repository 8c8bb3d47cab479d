"""The shell around the neighbours: says at a steady pace that this host is there, and looks who else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.cell.bound import Bounds
from outlast.cell.neighbour import Neighbours
from outlast.cell.presence import HostBeat, Presence
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError
from outlast.kernel.identity import check_name


class Lookout:
    """One write and one read of `presence` each `every_s`, for the host and not for each worker.

    `workers` are this host's that are not silent, `size` is how many there should be, `draining` says whether it ends;
    `disowned` is told of other hosts' workers whose runs are to be looked up; `complain` gets one line a trouble, not
    one a try.
    """

    def __init__(
        self,
        presence: Presence,
        host: str,
        clock: Clock,
        bounds: Bounds,
        workers: Callable[[], Sequence[str]],
        disowned: Callable[[Sequence[str]], None],
        complain: Callable[[str], None],
        size: Callable[[], int] = lambda: 0,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._presence = presence
        self._host = check_name("host", host)
        self._clock = clock
        self._within_s = bounds.presence_within_s
        self._workers = workers
        self._disowned = disowned
        self._complain = complain
        self._size = size
        self._draining = draining
        self._count = 0
        self._troubled = False
        self.every_s = min(bounds.presence_every_s, bounds.takeover_after_s / 5)
        """A fifth: what passes beyond a quarter between two looks counts against nobody (`policy/heartbeat.py`)."""
        self.neighbours = Neighbours(host, bounds.takeover_after_s, bounds.forget_after_s)

    async def run(self) -> None:
        """Until cancelled."""
        clock = self._clock
        while True:
            began = clock.monotonic()
            try:
                async with asyncio.timeout(self._within_s):
                    await self._round()
                self._troubled = False
            except (OutlastError, TimeoutError) as error:
                self._trouble(error)
            took = clock.monotonic() - began
            await clock.sleep(max(self.every_s / 2, self.every_s - took))

    async def leave(self) -> None:
        """Say goodbye, if that can be said: else the others find out."""
        try:
            async with asyncio.timeout(self._within_s):
                await self._presence.leave(self._host)
        except (OutlastError, TimeoutError) as error:
            self._trouble(error)

    async def _round(self) -> None:
        self._count += 1
        workers, size = tuple(self._workers()), self._size()
        if size == len(workers):  # then it need not be said
            size = 0
        await self._presence.beat(HostBeat(self._host, self._count, workers, size, self._draining()))
        beats = await self._presence.all()
        seen = self.neighbours.read(beats, self._clock.monotonic())
        if seen.orphaners:
            self._disowned(seen.orphaners)
        for host in seen.forgotten:
            await self._presence.leave(host)

    def _trouble(self, error: Exception) -> None:
        if self._troubled:
            return
        self._troubled = True
        what = str(error) or f"no answer within {self._within_s:g} s"
        self._complain(f"hosts that share the store cannot be seen, each is taken to be as it was last seen: {what}")
