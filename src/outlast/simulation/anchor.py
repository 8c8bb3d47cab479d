"""The simulated anchors: a file beside the journal that may be damaged, and is then put aside and begun anew."""

from __future__ import annotations

from collections.abc import Iterable

from outlast.adapters.memory.anchor import MemoryAnchors
from outlast.journal.stream import Head
from outlast.kernel.error import StoreCorrupt

anchor_every_s = 1.0
"""How often the writing process notes what has grown, in virtual seconds."""


class SimAnchors:
    """An AnchorStore. While it is `damaged` it takes nothing and gives nothing: it says so."""

    def __init__(self) -> None:
        self._heads = MemoryAnchors()
        self.damaged = False
        self.renewals = 0

    def renew(self) -> None:
        """A writing process begins: a damaged file is put aside."""
        if self.damaged:
            self.damaged = False
            self.renewals += 1
            self._heads = MemoryAnchors()

    def heads(self) -> dict[str, tuple[int, bytes]]:
        """What can be read of it, at once: number and hash by stream."""
        known = {} if self.damaged else self._heads.contents()
        return {stream: (head.seq, head.hash) for stream, head in known.items()}

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        self._check()
        await self._heads.note(heads)

    async def all(self) -> dict[str, Head]:
        self._check()
        return await self._heads.all()

    def _check(self) -> None:
        if self.damaged:
            raise StoreCorrupt("anchors cannot be read: the file is damaged (simulated)")
