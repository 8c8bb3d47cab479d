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

from collections.abc import Callable
from typing import Protocol

from outlast.model.member import Member


class AttemptLost(Exception):
    """Another attempt has won this call, or its time is over: nothing of this one's answer may be used."""


class Call(Protocol):
    """What an attempt tells its call."""

    def committed(self, attempt: Attempt) -> None:
        """Raises AttemptLost if another attempt was first, or if the call is over."""
        ...


class Attempt:
    """One attempt at one member. `number` counts from 1 within the call; `deadline` is in monotonic seconds."""

    __slots__ = (
        "_abort", "_call", "aborted", "began", "deadline", "hedge", "input_tokens", "last_token", "member", "number",
        "output_tokens", "won",
    )

    def __init__(self, call: Call, member: Member, number: int, deadline: float, began: float, hedge: bool) -> None:
        self._call = call
        self._abort: Callable[[], object] | None = None
        self.member = member
        self.number = number
        self.deadline = deadline
        self.began = began
        """When it began, in monotonic seconds."""
        self.hedge = hedge
        """Whether it was sent beside an attempt that had not failed."""
        self.aborted = False
        self.won = False
        self.input_tokens = 0
        self.output_tokens = 0
        self.last_token: float | None = None

    def commit(self) -> None:
        """The first content is here: from now on this attempt is the call. Called again it does nothing.

        Raises AttemptLost when another attempt has won or the call is over: then nothing may be given away. After it no
        failover: an EndpointError becomes `Interrupted`.
        """
        if not self.won:
            self._call.committed(self)

    def token(self, now: float) -> None:
        """One more piece of content came at `now`, in monotonic seconds."""
        self.last_token = now

    def usage(self, input: int, output: int) -> None:
        """The tokens of the prompt and of the answer, when known; the last word counts."""
        self.input_tokens = input
        self.output_tokens = output

    def on_abort(self, callback: Callable[[], object]) -> None:
        """What stops the sending at once, for example by closing the connection; called at most once, at once if late.

        It must not raise and must not block. The last one registered counts.
        """
        if self.aborted:
            callback()
        else:
            self._abort = callback

    def abort(self) -> None:
        """Stop the sending; called by the pool."""
        if not self.aborted:
            self.aborted = True
            if self._abort is not None:
                self._abort()
