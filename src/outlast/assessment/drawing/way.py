"""The way of each line: out of the right side of a box, along its wires, into the left side of another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import msgspec

from outlast.assessment.drawing.grid import Grid

port_room = 40.0
"""Pixels of a box's side over which the ends of its lines are spread."""
_port_step = 9.0
_loop = 8.0
"""How far from the middle a line that returns to its own box leaves and ends."""

Point = tuple[float, float]


class Route(msgspec.Struct, frozen=True):
    """The way of one arrow from its source to its target."""

    points: tuple[Point, ...]
    """Source, then the two ends of each wire, then target."""
    backwards: bool = False
    """Whether it leads to the left: it closes a cycle."""


def routes(grid: Grid, left_of: Sequence[float], width: float, middle: Callable[[int], float]) -> tuple[Route, ...]:
    """The way of every arrow. `left_of` is the left side of each column, `middle` the height of an item."""
    leaves = [_ports(grid, item, others, middle) for item, others in enumerate(grid.right)]
    enters = [_ports(grid, item, others, middle) for item, others in enumerate(grid.left)]
    found: list[Route] = []
    for arrow, chain in zip(grid.arrows, grid.chains, strict=True):
        if len(chain) == 1:
            x, y = left_of[grid.column[chain[0]]] + width, middle(chain[0])
            found.append(Route(((x, y - _loop), (x, y + _loop))))
            continue
        points: list[Point] = []
        for a, b in itertools.pairwise(chain):
            points.append((left_of[grid.column[a]] + width, leaves[a][b]))
            points.append((left_of[grid.column[b]], enters[b][a]))
        backwards = chain[0] != grid.item_of[arrow.source]
        found.append(Route(tuple(reversed(points)) if backwards else tuple(points), backwards))
    return tuple(found)


def _ports(grid: Grid, item: int, others: Sequence[int], middle: Callable[[int], float]) -> dict[int, float]:
    """Where the lines of one side of an item end, in the order of what they lead to."""
    at = middle(item)
    if not grid.is_box(item):
        return dict.fromkeys(others, at)
    ordered = sorted(others, key=middle)
    step = min(_port_step, port_room / max(len(ordered) - 1, 1))
    return {other: at + step * (i - (len(ordered) - 1) / 2) for i, other in enumerate(ordered)}
