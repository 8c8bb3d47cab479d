"""Classification by the nearest centroid of example sentences: deterministic, and explained by its scores."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from outlast.kernel.error import UsageError


class Classification(msgspec.Struct, frozen=True):
    """A label and how sure it is: `score` is the cosine to its centroid, `margin` the distance to the second best."""

    label: str
    score: float
    margin: float
    scores: dict[str, float]


class Embeds(Protocol):
    """What the classifier needs of an embedder."""

    def embed(self, texts: Sequence[str]) -> Any:
        """Vectors of length one: shape (number of texts, dimensions)."""
        ...


class Classifier:
    """Picks the label whose examples a text resembles most. Examples are embedded at the first use; safe in threads.

    `examples` holds at least two labels with at least one example sentence each. Equal scores: the first label wins.
    """

    def __init__(self, embedder: Embeds, examples: Mapping[str, Sequence[str]]) -> None:
        self._labels = tuple(examples)
        self._examples = {label: tuple(sentences) for label, sentences in examples.items()}
        if len(self._labels) < 2:
            raise UsageError(f"a classifier needs two labels or more, found {len(self._labels)}")
        empty = [label for label, sentences in self._examples.items() if not sentences]
        if empty:
            raise UsageError(f"label {empty[0]!r} has no example: give each label one sentence or more")
        self._embedder = embedder
        self._lock = threading.Lock()
        self._centroids: Any = None

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    def classify(self, text: str) -> Classification:
        """The label of one text. Raises what the embedder raises."""
        return self.classify_all([text])[0]

    def classify_all(self, texts: Sequence[str]) -> list[Classification]:
        """The labels of several texts, in their order."""
        rows = self._embedder.embed(texts) @ self._centers().T
        return [self._best([float(score) for score in row]) for row in rows]

    def _best(self, scores: list[float]) -> Classification:
        best = max(range(len(scores)), key=scores.__getitem__)
        second = max(score for place, score in enumerate(scores) if place != best)
        return Classification(
            label=self._labels[best],
            score=round(scores[best], 4),
            margin=round(scores[best] - second, 4),
            scores={label: round(score, 4) for label, score in zip(self._labels, scores, strict=True)},
        )

    def _centers(self) -> Any:
        with self._lock:
            if self._centroids is None:
                import numpy as np

                rows = [self._embedder.embed(self._examples[label]).mean(axis=0) for label in self._labels]
                centers = np.stack(rows)
                self._centroids = centers / np.linalg.norm(centers, axis=1, keepdims=True)
            return self._centroids
