"""The end that comes to a run from outside: it is cancelled, or its time is over. What may be happening goes first.

Source: structured cancellation as in Trio (a request, then an orderly unwinding), with the request recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.agent import event as ev
from outlast.agent.mail import Mailbox
from outlast.agent.perform import Performer
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder

_patience_s = 5.0
"""How long agent code may take to come back to a step that is in doubt."""
_look_again_s = 0.05
_expiry_look_s = 3600.0  # a deadline far away is looked at again: wall clocks jump, and timers of the loop do not


class Closing:
    """Whether one run is being closed, and how. `begun` is called when it is, `may_begin` is asked by its deadline."""

    def __init__(
        self,
        recorder: Recorder,
        platform: Platform,
        mailbox: Mailbox,
        begun: Callable[[], None],
        may_begin: Callable[[], bool],
    ) -> None:
        self.end: ev.RunCancelledEvent | ev.RunFailed | None = None
        """The event that the run is to end with; None as long as its code decides."""
        self._recorder = recorder
        self._history = recorder.history
        self._clock = platform.clock
        self._mailbox = mailbox
        self._begun = begun
        self._may_begin = may_begin
        self._timer: asyncio.TimerHandle | None = None

    async def cancel(self) -> None:
        """Write down that it was asked for, if that is not done yet; nothing new starts after that."""
        if self._history.cancelling is None and self._mailbox.cancel is not None:
            number, letter = self._mailbox.cancel
            self.end = ev.RunCancelledEvent(letter.reason)  # the gate is shut before the append is on its way
            await self._recorder.record(ev.RunCancelling(number, letter.reason))
            self._begun()
        elif self._history.cancelling is not None and self.end is None:
            self.end = ev.RunCancelledEvent(self._history.cancelling.reason)
            self._begun()

    def watch(self, deadline_at: float) -> None:
        """Close the run when this time (seconds since 1970) has come; 0: never."""
        if deadline_at > 0:
            seconds = min(max(0.0, deadline_at - self._clock.now()), _expiry_look_s)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire, deadline_at)

    def stop(self) -> None:
        """Watch the time no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self, deadline_at: float) -> None:
        if self._clock.now() < deadline_at:
            self.watch(deadline_at)
        elif self.end is None and self._may_begin():
            self.end = ev.RunFailed(ev.Failure("outlast.DeadlineExceeded", "the run did not end before its deadline"))
            self._begun()

    async def settle(self, main: asyncio.Task[None], performer: Performer, is_let_go: Callable[[], bool]) -> None:
        """Wait for effects under way and for steps in doubt, as long as that can help."""
        give_up_at = self._clock.monotonic() + _patience_s
        settling, waits = performer.once.settling, self._recorder.waits
        while not is_let_go() and (self._history.intents or performer.once.acting):
            under_way = [task for task, place in settling.items() if place not in waits]
            if not under_way and (settling or main.done() or self._clock.monotonic() >= give_up_at):
                break  # a person is to decide, or agent code does not come back to the step that is in doubt
            done = asyncio.ensure_future(self._clock.sleep(_look_again_s))
            await asyncio.wait([done, *under_way], return_when=asyncio.FIRST_COMPLETED)
            done.cancel()

    @property
    def why(self) -> str:
        """In words, for a person who is to decide about a step."""
        return "cancelled" if isinstance(self.end, ev.RunCancelledEvent) else "out of time"
