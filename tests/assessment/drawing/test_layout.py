"""Where things go: nothing may overlap, whatever the system looks like."""

from __future__ import annotations

import itertools
import time

import pytest

from outlast.assessment.drawing.grid import Arrow
from outlast.assessment.drawing.lane import lanes
from outlast.assessment.drawing.layout import Box, Frame, Layout, heading_size, lay_out
from outlast.assessment.drawing.lettering import width
from outlast.assessment.drawing.line import arrow_of
from outlast.assessment.system import System
from tests.assessment.drawing.systems import generated

BOX = 200.0


def laid_out(system: System) -> Layout:
    ordered, lane_of = lanes(system)
    return lay_out(list(system.components), [arrow_of(edge) for edge in system.edges], ordered, lane_of, BOX)


def apart(a: Box | Frame, b: Box | Frame, gap: float = 0.0) -> bool:
    return (
        a.x + a.width + gap <= b.x
        or b.x + b.width + gap <= a.x
        or a.y + a.height + gap <= b.y
        or b.y + b.height + gap <= a.y
    )


def within(inner: Box | Frame, outer: Box | Frame) -> bool:
    right = inner.x + inner.width <= outer.x + outer.width
    return inner.x >= outer.x and inner.y >= outer.y and right and inner.y + inner.height <= outer.y + outer.height


@pytest.fixture(scope="module", params=[(15, 3, False), (100, 1, False), (100, 2, True), (500, 1, False)], ids=str)
def placed(request: pytest.FixtureRequest) -> tuple[System, Layout]:
    count, seed, cycles = request.param
    system = generated(count, seed, cycles=cycles)
    return system, laid_out(system)


def test_no_box_touches_another(placed: tuple[System, Layout]) -> None:
    _, layout = placed
    assert all(apart(a, b, gap=8) for a, b in itertools.combinations(layout.boxes.values(), 2))


def test_frames_of_one_depth_keep_apart_with_the_sheets_behind_them(placed: tuple[System, Layout]) -> None:
    _, layout = placed
    for inner in (False, True):
        frames = [frame for frame in layout.frames if frame.inner == inner]
        whole = [Box(f.x, f.y, f.width + 5 * (f.sheets - 1), f.height + 5 * (f.sheets - 1)) for f in frames]
        assert all(apart(a, b) for a, b in itertools.combinations(whole, 2))


def test_each_component_stands_in_the_frames_of_its_places_and_in_no_other(placed: tuple[System, Layout]) -> None:
    system, layout = placed
    ordered, lane_of = lanes(system)
    for name, box in layout.boxes.items():
        lane = ordered[lane_of[name]]
        wanted = {heading.text for heading in (lane.regions, lane.zones) if heading is not None}
        assert {frame.title for frame in layout.frames if within(box, frame)} == wanted
        others = [frame for frame in layout.frames if not within(box, frame)]
        assert all(apart(box, frame) for frame in others)


def test_the_title_of_a_frame_fits_and_no_box_covers_it(placed: tuple[System, Layout]) -> None:
    _, layout = placed
    for frame in layout.frames:
        wide = width(frame.title, heading_size, bold=True)
        title = Box(frame.x + 12, frame.y + 4, wide, 18)
        assert within(title, frame)
        assert all(apart(title, box) for box in layout.boxes.values())
        assert all(apart(title, other) for other in layout.frames if other.inner and other is not frame)


def test_no_line_runs_through_a_box(placed: tuple[System, Layout]) -> None:
    """Between columns lines are curves that stay there; through a column they are straight: those are looked at."""
    system, layout = placed
    for edge, route in zip(system.edges, layout.routes, strict=True):
        straight = zip(route.points[1:-1:2], route.points[2:-1:2], strict=True)
        for (ax, ay), (bx, by) in straight:
            assert ay == by
            line = Box(min(ax, bx), ay, abs(bx - ax), 0.0)
            assert all(apart(line, box) for box in layout.boxes.values()), edge


def test_a_line_starts_and_ends_at_its_boxes(placed: tuple[System, Layout]) -> None:
    system, layout = placed
    for edge, route in zip(system.edges, layout.routes, strict=True):
        for name, (x, y) in ((edge.source, route.points[0]), (edge.target, route.points[-1])):
            box = layout.boxes[name]
            assert x in (box.x, box.x + box.width)
            assert box.y < y < box.y + box.height


def test_lines_lead_to_the_right_unless_they_close_a_cycle() -> None:
    layout = laid_out(generated(100, 1))
    assert not any(route.backwards for route in layout.routes)
    assert all(route.points[0][0] < route.points[-1][0] for route in layout.routes)
    assert any(route.backwards for route in laid_out(generated(100, 2, cycles=True)).routes)


def test_everything_is_within_the_drawing(placed: tuple[System, Layout]) -> None:
    _, layout = placed
    paper = Box(0, 0, layout.width, layout.height)
    assert all(within(thing, paper) for thing in (*layout.boxes.values(), *layout.frames))


def test_the_same_system_gives_the_same_drawing() -> None:
    assert laid_out(generated(60, 5)) == laid_out(generated(60, 5))


def test_lines_of_one_kind_to_one_target_share_their_way_through_a_column() -> None:
    names = ["a", "b", "between", "target"]
    ways = [("a", "between"), ("b", "between"), ("between", "target"), ("a", "target"), ("b", "target")]
    arrows = [*(Arrow(*way) for way in ways), Arrow("a", "target", "another kind")]
    ordered, lane_of = lanes(generated(1))
    layout = lay_out(names, arrows, ordered, dict.fromkeys(names, 0), BOX)
    assert len(lane_of) == 1
    assert layout.routes[3].points[1:] == layout.routes[4].points[1:] != layout.routes[5].points[1:]


def test_nothing_and_a_line_to_itself_can_be_laid_out() -> None:
    assert laid_out(System(name="empty")).boxes == {}
    ordered, lane_of = lanes(generated(1))
    layout = lay_out(list(lane_of), [Arrow(name, name) for name in lane_of], ordered, lane_of, BOX)
    assert len(layout.routes[0].points) == 2


def test_five_hundred_components_take_less_than_the_five_seconds_they_may() -> None:
    """CPU time: on a busy machine the clock on the wall says little."""
    system = generated(500, 4)
    before = time.process_time()
    laid_out(system)
    assert time.process_time() - before < 5
