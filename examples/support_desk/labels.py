"""What a ticket is about: by the meaning of its words where embeddings are installed, else by the words themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import keywords


@dataclass(frozen=True)
class Label:
    name: str
    score: float
    by: str
    """``embeddings`` or ``keywords``."""


class Labeller(Protocol):
    by: str

    def label(self, text: str) -> Label: ...


class Keywords:
    by = "keywords"

    def label(self, text: str) -> Label:
        name, score = keywords.label(text)
        return Label(name, score, self.by)
