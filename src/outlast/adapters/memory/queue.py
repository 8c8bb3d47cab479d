"""A queue in memory."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.cell.queue import Depth, Message, Parcel, send_bytes_max, send_count_max
from outlast.kernel.clock import Clock
from outlast.kernel.error import invariant

_poll_s = 0.02


class _Held:
    __slots__ = ("attempt", "id", "parcel", "receipt", "sent_at", "visible_at")

    def __init__(self, id: str, parcel: Parcel, sent_at: float, now: float) -> None:
        self.id = id
        self.parcel = parcel
        self.sent_at = sent_at
        self.visible_at = now
        self.attempt = 0
        self.receipt = ""


class MemoryQueue:
    """A Queue for one event loop. After `receives_max` deliveries a message moves to `dead_letters`."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        hidden_s: float = 30.0,
        dead_letters: MemoryQueue | None = None,
        receives_max: int = 100,
    ) -> None:
        self.name = name
        self.hidden_s = hidden_s
        self.dead_letters = dead_letters
        self._receives_max = receives_max
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._count = 0

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        invariant(len(parcels) <= send_count_max, f"{len(parcels)} parcels were sent at once")
        accepted: list[bool] = []
        size = 0
        for parcel in parcels:
            accepted.append(len(parcel.body) > 0 and size + len(parcel.body) <= send_bytes_max)
            if accepted[-1]:
                size += len(parcel.body)
                self._count += 1
                self.put(f"{self.name}-{self._count}", parcel, self._clock.now())
        return accepted

    async def receive(self, limit: int, wait_s: float) -> Sequence[Message]:
        end = self._clock.monotonic() + wait_s
        await self._clock.sleep(0)  # as with any other queue, others get their turn
        while True:
            found = self._take(limit)
            left = end - self._clock.monotonic()
            if found or left <= 0:
                return found
            await self._clock.sleep(min(left, _poll_s))

    async def delete(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if self._of(message) is not None:
                del self._held[message.id]

    async def hide(self, messages: Sequence[Message], seconds: float) -> None:
        now = self._clock.monotonic()
        for message in messages:
            held = self._of(message)
            if held is not None and held.visible_at > now:
                held.visible_at = now + seconds

    async def depth(self) -> Depth:
        now = self._clock.monotonic()
        hidden = sum(held.visible_at > now for held in self._held.values())
        return Depth(len(self._held) - hidden, hidden)

    def _of(self, message: Message) -> _Held | None:
        held = self._held.get(message.id)
        return held if held is not None and held.receipt == message.receipt else None

    def put(self, id: str, parcel: Parcel, sent_at: float) -> None:
        """Hold a message, never delivered here yet."""
        self._held[id] = _Held(id, parcel, sent_at, self._clock.monotonic())

    def _take(self, limit: int) -> list[Message]:
        now = self._clock.monotonic()
        found: list[Message] = []
        for held in list(self._held.values()):
            if held.visible_at > now or len(found) >= limit:
                continue
            if self.dead_letters is not None and held.attempt >= self._receives_max:
                del self._held[held.id]
                self.dead_letters.put(held.id, held.parcel, held.sent_at)
                continue
            held.attempt += 1
            held.visible_at = now + self.hidden_s
            held.receipt = f"{held.id}.{held.attempt}"
            parcel = held.parcel
            found.append(
                Message(
                    held.id, parcel.body, held.receipt, held.attempt, held.sent_at, parcel.origin, parcel.reason
                )
            )  # fmt: skip
        return found
