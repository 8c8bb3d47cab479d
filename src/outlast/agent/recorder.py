"""What a run's engine shares: its history, the writer of its stream, and what the index is told of it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol, TypeVar

from msgspec import UNSET, UnsetType

from outlast.agent import event as ev
from outlast.agent.failure import bounded
from outlast.agent.history import History
from outlast.agent.platform import Platform
from outlast.agent.replay import Handing, Replay
from outlast.journal.index import ENDED, RESTING, HintPatch, State
from outlast.journal.stream import Head
from outlast.journal.writer import StreamWriter
from outlast.kernel.error import Conflict, StoreError, StoreUnavailable

T = TypeVar("T")

_along_max = 64
_reason_chars_max = 1_000
_DELIVERED = (ev.StepDone, ev.StepFailedEvent, ev.TimerFired, ev.SignalConsumed, ev.SignalTimedOut)
_ENDS = (*_DELIVERED, ev.StepAbandoned)
_DECIDED = (*_DELIVERED, ev.StepCleared)


async def never() -> NoReturn:
    """Wait until cancelled: what agent code gets when its run is over in this worker."""
    while True:
        await asyncio.get_running_loop().create_future()


def _ignore(*_: object) -> None:
    return None


async def _raise(error: Exception) -> NoReturn:
    raise error


class Line(Protocol):
    """A line of code that may wait: where, whether the run counts it as busy, whether it waits now."""

    place: str
    counted: bool
    waiting: bool


class Recorder:
    """Appends to one run's stream and folds what is durable.

    It also counts who is busy: when nobody is, the run only waits, and the index learns when it wants to be woken.
    """

    def __init__(
        self, platform: Platform, run: str, stream: str, worker: str, history: History, head: Head, claim: str
    ) -> None:
        self.run = run
        self.worker = worker
        self.history = history
        self.replay = Replay(history)
        self._handing = Handing()
        self._folded = head.seq
        self.seen = 0
        """The last inbox event that has been looked at."""
        self.busy = 0
        """Lines of agent code that are not waiting for time, mail or a person."""
        self.waits: dict[str, float] = {}
        """Places that wait, and when each wants to be woken (0: by mail only)."""
        self.closed = False
        """The run has been let go: what its code still does is not recorded."""
        self.ending: tuple[State, str] | None = None
        """The state and reason that the last event brings."""
        self.on_idle: Callable[[], None] = _ignore
        self.on_lost: Callable[[Exception], None] = _ignore
        self.on_broken: Callable[[Exception], Awaitable[NoReturn]] = _raise
        self.asked: dict[str, str] = {}
        """Places about which a person is being asked in this worker, and why."""
        self.begun: set[str] = set()
        """Places of steps that have begun in this worker and have no outcome yet."""
        self._platform = platform
        self._delivering: set[str] = set()
        """Places whose outcomes are being recorded or handed out."""
        self._pending: list[ev.RunEvent] = []
        self._hinted: tuple[State, str, float, int, str] | None = ("running", worker, 0.0, 0, "")
        self.writer = StreamWriter(
            platform.store, stream, head, claim, platform.clock, platform.points,
            platform.settings.append_patience_s, self._hint,
        )  # fmt: skip

    async def reach(self, work: Awaitable[T]) -> T:
        """What a store gives. If it stays away the run is let go; if it holds something else, `on_broken` is told.

        Neither returns: agent code never sees the journal's own troubles.
        """
        try:
            return await work
        except StoreUnavailable as error:
            self.on_lost(error)
        except StoreError as error:
            await self.on_broken(error)
        return await never()

    async def record(self, *events: ev.RunEvent) -> float:
        """Append and, once durable, fold; returns the time in the record. Being cancelled does not undo it.

        If the run is lost to another worker, or the store stays away, `on_lost` is told and this never returns.
        """
        if self.closed:
            return await never()
        while len(self._pending) > _along_max:
            first, self._pending = tuple(self._pending[:_along_max]), self._pending[_along_max:]
            self.writer.append(*first, then=functools.partial(self._fold, first))
        if self._pending:
            events, self._pending = (*self._pending, *events), []
        appending = self.writer.append(*events, then=functools.partial(self._fold, events), alone=self.busy <= 1)
        try:
            last = events[-1]
            return await (self._deliver(last.place, appending) if isinstance(last, _DELIVERED) else appending)
        except (Conflict, StoreError) as error:
            self.on_lost(error)
            return await never()

    async def _deliver(self, place: str, appending: Awaitable[float]) -> float:
        """Wait until an outcome is durable and, where other steps race with it, until its turn has come."""
        self._delivering.add(place)
        try:
            racing = self._races(place)
            at = await appending
            if racing or self._handing.under_way or self._races(place):
                await self._handing.turn(self.history.record_of(place))
            return at
        finally:
            self._delivering.discard(place)

    def _races(self, place: str) -> bool:
        """Whether another step is under way, whose outcome agent code may see before or after this one's."""
        others = len(self.begun) + len(self.waits) + len(self._delivering)
        return others > (place in self.begun) + (place in self.waits) + (place in self._delivering)

    def last(self, event: ev.RunEvent) -> asyncio.Future[float]:
        """Append one more event to a record that is closed."""
        return self.writer.append(event, then=functools.partial(self._fold, (event,)))

    def along(self, event: ev.RunEvent) -> None:
        """Write `event` with the next record: for what costs nothing to lose together with it."""
        self._pending.append(event)

    def _fold(self, events: tuple[ev.RunEvent, ...], at: float) -> None:
        if self._folded != self.writer.head.seq:
            self._folded = self.writer.head.seq
            self.history.record += 1
        for event in events:
            self.history.apply(event, at)
            if isinstance(event, _DELIVERED):
                self.history.outcomes.pop(event.place)
            if isinstance(event, _ENDS):
                self.begun.discard(event.place)
            if isinstance(event, _DECIDED):
                self.asked.pop(event.place, None)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def begin_wait(self, line: Line, wake_at: float) -> None:
        """A line of code waits from now on, until `wake_at` (0: for mail only)."""
        self.waits[line.place] = wake_at
        if line.counted and not line.waiting:
            line.waiting = True
            self.busy -= 1
            self.look()

    def look(self) -> None:
        """Tell `on_idle` if nobody is busy."""
        if self.busy == 0:
            self.on_idle()

    def end_wait(self, line: Line) -> None:
        """It goes on."""
        self.waits.pop(line.place, None)
        if line.waiting:
            line.waiting = False
            self.busy += 1

    def leave_wait(self, line: Line) -> None:
        """Agent code goes on without what it waited for, which may wait on in the background."""
        if line.waiting:
            line.waiting = False
            self.busy += 1
        line.counted = False

    def wake_at(self) -> float:
        """When an idle run wants to go on by itself; 0: never."""
        times = [at for at in self.waits.values() if at > 0]
        created = self.history.created
        if created is not None and created.deadline_at > 0:
            times.append(created.deadline_at)
        return min(times, default=0.0)

    # -- the index ---------------------------------------------------------------------------------------------------

    def wanted(self) -> tuple[State, str, float, int, str]:
        """What the index should say: state, owner, wake_at, seen, reason."""
        if self.ending is not None:
            state, reason = self.ending
            reason = bounded(reason, _reason_chars_max)
            ended = state in ENDED or state in ("ready", "trial", "held", "quarantined")
            return state, "" if ended else self.worker, self.wake_at() if state == "parked" else 0.0, self.seen, reason
        if self.busy > 0 or not self.waits:
            return "running", self.worker, 0.0, self.seen, ""
        held = {place: event.reason for place, event in self.history.held.items()} | self.asked
        if held and all(place in held for place in self.waits):
            return "held", self.worker, 0.0, self.seen, bounded(next(iter(held.values())), _reason_chars_max)
        return "parked", self.worker, self.wake_at(), self.seen, ""

    def is_hinted(self) -> bool:
        """Whether the index already says what it should."""
        return self._hinted == self.wanted()

    def _hint(self) -> HintPatch | None:
        wanted = self.wanted()
        before = self._hinted
        if wanted == before:
            if wanted[0] in RESTING:  # an outcome that came late: the entry is as new as the stream
                return HintPatch(self.run, updated_at=self._platform.clock.now())
            return None
        self._hinted = wanted
        state, owner, wake_at, seen, reason = wanted

        def changed(index: int, value: Any) -> Any | UnsetType:
            return UNSET if before is not None and before[index] == value else value

        return HintPatch(
            self.run,
            state=changed(0, state),
            owner=changed(1, owner),
            wake_at=changed(2, wake_at),
            seen=changed(3, seen),
            reason=changed(4, reason),
            updated_at=self._platform.clock.now(),
        )
