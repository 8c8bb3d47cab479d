"""One line of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.sample import Sample


@dataclass
class Figure:
    """What was measured, in what unit, and what it must hold (`bound` and whether less or more is better)."""

    key: str
    name: str
    unit: str
    sample: Sample
    bound: float | None = None
    better: Literal["less", "more"] = "less"
    remark: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the median keeps its bound; None without one."""
        if self.bound is None:
            return None
        return self.sample.median <= self.bound if self.better == "less" else self.sample.median >= self.bound


@dataclass
class Section:
    """Figures that belong together."""

    title: str
    figures: list[Figure] = field(default_factory=list[Figure])

    def add(
        self,
        key: str,
        name: str,
        unit: str,
        sample: Sample,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        remark: str = "",
    ) -> None:
        """Add a figure, with its bound if it has one."""
        bound = at_most if at_most is not None else at_least
        self.figures.append(Figure(key, name, unit, sample, bound, "less" if at_least is None else "more", remark))
