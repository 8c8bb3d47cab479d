"""A generation of a stream's history. A takeover by another region starts a new one; none overwrites another."""

from __future__ import annotations

import re

import msgspec

from outlast.kernel.error import UsageError
from outlast.kernel.randomness import Randomness

_TEXT = re.compile(r"([0-9]{1,9})\.([a-z0-9-]{1,32})\.([a-z0-9]{4,32})\Z")


class Lineage(msgspec.Struct, frozen=True, order=True):
    """Which generation, written by which region; `nonce` tells two stores apart that both believe they are first."""

    generation: int
    region: str
    nonce: str

    def __str__(self) -> str:
        return f"{self.generation}.{self.region}.{self.nonce}"

    @classmethod
    def first(cls, region: str, randomness: Randomness) -> Lineage:
        """That of a new store."""
        return cls(0, region, randomness.token(6).hex())

    @classmethod
    def parse(cls, text: str) -> Lineage:
        """The inverse of `str`; raises UsageError."""
        match = _TEXT.match(text)
        if match is None:
            raise UsageError(f"lineage {text[:80]!r} is not understood: expected generation.region.nonce")
        return cls(int(match[1]), match[2], match[3])
