"""Boxes and wires as items in columns, and which of them lines connect."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec


class Arrow(msgspec.Struct, frozen=True):
    """One line to be drawn. Arrows with the same target and `bundle` may share a wire."""

    source: str
    target: str
    bundle: str = ""


class Grid:
    """Boxes and wires as items in columns, and which of them lines connect."""

    def __init__(
        self, names: Sequence[str], arrows: Sequence[Arrow], lane_of: Mapping[str, int], column_of: Mapping[str, int]
    ) -> None:
        self.names = names
        self.arrows = arrows
        self.item_of = {name: i for i, name in enumerate(names)}
        self.lane = [lane_of[name] for name in names]
        self.column = [column_of[name] for name in names]
        self.left: list[list[int]] = [[] for _ in names]
        self.right: list[list[int]] = [[] for _ in names]
        self._wires: dict[tuple[str, str, int], int] = {}
        self.chains = [self._chain(i, arrow) for i, arrow in enumerate(arrows)]
        self.columns: list[list[int]] = [[] for _ in range(max(self.column, default=-1) + 1)]
        for item, column in enumerate(self.column):
            self.columns[column].append(item)

    def is_box(self, item: int) -> bool:
        return item < len(self.names)

    def _chain(self, index: int, arrow: Arrow) -> list[int]:
        """The items that an arrow passes from left to right, both ends included."""
        start, end = self.item_of[arrow.source], self.item_of[arrow.target]
        if start == end:
            return [start]
        bundle = arrow.bundle
        if self.column[start] > self.column[end]:
            start, end, bundle = end, start, f"back {index}"
        between = range(self.column[start] + 1, self.column[end])
        chain = [start, *(self._wire(arrow.target, bundle, column, self.lane[end]) for column in between), end]
        for a, b in itertools.pairwise(chain):
            if b not in self.right[a]:
                self.right[a].append(b)
                self.left[b].append(a)
        return chain

    def _wire(self, target: str, bundle: str, column: int, lane: int) -> int:
        key = (target, bundle, column)
        found = self._wires.get(key)
        if found is None:
            found = self._wires[key] = len(self.lane)
            self.lane.append(lane)
            self.column.append(column)
            self.left.append([])
            self.right.append([])
        return found
