"""A dependency as a line: solid where it is hard, dashed where it is soft, with a ring where nobody waits."""

from __future__ import annotations

from outlast.assessment.arithmetic import time_text
from outlast.assessment.drawing.grid import Arrow
from outlast.assessment.drawing.markup import Markup, element, number
from outlast.assessment.drawing.way import Point, Route
from outlast.assessment.edge import Edge
from outlast.assessment.impact import Impact, State

_STATES = tuple(state.word for state in State if state > State.UNTOUCHED)
_loop_width = 40.0


def arrow_of(edge: Edge) -> Arrow:
    """Only lines that look alike may share a wire."""
    return Arrow(edge.source, edge.target, f"{edge.hard} {edge.synchronous}")


def heads(prefix: str) -> Markup:
    """The markers that `line` refers to; `prefix` keeps apart the names of several drawings on one page."""
    shape = "M0 0L9 4L0 8z"
    found = [
        _marker(prefix, "later", element("path", class_="ol-head-later", d="M1 1L8 4L1 7z"), 8),
        _marker(prefix, "start", element("circle", class_="ol-start-later", cx=4, cy=4, r=3), 0),
        _marker(prefix, "plain", element("path", class_="ol-head", d=shape), 8),
    ]
    found.extend(_marker(prefix, state, element("path", class_=f"ol-head-{state}", d=shape), 8) for state in _STATES)
    return element("defs", *found)


def _marker(prefix: str, name: str, shape: Markup, x: float) -> Markup:
    return element(
        "marker", shape, id=f"{prefix}-{name}", markerUnits="userSpaceOnUse", markerWidth=9, markerHeight=8,
        refX=x, refY=4, orient="auto", overflow="visible",
    )  # fmt: skip


def spreads(edge: Edge, impact: Impact | None) -> State:
    """As what the failure arrives over this edge; UNTOUCHED where it does not come this way."""
    if impact is None:
        return State.UNTOUCHED
    touch = impact.touches.get(edge.source)
    return touch.state if touch is not None and touch.via == edge.target else State.UNTOUCHED


def line(edge: Edge, route: Route, prefix: str, state: State, *, calm: bool) -> Markup:
    """One line with its arrowhead, and what is known of it as its title."""
    classes = ["ol-line"]
    if not edge.hard:
        classes.append("ol-soft")
    if not edge.synchronous:
        classes.append("ol-later")
    if state > State.UNTOUCHED:
        classes.append(f"ol-{state.word}")
    elif calm:
        classes.append("ol-calm")
    head = state.word if state > State.UNTOUCHED else "plain" if edge.synchronous else "later"
    return element(
        "path",
        element("title", title(edge)),
        class_=" ".join(classes),
        d=_loop(route) if edge.source == edge.target else _path(route),
        marker_start=None if edge.synchronous else f"url(#{prefix}-start)",
        marker_end=f"url(#{prefix}-{head})",
    )


def title(edge: Edge) -> str:
    """A dependency in words."""
    said = [f"{edge.source} needs {edge.target}: {'hard' if edge.hard else 'soft'}"]
    said.append("synchronous" if edge.synchronous else "asynchronous")
    if edge.timeout_s is not None:
        said.append(f"time-out {time_text(edge.timeout_s.value)}")
    if edge.retries:
        said.append(f"{edge.retries} retr{'ies' if edge.retries > 1 else 'y'}")
    if edge.breaker:
        said.append("breaker")
    if edge.any_of:
        said.append(f"one of {edge.any_of}")
    if edge.on_loss:
        said.append(f"without it: {edge.on_loss}")
    return ", ".join(said)


def _path(route: Route) -> str:
    """Curves between columns, straight through them."""
    said = [f"M{_at(route.points[0])}"]
    for i in range(1, len(route.points)):
        if i % 2 == 0:
            said.append(f"L{_at(route.points[i])}")
            continue
        (ax, ay), (bx, by) = route.points[i - 1], route.points[i]
        middle = (ax + bx) / 2
        said.append(f"C{_at((middle, ay))} {_at((middle, by))} {_at((bx, by))}")
    return "".join(said)


def _loop(route: Route) -> str:
    start, end = route.points[0], route.points[-1]
    return f"M{_at(start)}C{_at((start[0] + _loop_width, start[1]))} {_at((end[0] + _loop_width, end[1]))} {_at(end)}"


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"
