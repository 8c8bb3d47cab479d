"""The report: a table for people, one JSON object for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from benchmarks.figure import Figure, Section


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def bound_of(figure: Figure) -> str:
    """The bound and whether it holds."""
    if figure.bound is None:
        return ""
    sign = "<=" if figure.better == "less" else ">="
    return f"{sign} {number(figure.bound)} {'ok' if figure.holds else 'MISSED'}"


def table(facts: dict[str, Any], sections: Sequence[Section]) -> str:
    """Everything, readable."""
    lines = [f"{name.replace('_', ' '):>12}  {value}" for name, value in facts.items()]
    for section in sections:
        lines += ["", section.title, f"{'':2}{'':46}{'median':>10} {'':5}{'quartiles':>21}   n  must"]
        for figure in section.figures:
            first, third = figure.sample.quartiles
            spread = f"{number(first)} - {number(third)}"
            tail = "  ".join(part for part in (bound_of(figure), figure.remark) if part)
            lines.append(
                f"  {figure.name:<46}{number(figure.sample.median):>10} {figure.unit:<5}{spread:>21}"
                f"{len(figure.sample.values):>4}  {tail}".rstrip()
            )
    return "\n".join(lines)


def json_object(facts: dict[str, Any], sections: Sequence[Section]) -> str:
    """One object: each key of a figure holds its median; `spread`, `trials`, `bounds` and `machine` tell the rest."""
    figures = [figure for section in sections for figure in section.figures]
    return json.dumps(
        {
            **{figure.key: round(figure.sample.median, 6) for figure in figures},
            "spread": {figure.key: [round(each, 6) for each in figure.sample.quartiles] for figure in figures},
            "trials": {figure.key: len(figure.sample.values) for figure in figures},
            "bounds": {
                figure.key: {"bound": figure.bound, "better": figure.better, "holds": figure.holds}
                for figure in figures
                if figure.bound is not None
            },
            "units": {figure.key: figure.unit for figure in figures},
            "machine": facts,
        }
    )
