"""A depot in memory: for tests."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.kernel.error import Conflict, NotFound


class MemoryDepot:
    """A Depot. Locks are kept, by a clock that stands still at `now`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.locks: dict[str, float] = {}
        self.now = 0.0

    @property
    def where(self) -> str:
        return "memory"

    async def put(self, name: str, content: bytes, locked_until: float = 0.0) -> None:
        if self.objects.get(name, content) != content:
            raise Conflict(f"{name} is there already and holds something else")
        self.objects[name] = content
        self._lock(name, locked_until)

    async def get(self, name: str) -> bytes:
        if name not in self.objects:
            raise NotFound(f"{name} is not in memory")
        return self.objects[name]

    async def hold(self, name: str, size: int, locked_until: float = 0.0) -> bool:
        if name not in self.objects:
            return False
        if len(self.objects[name]) != size:
            raise Conflict(f"{name} has {len(self.objects[name])} bytes, {size} were expected")
        self._lock(name, locked_until)
        return True

    async def names(self, prefix: str = "") -> Sequence[str]:
        return sorted(name for name in self.objects if name.startswith(prefix))

    async def remove(self, name: str) -> bool:
        if self.locks.get(name, 0.0) > self.now:
            return False
        self.objects.pop(name, None)
        return True

    def _lock(self, name: str, until: float) -> None:
        self.locks[name] = max(self.locks.get(name, 0.0), until)
