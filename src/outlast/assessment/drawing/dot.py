"""The graph for Graphviz, and for all that reads its language."""

from __future__ import annotations

import json
from collections.abc import Mapping

from outlast.assessment.drawing.card import redundancy
from outlast.assessment.drawing.lane import Lane, lanes
from outlast.assessment.drawing.line import title
from outlast.assessment.drawing.markup import plain
from outlast.assessment.drawing.theme import state_fills
from outlast.assessment.impact import Impact, Touch
from outlast.assessment.system import System


def dot(system: System, impact: Impact | None = None) -> str:
    """One ``digraph``, with a cluster for each frame."""
    ordered, lane_of = lanes(system)
    touched: Mapping[str, Touch] = impact.touches if impact is not None else {}
    lines = [f"digraph {_text(system.name)} {{", "  rankdir=LR; node [shape=box, style=filled, fillcolor=white];"]
    for i, lane in enumerate(ordered):
        nodes: list[str] = []
        for name in (name for name, at in lane_of.items() if at == i):
            component, touch = system.components[name], touched.get(name)
            what = touch.state.word if touch is not None else redundancy(component)
            fill = f', fillcolor="{state_fills[touch.state.word]}"' if touch is not None else ""
            label = _text(f"{name}\n{component.kind}\n{what}")
            nodes.append(f"{_text(name)} [label={label}{fill}];")
        lines += _framed(i, lane, nodes)
    for edge in system.edges:
        style = "solid" if edge.hard else "dashed"
        head = "normal" if edge.synchronous else "empty"
        said = f"style={style}, arrowhead={head}, tooltip={_text(title(edge))}"
        lines.append(f"  {_text(edge.source)} -> {_text(edge.target)} [{said}];")
    return "\n".join([*lines, "}", ""])


def _framed(index: int, lane: Lane, nodes: list[str]) -> list[str]:
    titles = [heading.text for heading in (lane.regions, lane.zones) if heading is not None]
    lines: list[str] = []
    for depth, said in enumerate(titles):
        name = f"cluster_{index}_{depth}"
        lines.append(f"  subgraph {name} {{ label={_text(said)};")
    lines += [f"    {node}" for node in nodes]
    return lines + ["  }"] * len(titles)


def _text(text: str) -> str:
    """In quotes, as the language wants it: what JSON escapes, it does too."""
    return json.dumps(plain(text), ensure_ascii=False)
