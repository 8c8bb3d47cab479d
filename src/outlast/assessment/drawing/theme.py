"""Colours and lettering of the drawing, light and dark, on screen and in print."""

from __future__ import annotations

font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'

_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b2129",
    "dim": "#515b67",
    "line": "#66717d",
    "later": "#0b6e75",
    "box": "#ffffff",
    "rim": "#8b96a3",
    "region": "#f3f6f9",
    "region-rim": "#b4bfca",
    "zone": "#fbfcfe",
    "zone-rim": "#c5ced8",
    "weak": "#8a4b00",
    "down": "#b3202c",
    "down-fill": "#fde7e7",
    "interrupted": "#a8480b",
    "interrupted-fill": "#fdeee0",
    "waiting": "#5b3fa8",
    "waiting-fill": "#efebfb",
    "degraded": "#7a5b00",
    "degraded-fill": "#fdf5d6",
    "weakened": "#1f5fa8",
    "weakened-fill": "#e8f1fb",
}
_DARK = {
    "paper": "#12161b",
    "ink": "#e8ecf1",
    "dim": "#a9b4c0",
    "line": "#8d99a6",
    "later": "#4cc3cb",
    "box": "#1d232b",
    "rim": "#66727f",
    "region": "#171c22",
    "region-rim": "#3f4a56",
    "zone": "#1a2027",
    "zone-rim": "#36404b",
    "weak": "#f0b35c",
    "down": "#ff8b8b",
    "down-fill": "#45181c",
    "interrupted": "#ffab70",
    "interrupted-fill": "#452613",
    "waiting": "#c0adff",
    "waiting-fill": "#2b2347",
    "degraded": "#ecd06a",
    "degraded-fill": "#3a310f",
    "weakened": "#84bdf7",
    "weakened-fill": "#17304a",
}
_STATES = ("down", "interrupted", "waiting", "degraded", "weakened")

state_fills = {state: _LIGHT[f"{state}-fill"] for state in _STATES}
"""What a box is filled with, by the word of its state, on light paper."""

_RULES = f"""
.ol-picture {{ font-family: {font}; background: var(--ol-paper); color: var(--ol-ink) }}
.ol-picture text {{ fill: var(--ol-ink) }}
.ol-paper {{ fill: var(--ol-paper) }}
.ol-title {{ font-size: 18px; font-weight: 600 }}
.ol-picture .ol-under, .ol-picture .ol-key {{ font-size: 12px; fill: var(--ol-dim) }}
.ol-region {{ fill: var(--ol-region); stroke: var(--ol-region-rim) }}
.ol-zone {{ fill: var(--ol-zone); stroke: var(--ol-zone-rim); stroke-dasharray: 2 2 }}
.ol-picture .ol-heading {{
  font-size: 12px; font-weight: 600; fill: var(--ol-dim); paint-order: stroke; stroke: var(--ol-region);
  stroke-width: 6px; stroke-linejoin: round
}}
.ol-box {{ fill: var(--ol-box); stroke: var(--ol-rim); stroke-width: 1.2 }}
.ol-name {{ font-size: 13px; font-weight: 600 }}
.ol-picture .ol-small {{ font-size: 11px; fill: var(--ol-dim) }}
.ol-picture .ol-weak {{ fill: var(--ol-weak); font-weight: 600 }}
.ol-icon {{
  fill: none; stroke: var(--ol-dim); stroke-width: 1.4; stroke-linejoin: round; stroke-linecap: round
}}
.ol-line {{ fill: none; stroke: var(--ol-line); stroke-width: 1.4 }}
.ol-soft {{ stroke-dasharray: 6 4 }}
.ol-later {{ stroke: var(--ol-later) }}
.ol-head {{ fill: var(--ol-line) }}
.ol-head-later {{ fill: var(--ol-paper); stroke: var(--ol-later); stroke-width: 1.2 }}
.ol-start-later {{ fill: var(--ol-paper); stroke: var(--ol-later); stroke-width: 1.4 }}
.ol-pill {{ fill: var(--ol-paper); stroke: var(--ol-ink); stroke-width: 1 }}
.ol-pill-text {{ font-size: 11px; font-weight: 700; text-anchor: middle }}
.ol-calm .ol-line, .ol-calm.ol-line {{ stroke-width: 1; stroke: var(--ol-rim) }}
.ol-calm .ol-box {{ stroke: var(--ol-region-rim) }}
.ol-picture .ol-calm text {{ fill: var(--ol-dim); font-weight: 400 }}
"""
_STATE = """
.ol-{0} > .ol-box {{ fill: var(--ol-{0}-fill); stroke: var(--ol-{0}); stroke-width: 2.2 }}
.ol-picture .ol-{0} .ol-mark, .ol-picture .ol-{0} .ol-pill-text {{ fill: var(--ol-{0}); font-weight: 600 }}
.ol-{0} .ol-pill {{ stroke: var(--ol-{0}) }}
.ol-{0} .ol-icon {{ stroke: var(--ol-{0}) }}
.ol-{0}.ol-line {{ stroke: var(--ol-{0}); stroke-width: 2.4 }}
.ol-head-{0} {{ fill: var(--ol-{0}) }}
"""


def _variables(colours: dict[str, str]) -> str:
    return ":root { " + "; ".join(f"--ol-{name}: {value}" for name, value in colours.items()) + " }"


style = "\n".join(
    (
        _variables(_LIGHT),
        "@media (prefers-color-scheme: dark) { " + _variables(_DARK) + " }",
        "@media print { " + _variables(_LIGHT) + " }",
        _RULES,
        *(_STATE.format(state) for state in _STATES),
    )
)
"""One style sheet; every name in it begins with ``ol-``."""
