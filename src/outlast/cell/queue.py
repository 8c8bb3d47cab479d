"""A queue of messages between processes and hosts: at least once, in no order, with a place for dead letters.

Source: the model of Amazon SQS standard queues (visibility time-out, receive count, dead-letter queue).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import msgspec

from outlast.kernel.error import OutlastError

send_count_max = 10
"""Bound of the messages in one `send`, and of those that one `receive` asks for."""
send_bytes_max = 1024 * 1024
"""Bound of the bodies in one `send`, 1 MiB."""


class QueueUnavailable(OutlastError):
    """A queue cannot be reached, or does not do what it was asked to do, now. What was sent may have arrived."""

    code: ClassVar[str] = "queue_unavailable"
    retryable: ClassVar[bool] = True


class Parcel(msgspec.Struct, frozen=True):
    """What is sent. `origin`: the identity that it had in another queue; `reason`: why it was moved, one line."""

    body: bytes
    origin: str = ""
    reason: str = ""


class Message(msgspec.Struct, frozen=True):
    """What is received. `receipt` is of this delivery, `attempt` counts deliveries: 1 is the first."""

    id: str
    body: bytes
    receipt: str
    attempt: int
    sent_at: float
    """Seconds since 1970 by the clock of the queue."""
    origin: str = ""
    reason: str = ""

    @property
    def identity(self) -> str:
        """Stays the same however often it is delivered, buried and redriven."""
        return self.origin or self.id


class Depth(msgspec.Struct, frozen=True):
    """About how many messages there are; services count them late."""

    waiting: int
    under_way: int
    """Delivered, and neither deleted nor visible again."""


class Queue(Protocol):
    """Every adapter passes `tests/contracts/queue.py`. Each method raises QueueUnavailable, and nothing else.

    A message that was received is hidden from others for `hidden_s`; if it is not deleted by then, it is delivered once
    more. One that was delivered too often moves to `dead_letters` by itself, if there is one.
    """

    @property
    def name(self) -> str:
        """Which queue it is: the same in every process and release."""
        ...

    @property
    def hidden_s(self) -> float:
        """How long a message is hidden once it was received."""
        ...

    @property
    def dead_letters(self) -> Queue | None:
        """Where messages go that nobody could use."""
        ...

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        """Which of at most `send_count_max` parcels are durable in the queue; the others may be, or were refused."""
        ...

    async def receive(self, limit: int, wait_s: float) -> Sequence[Message]:
        """At most `limit` (1 to `send_count_max`) messages; waits for the first one, `wait_s` (0 to 20) at most."""
        ...

    async def delete(self, messages: Sequence[Message]) -> None:
        """Done with these deliveries. One that was late may be delivered again all the same."""
        ...

    async def hide(self, messages: Sequence[Message], seconds: float) -> None:
        """Hide these deliveries from now on for so long (0: give them back at once). Too late: nothing happens."""
        ...

    async def depth(self) -> Depth: ...
