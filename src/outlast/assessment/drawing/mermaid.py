"""The graph in Mermaid's language, which code hosts draw in Markdown."""

from __future__ import annotations

import html
from collections.abc import Mapping

from outlast.assessment.drawing.card import redundancy
from outlast.assessment.drawing.lane import lanes
from outlast.assessment.drawing.markup import plain
from outlast.assessment.drawing.theme import state_fills
from outlast.assessment.edge import Edge
from outlast.assessment.impact import Impact, Touch
from outlast.assessment.system import System


def mermaid(system: System, impact: Impact | None = None) -> str:
    """One ``flowchart``, with a subgraph for each frame. Names are texts of numbered nodes: none can break it."""
    ordered, lane_of = lanes(system)
    touched: Mapping[str, Touch] = impact.touches if impact is not None else {}
    number = {name: f"c{i}" for i, name in enumerate(system.components)}
    lines = ["flowchart LR"]
    for i, lane in enumerate(ordered):
        titles = [heading.text for heading in (lane.regions, lane.zones) if heading is not None]
        if titles:
            lines.append(f'  subgraph f{i} ["{_text(" · ".join(titles))}"]')
        for name in (name for name, at in lane_of.items() if at == i):
            component, touch = system.components[name], touched.get(name)
            what = touch.state.word if touch is not None else redundancy(component)
            marked = f":::{touch.state.word}" if touch is not None else ""
            lines.append(f'    {number[name]}["{_text(name)}<br>{component.kind}<br>{_text(what)}"]{marked}')
        if titles:
            lines.append("  end")
    lines += [f"  {number[edge.source]} {_line(edge)} {number[edge.target]}" for edge in system.edges]
    lines += [f"  classDef {state} fill:{fill},color:#1b2129" for state, fill in state_fills.items()]
    return "\n".join([*lines, ""])


def _line(edge: Edge) -> str:
    if edge.synchronous:
        return "-->" if edge.hard else "-.->"
    return "--o" if edge.hard else "-.-o"


def _text(text: str) -> str:
    return html.escape(plain(text).replace("\n", " "))
