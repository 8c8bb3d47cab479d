"""How a run leaves its worker: ended, parked, held for a person, released or lost; and what may begin until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from outlast.agent import event as ev
from outlast.agent.failure import bounded
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.journal.index import State

Stop = Literal["ended", "parked", "held", "lost", "released"]
"""Why a worker lets go of a run."""

_look_again_s = 0.02


class Departure:
    """Of one run. `closes`: its end comes from outside (`closing.py`); `acts`: an effect is under way."""

    def __init__(
        self, recorder: Recorder, platform: Platform, closes: Callable[[], bool], acts: Callable[[], bool]
    ) -> None:
        self.why: Stop | None = None
        """It has been let go."""
        self.stopping = asyncio.Event()
        """Its code is to stop: it is let go, or closes."""
        self.over = asyncio.Event()
        self.leaving = False
        """The worker begins nothing new of it."""
        self.ending = False
        """Its end is being written, or its successor made: neither can be taken back by a cancellation."""
        self.holding: asyncio.Task[None] | None = None
        """It is about to be held, or begun anew."""
        self._recorder = recorder
        self._platform = platform
        self._closes = closes
        self._acts = acts

    def is_stopping(self) -> bool:
        """Whether nothing new may begin in this worker any more."""
        return self.leaving or self.is_going()

    def is_going(self) -> bool:
        """Whether it is being let go or ended, and for a reason that stands."""
        return self.why is not None or self._closes() or self.ending or self.holding is not None

    def is_unwinding(self) -> bool:
        """Whether it is the engine that cancels agent code, and not agent code its own steps."""
        return self.why is not None or self.ending

    def go(self, why: Stop) -> None:
        """Let go of it: what its code still does is not recorded."""
        if self.why is None:
            self.why = why
            self._recorder.closed = True
            self.stopping.set()
            self.over.set()

    def lost(self, error: Exception) -> None:
        """Another worker has it, or the store stays away."""
        self.go("lost")

    # -- for a person ------------------------------------------------------------------------------------------------

    def begin_hold(self, code: str, reason: str, *why: ev.RunEvent) -> None:
        """`hold`, in a task."""
        self.holding = asyncio.get_running_loop().create_task(self.hold(code, reason, *why))

    async def hold(self, code: str, reason: str, *why: ev.RunEvent) -> None:
        """Nothing new begins any more; effects under way are recorded before the run is let go. `why` is told first."""
        await self._until_at_rest()
        if self.why is None and not self._closes():
            self._recorder.ending = ("held", reason)
            await self._recorder.record(*why, ev.RunHeld(code, bounded(reason), "", seen=self._recorder.seen))
            if not self._closes():
                self.go("held")
        self.holding = None

    async def hold_in_doubt(self, what: str) -> None:
        """Let go of a run that cannot end: a person is to decide about a step."""
        place, intent = next(iter(self._recorder.history.intents.items()))
        reason = f"{what}, but step {place} ({intent.event.name}) is in doubt: resolve it by hand"
        self._recorder.ending = ("held", reason)
        await self._recorder.record(ev.RunHeld("in_doubt", reason, place, seen=self._recorder.seen))
        self.go("held")

    async def stay(self, state: State, reason: str) -> None:
        """Let go of a run whose history does not let it run: the index is told again what it waits for."""
        self._recorder.ending = (state, reason)
        await self._recorder.record(ev.RunParked(f"still {state}", 0.0))
        self.go("held")

    # -- for another worker ------------------------------------------------------------------------------------------

    def begin_anew(self, release: Callable[[], None]) -> None:
        """Driven on while it is still in memory: let go of it, so that whoever takes it starts from its history."""
        self.leaving = True
        self.holding = asyncio.get_running_loop().create_task(self._release_at_rest(release))

    async def _release_at_rest(self, release: Callable[[], None]) -> None:
        await self._until_at_rest()
        if not self._closes():
            release()

    async def say_released(self) -> None:
        """Another worker may take it at once. If the store does not answer in time, this worker's end says it too."""
        if self._recorder.writer.ended is not None or self._recorder.history.ended is not None:
            return
        self._recorder.ending = ("ready", "")
        said = self._recorder.last(ev.RunReleased(self._recorder.worker))
        await asyncio.wait([said], timeout=self._platform.settings.unwind_s)
        if said.done():
            said.exception()  # who is fenced has nothing to release

    async def _until_at_rest(self) -> None:
        while self._acts() and not self._closes():
            await self._platform.clock.sleep(_look_again_s)
