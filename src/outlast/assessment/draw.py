"""System -> one self-contained SVG: frames for regions and zones, a box for each component, a line for each need.

With an impact, what fails is marked, in which order, and along which lines; the rest steps back. No script, no external
resource, no font of its own; the colours follow the reader's light or dark setting.
"""

from __future__ import annotations

from collections.abc import Mapping

from outlast.assessment.drawing import card as cards
from outlast.assessment.drawing import icon
from outlast.assessment.drawing.key import key
from outlast.assessment.drawing.lane import lanes
from outlast.assessment.drawing.layout import Frame, Layout, lay_out
from outlast.assessment.drawing.lettering import fitted
from outlast.assessment.drawing.line import arrow_of, heads, line, spreads
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.drawing.theme import style
from outlast.assessment.impact import Impact, Touch
from outlast.assessment.system import System

_margin = 24.0
_head = 64.0
"""Pixels above the drawing, for its title."""
_wide_min = 640.0
_sheet = 5.0


def draw(
    system: System,
    impact: Impact | None = None,
    marks: Mapping[str, str] | None = None,
    prefix: str = "ol",
    *,
    styled: bool = True,
) -> Markup:
    """The drawing. `marks` puts a word on components; `prefix` begins all ids; not `styled`: the page has the style."""
    edges = [edge for edge in system.edges if edge.source in system.components and edge.target in system.components]
    placed, lane_of = lanes(system)
    components = list(system.components.values())
    layout = lay_out(
        list(system.components), [arrow_of(edge) for edge in edges], placed, lane_of, cards.box_width(components)
    )
    touched: Mapping[str, Touch] = impact.touches if impact is not None else {}
    states = [spreads(edge, impact) for edge in edges]
    order = sorted(range(len(edges)), key=lambda i: states[i])  # what matters is drawn last, on top
    lines = [line(edges[i], layout.routes[i], prefix, states[i], calm=impact is not None) for i in order]
    boxes: list[Markup] = []
    for name, component in system.components.items():
        touch = touched.get(name)
        mark = (str(touch.step) if touch.step else "lost") if touch is not None else ""
        boxes.append(
            cards.card(
                component, layout.boxes[name], touch, mark or (marks or {}).get(name, ""), calm=impact is not None
            )
        )
    heading, under = system.name, summary(system, len(edges), impact)
    wide = max(layout.width + 2 * _margin, _wide_min)
    legend, legend_height = key(
        prefix,
        {icon.family(component.kind) for component in components},
        {touch.state for touch in touched.values()},
        wide - 2 * _margin,
        later=any(not edge.synchronous for edge in edges),
    )
    drawn = [*_frames(layout), *lines, *map(_heading, layout.frames), *boxes]
    high = _head + layout.height + legend_height + _margin
    return element(
        "svg",
        element("title", f"Dependencies of {heading}", id=f"{prefix}-title"),
        element("desc", f"{under}. {described(system, impact)}", id=f"{prefix}-desc"),
        Markup(f"<style>{style}</style>") if styled else Markup(),
        heads(prefix),
        element("rect", class_="ol-paper", width=wide, height=high),
        element("text", fitted(heading, wide - 2 * _margin, 18, bold=True), class_="ol-title", x=_margin, y=30),
        element("text", fitted(under, wide - 2 * _margin, 12), class_="ol-under", x=_margin, y=50),
        element("g", *drawn, transform=f"translate({_margin:.0f} {_head:.0f})"),
        element("g", legend, transform=f"translate({_margin:.0f} {_head + layout.height:.1f})"),
        xmlns="http://www.w3.org/2000/svg",
        class_="ol-picture",
        viewBox=f"0 0 {wide:.0f} {high:.0f}",
        width=round(wide),
        height=round(high),
        role="img",
        aria_labelledby=f"{prefix}-title {prefix}-desc",
    )  # fmt: skip


def summary(system: System, edges: int, impact: Impact | None) -> str:
    """The line below the title."""
    if impact is None:
        regions = f" in {len(system.regions)} region{'s' * (len(system.regions) != 1)}" if system.regions else ""
        return f"{len(system.components)} components, {edges} dependencies{regions}"
    felt = ", ".join(f"{work} {state.word}" for work, state in impact.work.items()) or "no class of work is described"
    lost = impact.disruption.subject if impact.disruption.kind == "dependency" else str(impact.disruption)
    return f"when {lost} is lost: {felt}; blast radius {impact.share:.0%}"


def described(system: System, impact: Impact | None) -> str:
    """The drawing in words, for those who cannot see it."""
    if impact is None:
        hubs: dict[str, int] = {}
        for edge in system.edges:
            hubs[edge.target] = hubs.get(edge.target, 0) + 1
        most = sorted(hubs, key=lambda name: (-hubs[name], name))[:3]
        return (
            "Needed by most: " + ", ".join(f"{name} ({hubs[name]})" for name in most)
            if most
            else "Nothing needs anything"
        )
    return "; ".join(
        f"{touch.step}. {name}: {cards.happening(touch)}" + (f", through {touch.via}" if touch.via else "")
        for name, touch in impact.touches.items()
    ) or "Nothing is touched"  # fmt: skip


def _frames(layout: Layout) -> list[Markup]:
    return [shape for frame in layout.frames for shape in _frame(frame)]


def _frame(frame: Frame) -> list[Markup]:
    kind = "ol-zone" if frame.inner else "ol-region"
    place = {"width": frame.width, "height": frame.height, "rx": 8}
    offsets = [i * _sheet for i in reversed(range(frame.sheets))]
    return [element("rect", class_=kind, x=frame.x + by, y=frame.y + by, **place) for by in offsets]


def _heading(frame: Frame) -> Markup:
    return element("text", frame.title, class_="ol-heading", x=frame.x + 12, y=frame.y + 17)
