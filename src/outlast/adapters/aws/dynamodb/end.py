"""Ends of streams that this process has seen, and whose turn it is to append to one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from outlast.journal.stream import Head

ends_max = 100_000
"""Bound of the ends that are remembered; forgotten ones are read again."""


class Ends:
    """What a record once ended at stays true for ever, because records are never changed: a remembered end may be
    behind, never wrong.
    """

    def __init__(self, bound: int = ends_max) -> None:
        self._bound = bound
        self._ends: OrderedDict[str, Head] = OrderedDict()
        self._turns: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    def known(self, stream: str) -> Head | None:
        """The newest end that was seen."""
        return self._ends.get(stream)

    def saw(self, stream: str, end: Head) -> None:
        """A record of this stream ends here."""
        known = self._ends.get(stream)
        if known is None or end.seq >= known.seq:
            self._ends[stream] = end
        self._ends.move_to_end(stream)
        while len(self._ends) > self._bound:
            self._ends.popitem(last=False)

    @asynccontextmanager
    async def turn(self, stream: str) -> AsyncGenerator[None]:
        """Appends of this process to one stream go one after the other, in the order in which they were asked."""
        lock, waiting = self._turns.setdefault(stream, (asyncio.Lock(), []))
        waiting.append(None)
        try:
            async with lock:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._turns[stream]
