"""What drills have shown, and what was assumed where the blueprint says nothing."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.arithmetic import share_text, time_text
from outlast.assessment.component import Component, Copies
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.evidence import day_s, evidence_days_max
from outlast.assessment.figure import Figure
from outlast.assessment.precaution import Evidence
from outlast.assessment.reporting.part import date_of, paragraph, section, table
from outlast.assessment.system import System

names_max = 8
"""So many components are named in a row; then how many more."""


def evidence(system: System, now: float) -> Markup:
    """What was measured, and which drills are planned."""
    rows = [
        (
            one.drill,
            str(one.disruption or ""),
            one.work or "all",
            "passed" if one.passed else "failed",
            _measured(one),
            date_of(one.at) + (", expired" if now - one.at > evidence_days_max * day_s else ""),
        )
        for one in system.evidence
    ]  # fmt: skip
    planned = [
        (one.name, str(one.proves or ""), one.subject, f"every {time_text(one.every_s)}" if one.every_s else "")
        for one in system.drills
    ]
    return section(
        "evidence",
        "Evidence",
        table("what drills measured", ("drill", "disruption", "class", "verdict", "measured", "when"), rows)
        if rows
        else paragraph("No drill has measured anything yet: what is met is met by design only."),
        element("h3", "Planned drills"),
        table("planned drills", ("drill", "proves", "component", "how often"), planned)
        if planned
        else paragraph("None."),
    )


def assumptions(system: System) -> Markup:
    """Every number that the blueprint does not declare, with where it comes from, and for which components."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for component in system.components.values():
        for what, figure in _figures(component):
            if figure.source != "declared":
                key = (what, _shown(what, figure), figure.source, figure.reference)
                groups.setdefault(key, []).append(component.name)
    for what, figure in (
        ("availability of a zone", system.zone_availability),
        ("availability of a region", system.region_availability),
    ):
        if figure.source != "declared":
            groups[(what, share_text(figure.value), figure.source, figure.reference)] = ["all"]
    rows = [
        (what, value, source, reference, _names(names))
        for (what, value, source, reference), names in sorted(groups.items())
    ]
    intro = "Numbers that the blueprint does not declare. Declare what you know better."
    return section(
        "assumptions",
        "What was assumed",
        paragraph(intro, quiet=True),
        table("assumptions", ("what", "value", "kind", "from", "for"), rows)
        if rows
        else paragraph("Nothing: every number is declared."),
    )


def _figures(component: Component) -> Iterator[tuple[str, Figure]]:
    yield "availability", component.availability
    if any(site.zones for site in component.sites):
        yield "restart", component.restart_s
        yield "relaunch of a lost node", component.relaunch_s
    yield "repair", component.repair_s
    for words, copies in (
        ("between processes", component.across_processes), ("between zones", component.across_zones),
        ("between regions", component.across_regions),
    ):  # fmt: skip
        if copies.mode != "none":
            yield from _copies(words, copies)


def _copies(words: str, copies: Copies) -> Iterator[tuple[str, Figure]]:
    if copies.mode == "async":
        yield f"lag {words}", copies.lag_s
    yield f"detection {words}", copies.detect_s
    yield f"takeover {words}", copies.takeover_s


def _shown(what: str, figure: Figure) -> str:
    return share_text(figure.value) if what.startswith("availability") else time_text(figure.value)


def _measured(one: Evidence) -> str:
    found = (("rto", one.rto_s), ("rpo", one.rpo_s))
    return " · ".join(f"{name} {time_text(value)}" for name, value in found if value is not None)


def _names(names: list[str]) -> str:
    more = f" and {len(names) - names_max} more" if len(names) > names_max else ""
    return ", ".join(names[:names_max]) + more
