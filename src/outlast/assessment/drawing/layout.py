"""Where everything goes: boxes, frames and the ways of the lines, in pixels. The same input gives the same picture.

Columns run from left to right, lanes from the top down; each lane is a band of its own, so that frames never overlap.
A line that passes a column does so as a wire, an item like a box but thin, so that it never runs through a box. Lines
of one kind that lead to the same box share a wire: where lines meet, they have the same end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from outlast.assessment.drawing.column import columns
from outlast.assessment.drawing.crossing import ordered
from outlast.assessment.drawing.grid import Arrow, Grid
from outlast.assessment.drawing.lane import Lane
from outlast.assessment.drawing.lettering import width
from outlast.assessment.drawing.stack import settle
from outlast.assessment.drawing.way import Route, routes

box_height = 58.0
heading_size = 12.0
"""Pixels of a frame's title."""
_heading_height = 24.0
_padding = 14.0
"""Between a frame and what is in it."""
_sheet = 5.0
"""By how much one sheet of a frame looks out from behind another."""
sheets_max = 4
_between_lanes = 22.0
_between_boxes = 18.0
_between_wires = 7.0
_gap_min, _gap_max = 76.0, 190.0
_share = 1.5
"""How much wider than high the drawing should be."""
_rows_tried = (6, 8, 11, 15, 20, 28, 40)
"""Rows that one column of a lane may have: those are taken with which the drawing fits a screen best."""


class Box(msgspec.Struct, frozen=True):
    """The place of one component."""

    x: float
    y: float
    width: float
    height: float


class Frame(msgspec.Struct, frozen=True):
    """The place of one frame, the sheets behind it included in neither width nor height."""

    title: str
    x: float
    y: float
    width: float
    height: float
    sheets: int
    inner: bool
    """Whether it is one of zones, within one of regions."""


class Layout(msgspec.Struct, frozen=True):
    """Everything in its place, from (0, 0) to (width, height)."""

    boxes: Mapping[str, Box]
    frames: tuple[Frame, ...]
    routes: tuple[Route, ...]
    """As many as arrows, in their order."""
    width: float
    height: float


def lay_out(
    names: Sequence[str], arrows: Sequence[Arrow], lanes: Sequence[Lane], lane_of: Mapping[str, int], box_width: float
) -> Layout:
    """Places every name in its lane. `lane_of` indexes `lanes`, which follow each other from the top down."""
    pairs = [(arrow.source, arrow.target) for arrow in arrows]
    tried = (columns(names, pairs, lane_of, rows_max) for rows_max in _rows_tried)
    column_of = min(tried, key=lambda found: _extent(found, lane_of, box_width))
    grid = Grid(names, arrows, lane_of, column_of)
    order = ordered(grid.columns, grid.lane, grid.left, grid.right)
    return _Placed(grid, order, lanes, box_width).layout()


def _extent(column_of: Mapping[str, int], lane_of: Mapping[str, int], box_width: float) -> float:
    """How high the screen must be that shows all of it, about."""
    filled: dict[tuple[int, int], int] = {}
    for name, column in column_of.items():
        cell = (lane_of[name], column)
        filled[cell] = filled.get(cell, 0) + 1
    rows: dict[int, int] = {}
    for (lane, _), count in filled.items():
        rows[lane] = max(rows.get(lane, 0), count)
    width_ = (max(column_of.values(), default=0) + 1) * (box_width + _gap_max)
    return max(width_ / _share, sum(rows.values()) * (box_height + _between_boxes))


