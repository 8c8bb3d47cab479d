"""Figures of repeated trials: the median, and how far they spread."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass
class Sample:
    """What the trials of one figure gave, in the order of the trials."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile: half of the trials lie between them."""
        if len(self.values) < 2:
            return self.median, self.median
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return first, third

    def over(self, other: Sample) -> Sample:
        """The ratio to `other`, trial by trial: both were measured next to each other."""
        return Sample([mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)])


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
