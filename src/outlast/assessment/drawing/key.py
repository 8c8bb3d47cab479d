"""The key below the drawing: what lines, signs and colours mean."""

from __future__ import annotations

from outlast.assessment.drawing import icon
from outlast.assessment.drawing.lettering import width
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.impact import State

row_height = 24.0
_size = 12.0
_sample = 40.0
_space = 26.0

_STATES: dict[State, str] = {
    State.DOWN: "down until it is repaired",
    State.INTERRUPTED: "down until something takes over",
    State.WAITING: "work waits, nothing is lost",
    State.DEGRADED: "serves less",
    State.WEAKENED: "serves, with less in reserve",
}


def key(prefix: str, families: set[str], states: set[State], room: float, *, later: bool) -> tuple[Markup, float]:
    """The key, at most `room` pixels wide, and its height."""
    entries: list[tuple[Markup, float, str]] = [
        (_line("ol-line", f"url(#{prefix}-plain)"), _sample, "cannot do without"),
        (_line("ol-line ol-soft", f"url(#{prefix}-plain)"), _sample, "can do without"),
    ]
    if later:
        shown = _line("ol-line ol-later", f"url(#{prefix}-later)", f"url(#{prefix}-start)")
        entries.append((shown, _sample, "asynchronous: nobody waits"))
    entries.extend(
        (element("path", class_="ol-icon", d=icon.path(name), transform="translate(0 -12)"), 16.0, meaning)
        for name, meaning in icon.meanings.items()
        if name in families
    )
    entries.extend((_swatch(state), 16.0, meaning) for state, meaning in _STATES.items() if state in states)
    return _flowed(entries, room)


def _flowed(entries: list[tuple[Markup, float, str]], room: float) -> tuple[Markup, float]:
    placed: list[Markup] = []
    x, y = 0.0, row_height
    for sample, wide, meaning in entries:
        needed = wide + 8 + width(meaning, _size)
        if x and x + needed > room:
            x, y = 0.0, y + row_height
        text = element("text", meaning, class_="ol-key", x=wide + 8)
        placed.append(element("g", sample, text, transform=f"translate({x:.1f} {y:.1f})"))
        x += needed + _space
    return element("g", *placed), y + 8


def _line(classes: str, head: str, start: str | None = None) -> Markup:
    return element("path", class_=classes, d=f"M4 -4L{_sample:.0f} -4", marker_end=head, marker_start=start)


def _swatch(state: State) -> Markup:
    rect = element("rect", class_="ol-box", x=0, y=-12, width=16, height=14, rx=3)
    return element("g", rect, class_=f"ol-{state.word}")