class _Placed:
    """A grid with coordinates."""

    def __init__(self, grid: Grid, order: list[list[int]], lanes: Sequence[Lane], box_width: float) -> None:
        self._grid = grid
        self._order = order
        self._lanes = lanes
        self._width = box_width
        self._stacks = [self._by_lane(column) for column in order]
        self._x = self._across()
        self._top, self._height_of, self._bottom = self._down()
        self._y = settle(self._stacks, self._reach, grid.left, grid.right, self._height_of)

    def _by_lane(self, column: list[int]) -> list[list[int]]:
        stacks: list[list[int]] = [[] for _ in self._lanes]
        for item in column:
            stacks[self._grid.lane[item]].append(item)
        return stacks

    def _across(self) -> list[float]:
        """The left side of each column: wider gaps where more lines run."""
        x, found = _padding * 3, list[float]()
        for column in self._order:
            found.append(x)
            lines = sum(len(self._grid.right[item]) for item in column)
            x += self._width + min(_gap_max, _gap_min + 1.5 * lines)
        return found

    def _reach(self, item: int) -> float:
        """Half of the room that an item takes in its column."""
        return (box_height + _between_boxes) / 2 if self._grid.is_box(item) else _between_wires / 2

    def _down(self) -> tuple[list[float], list[float], float]:
        """The top and the height of what is in each lane, and where the last one ends."""
        heights = [
            max((sum(2 * self._reach(item) for item in stacks[i]) for stacks in self._stacks), default=0.0)
            for i in range(len(self._lanes))
        ]
        tops: list[float] = []
        y = 0.0
        for i, lane in enumerate(self._lanes):
            if lane.regions is not None and (i == 0 or self._lanes[i - 1].regions != lane.regions):
                y += _heading_height
            if lane.zones is not None:
                y += _heading_height
            tops.append(y)
            last = i + 1 == len(self._lanes) or self._lanes[i + 1].regions != lane.regions
            y += heights[i] + _between_lanes + _behind(lane) + (_padding if last else 0.0)
        return tops, heights, y

    def layout(self) -> Layout:
        """The result, moved so that nothing is left of or above 0."""
        boxes = {name: self._box(item) for item, name in enumerate(self._grid.names)}
        frames = self._frames()
        ways = routes(self._grid, self._x, self._width, self._center)
        width_ = max(
            [frame.x + frame.width + frame.sheets * _sheet for frame in frames]
            + [box.x + box.width for box in boxes.values()]
            + [0.0]
        )
        return Layout(boxes, tuple(frames), ways, width_ + _padding * 2, self._bottom)

    def _center(self, item: int) -> float:
        return self._top[self._grid.lane[item]] + self._y[item]

    def _box(self, item: int) -> Box:
        return Box(self._x[self._grid.column[item]], self._center(item) - box_height / 2, self._width, box_height)

    def _frames(self) -> list[Frame]:
        found: list[Frame] = []
        outer: Frame | None = None
        for i, lane in enumerate(self._lanes):
            if lane.regions is None:
                continue
            members = [item for item in range(len(self._grid.names)) if self._grid.lane[item] == i]
            left = min(self._x[self._grid.column[item]] for item in members) - _padding
            right = max(self._x[self._grid.column[item]] for item in members) + self._width + _padding
            top, bottom = self._top[i], self._top[i] + self._height_of[i]
            if lane.zones is not None:
                inner = _frame(
                    lane.zones.text, left, top - _heading_height, right, bottom, lane.zones.sheets, inner=True
                )
                found.append(inner)
                left, right = inner.x - _padding, inner.x + inner.width + _behind(lane) + _padding
                top, bottom = inner.y, bottom + _behind(lane)
            if outer is None or i == 0 or self._lanes[i - 1].regions != lane.regions:
                outer = _frame(
                    lane.regions.text,
                    left,
                    top - _heading_height,
                    right,
                    bottom + _padding / 2,
                    lane.regions.sheets,
                    inner=False,
                )
                found.insert(0, outer)
            else:
                found.remove(outer)
                outer = _around(outer, left, right, bottom + _padding / 2)
                found.insert(0, outer)
        return found


def _behind(lane: Lane) -> float:
    return 0.0 if lane.zones is None else (min(lane.zones.sheets, sheets_max) - 1) * _sheet


def _frame(title: str, left: float, top: float, right: float, bottom: float, sheets: int, *, inner: bool) -> Frame:
    room = width(title, heading_size, bold=True) + 2 * _padding
    return Frame(title, left, top, max(right - left, room), bottom - top, min(sheets, sheets_max), inner)


def _around(frame: Frame, left: float, right: float, bottom: float) -> Frame:
    left, right = min(frame.x, left), max(frame.x + frame.width, right)
    return Frame(frame.title, left, frame.y, right - left, bottom - frame.y, frame.sheets, frame.inner)
