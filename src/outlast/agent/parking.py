"""When a run that only waits leaves its worker's memory: once the index says what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.agent import event as ev
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.wait import Waits


class Parking:
    """Watches one run for idleness. `may_park` says whether nothing else is on its way, `let_go` ends it here."""

    def __init__(
        self,
        recorder: Recorder,
        waits: Waits,
        platform: Platform,
        may_park: Callable[[], bool],
        let_go: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._waits = waits
        self._clock = platform.clock
        self._after_s = platform.settings.park_after_s
        self._may_park = may_park
        self._let_go = let_go
        self._idle_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        """The record that tells the index, on its way."""

    def look(self) -> None:
        """Nobody is busy from now on: what `Recorder.on_idle` calls."""
        self._idle_since = self._clock.monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self._begin)

    def leave(self, otherwise: Callable[[], None]) -> None:
        """The worker goes: let go of the run as one that waits, so that nobody takes it in vain; else `otherwise`."""
        if not self._is_idle():
            otherwise()
        elif self._recorder.is_hinted():
            self._let_go()
        elif self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._park_or(otherwise))

    async def _park_or(self, otherwise: Callable[[], None]) -> None:
        await self._recorder.record(ev.RunParked("waits", self._recorder.wake_at()))
        if self._is_idle() and self._recorder.is_hinted():
            self._let_go()
        else:
            otherwise()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._timer = None
        if not self._is_idle():
            return
        left = self._idle_since + self._after_s - self._clock.monotonic()
        if left > 0:  # it has been busy in between
            self._timer = asyncio.get_running_loop().call_later(left, self._begin)
        else:
            self.task = asyncio.get_running_loop().create_task(self._park())

    def _is_idle(self) -> bool:
        waiting = self._recorder.busy == 0 and bool(self._recorder.waits) and not self._waits.woken
        return waiting and self._may_park()

    async def _park(self) -> None:
        if self._is_idle() and not self._recorder.is_hinted():
            await self._recorder.record(ev.RunParked("waits", self._recorder.wake_at()))
        if self._is_idle() and self._recorder.is_hinted():
            self._let_go()
        elif self._is_idle():  # mail came meanwhile that wakes nobody
            self.look()
