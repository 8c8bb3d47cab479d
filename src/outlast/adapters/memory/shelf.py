"""A shelf in memory."""

from __future__ import annotations

from outlast.kernel.clock import Clock


class MemoryShelf:
    """Implements `model.shelf.Shelf` for the caches of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[str, tuple[float, bytes]] = {}
        self._leaders: dict[str, tuple[float, str]] = {}

    async def get(self, key: str) -> bytes | None:
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > self._clock.monotonic() else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._values[key] = (self._clock.monotonic() + ttl_s, value)

    async def forget(self, key: str) -> None:
        self._values.pop(key, None)

    async def lead(self, key: str, token: str, ttl_s: float) -> bool:
        now = self._clock.monotonic()
        found = self._leaders.get(key)
        if found is not None and found[0] > now:
            return False
        self._leaders[key] = (now + ttl_s, token)
        return True

    async def leave(self, key: str, token: str) -> None:
        if (found := self._leaders.get(key)) is not None and found[1] == token:
            del self._leaders[key]

    def part(self, key: str) -> str:
        return ""
