"""Text as a vector: by MiniLM where the extra `local` and its model are installed, else by hashing its words.

The stand-in knows nothing of meaning: words and parts of words that are alike make vectors that are alike. Which of the
two was used stands in every reply.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
from typing import Protocol

from outlast.adapters.local.artifact import artifacts_of, is_present, minilm, models_directory
from outlast.adapters.local.embedding import Embedder

DIMENSIONS = 512
WORD = re.compile(r"[^\W_]+")


class Embedding(Protocol):
    name: str

    def vector(self, text: str) -> list[float]:
        """Of length one."""
        ...


class MiniLM:
    name = "minilm"

    def __init__(self) -> None:
        self._embedder = Embedder()

    def vector(self, text: str) -> list[float]:
        return [float(value) for value in self._embedder.embed([text])[0]]


class Hashed:
    """Words and their trigrams, each at a place of the vector that its hash gives."""

    name = "hashed words"

    def vector(self, text: str) -> list[float]:
        found = [0.0] * DIMENSIONS
        for word in WORD.findall(text.lower()):
            padded = f" {word} "
            for part in (padded, *(padded[at : at + 3] for at in range(len(padded) - 2))):
                digest = hashlib.blake2b(part.encode(), digest_size=8).digest()
                place = int.from_bytes(digest[:4], "big") % DIMENSIONS
                found[place] += 1.0 if digest[4] & 1 else -1.0
        length = math.sqrt(sum(value * value for value in found))
        return [value / length for value in found] if length else found


def open_embedding() -> Embedding:
    """The model if it can be used here, else the stand-in."""
    installed = all(importlib.util.find_spec(name) for name in ("numpy", "onnxruntime", "tokenizers"))
    pulled = all(is_present(artifact, models_directory()) for artifact in artifacts_of(minilm))
    return MiniLM() if installed and pulled else Hashed()
