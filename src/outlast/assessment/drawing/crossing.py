"""In which order the items of a column stand, so that few lines cross.

Barycentres, swept from left to right and back (Sugiyama, Tagawa and Toda, 1981); the best order that was seen is kept.
The lanes of a column keep their order.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

_sweeps_max = 24
_patience = 6
"""So many sweeps without a better order end the search."""

Order = list[list[int]]
"""By column, its items from the top down."""


def ordered(columns: Order, lane: Sequence[int], left: Sequence[list[int]], right: Sequence[list[int]]) -> Order:
    """`columns` with few crossings; `left` and `right` are the neighbours of each item in the columns beside it."""
    order = [sorted(column, key=lambda item: lane[item]) for column in columns]
    place = [0] * len(lane)
    for column in order:
        _number(column, place)
    best, fewest, stale = [list(column) for column in order], crossings(order, right, place), 0
    for sweep in range(_sweeps_max):
        if not fewest or stale >= _patience:
            break
        forward = sweep % 2 == 0
        neighbours = left if forward else right
        for column in order if forward else reversed(order):
            column.sort(key=lambda item: (lane[item], _barycentre(item, neighbours[item], place)))
            _number(column, place)
        now = crossings(order, right, place)
        stale += 1
        if now < fewest:
            best, fewest, stale = [list(column) for column in order], now, 0
    return best


def _number(column: list[int], place: list[int]) -> None:
    for i, item in enumerate(column):
        place[item] = i


def _barycentre(item: int, neighbours: list[int], place: list[int]) -> float:
    return sum(place[other] for other in neighbours) / len(neighbours) if neighbours else float(place[item])


def crossings(order: Order, right: Sequence[list[int]], place: Sequence[int]) -> int:
    """How many pairs of lines between neighbouring columns cross."""
    total = 0
    for column in order:
        seen: list[int] = []
        for item in column:
            ends = sorted(place[other] for other in right[item])
            for end in ends:
                total += len(seen) - bisect_right(seen, end)
            for end in ends:
                insort(seen, end)
    return total
