"""One attempt to have a request answered: the seam between a pool and whoever sends.

A sender is an async function of an `Attempt`. It asks the attempt's member and

- calls `commit` once, with the first content in hand and before it gives any of it away: the first content token of a
  stream, or the whole of a JSON answer. Role frames, `response.created` and pings are no content. Until then the pool
  may ask another member instead, and the client never notices; from then on this attempt is the call;
- calls `token` for each further piece of content, and `usage` when it knows how many tokens were used;
- registers with `on_abort` how to stop at once: the pool calls it when another attempt has won, when the deadline has
  passed or when the caller was cancelled, and then cancels the sender, whose await ends in `asyncio.CancelledError`;
- returns the value of the call, or raises an `EndpointError` that says why the member did not answer. What else it
  raises is taken for a bug, counts against nobody and goes to the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, Protocol

from outlast.model.member import Member

Stopped = Literal["", "lost", "moved", "deadline", "stalled", "left"]
"""Why the pool stopped an attempt: another won; its member was ejected; the time is over; its stream fell silent; the
caller has gone."""


class AttemptLost(Exception):
    """Another attempt has won this call, or its time is over: nothing of this one's answer may be used."""


class Caller(Protocol):
    """What an attempt tells the call it belongs to."""

    def committed(self, attempt: Attempt) -> None:
        """Raises AttemptLost if another attempt was first, or if the call is over."""
        ...

    def moved(self, attempt: Attempt) -> None:
        """Its member was ejected while it waited."""
        ...


class Attempt:
    """One attempt at one member. `number` counts from 1 within the call; `deadline` is in monotonic seconds."""

    __slots__ = (
        "_abort", "began", "call", "deadline", "first_s", "hedge", "input_tokens", "last_token", "late", "live",
        "member", "number", "output_tokens", "stopped", "stream", "task", "ticket", "wake_at", "won",
    )  # fmt: skip

    def __init__(
        self,
        call: Caller,
        member: Member,
        number: int,
        deadline: float,
        began: float,
        *,
        hedge: bool = False,
        stream: bool = False,
    ) -> None:
        self.call = call
        self._abort: Callable[[], object] | None = None
        self.member = member
        self.number = number
        self.deadline = deadline
        self.began = began
        """When it began, in monotonic seconds."""
        self.ticket = 0
        """The breaker's; 0: its member was asked although it is out."""
        self.hedge = hedge
        """Whether it was sent beside an attempt that had not failed."""
        self.stream = stream
        self.task: asyncio.Task[Any] | None = None
        self.live = False
        """Whether the sender is at work."""
        self.late = False
        """Whether it has waited for longer than such requests do."""
        self.wake_at = deadline
        self.won = False
        self.stopped: Stopped = ""
        self.first_s: float | None = None
        """Seconds to the first content."""
        self.last_token = began
        self.input_tokens = 0
        self.output_tokens = 0

    def commit(self) -> None:
        """The first content is here: from now on this attempt is the call. Called again it does nothing.

        Raises AttemptLost when another attempt has won or the call is over: then nothing may be given away. After it no
        failover: an EndpointError becomes `Interrupted`.
        """
        if not self.won:
            self.call.committed(self)

    def token(self, now: float) -> None:
        """One more piece of content came at `now`, in monotonic seconds."""
        self.last_token = now
        self.member.pace.token(self, now)

    def usage(self, input: int, output: int) -> None:
        """The tokens of the prompt and of the answer, when known; the last word counts."""
        self.input_tokens = input
        self.output_tokens = output

    def on_abort(self, callback: Callable[[], object]) -> None:
        """What stops the sending at once, for example by closing the connection; called at most once, at once if late.

        It must not raise and must not block. The last one registered counts.
        """
        if self.stopped:
            callback()
        else:
            self._abort = callback

    def stop(self, why: Stopped) -> None:
        """Stop the sending; for the pool. Only the first reason counts."""
        if self.stopped:
            return
        self.stopped = why
        if self._abort is not None:
            self._abort()
        if self.task is not None and self.live:
            self.task.cancel()
