"""The seam to chance, and the chance that a run sees: derived, so that replay sees it again."""

from __future__ import annotations

import hashlib
import random as _random  # noqa: TID251 (only `derived` uses it, seeded from its arguments)
from typing import Protocol


class Randomness(Protocol):
    """Where unpredictability comes from."""

    def token(self, size: int) -> bytes:
        """`size` random bytes, fit for identifiers."""
        ...

    def uniform(self) -> float:
        """A float in [0, 1)."""
        ...


def derived(*parts: str) -> _random.Random:
    """A generator that depends on `parts` alone: equal parts, equal numbers, in every process and release."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return _random.Random(int.from_bytes(digest, "big"))
