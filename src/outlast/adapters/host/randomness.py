"""The machine's randomness."""

from __future__ import annotations

import os


class OsRandomness:
    """Implements `kernel.randomness.Randomness` with the operating system's generator."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self) -> float:
        return (int.from_bytes(os.urandom(7), "big") >> 3) * 2.0**-53
