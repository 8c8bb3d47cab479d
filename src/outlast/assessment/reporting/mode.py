"""The failure modes, for a review meeting: those with the widest blast radius."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.assessment.drawing.markup import Markup
from outlast.assessment.failure import FailureMode
from outlast.assessment.reporting.part import code, nothing, paragraph, section, table

modes_max = 100
"""So many are shown."""


def failure_modes(modes: Sequence[FailureMode]) -> Markup:
    """What can fail, how it shows, what protects it, which drill would prove it."""
    widest = sorted(modes, key=lambda mode: -mode.blast_radius)[:modes_max]
    rows = [
        (one.subject, one.mode, one.shows, one.effect, one.protected_by, one.drill, f"{one.blast_radius:.0%}")
        for one in widest
    ]
    left = len(modes) - len(widest)
    return section(
        "modes",
        "Failure modes",
        paragraph(f"The {modes_max} with the widest blast radius; {left} more: ", code("outlast failures"))
        if left
        else nothing,
        table(
            "what can fail",
            ("what", "how it fails", "how it shows", "effect", "protected by", "drill", "blast radius"),
            rows,
        )
        if rows
        else paragraph("None: nothing is described."),
    )
