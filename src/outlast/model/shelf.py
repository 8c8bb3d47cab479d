"""Where processes put what they would rather not compute again: a port. Losing all of it costs time, nothing else."""

from __future__ import annotations

from typing import ClassVar, Protocol

from outlast.kernel.error import OutlastError


class ShelfUnavailable(OutlastError):
    """A shelf did not answer in time, or not at all. What was put may be there or not."""

    code: ClassVar[str] = "shelf_unavailable"
    retryable: ClassVar[bool] = True


class Shelf(Protocol):
    """Every adapter passes `tests/contracts/shelf.py`. Each method raises ShelfUnavailable, and nothing else.

    A shelf promises little: what was put may be gone, and an older value may come back after a failover. Who reads
    checks what was read (`model/shared.py`).
    """

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep it for so long, at least a millisecond."""
        ...

    async def forget(self, key: str) -> None: ...

    async def lead(self, key: str, token: str, ttl_s: float) -> bool:
        """Whether the caller is now the one who makes the value of `key`; it is for `ttl_s`, unless it leaves."""
        ...

    async def leave(self, key: str, token: str) -> None:
        """Lead no more; nothing if another does by now."""
        ...

    def part(self, key: str) -> str:
        """Names what fails together with this key: a shard's primary."""
        ...
