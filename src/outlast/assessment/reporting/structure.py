"""What the shape of the system says: single points, shared fates, cycles, retries that multiply."""

from __future__ import annotations

from outlast.assessment.assess import Assessment
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.reporting.part import bullets, paragraph, section, table


def structure(assessment: Assessment) -> Markup:
    """All of it."""
    points = ", ".join(assessment.single_points)
    fates = [(shared, ", ".join(names)) for shared, names in assessment.shared_fates.items()]
    cycles = [" → ".join((*cycle, cycle[0])) for cycle in assessment.cycles]
    paths = [
        (" → ".join(path.components), f"{path.attempts:.3g}", str(path.retrying)) for path in assessment.amplification
    ]
    none = paragraph("None.")
    shared_table = table("what shares its fate", ("shared", "components"), fates)
    path_table = table("call paths with retries", ("call path", "calls for one", "layers that retry"), paths)
    return section(
        "structure",
        "Structure",
        element("h3", "Single points of failure"),
        paragraph(points or "None: no single loss stops a class of work."),
        element("h3", "Shared fate"),
        shared_table if fates else none,
        element("h3", "Cycles"),
        bullets(cycles) if cycles else none,
        element("h3", "Retries that multiply"),
        path_table if paths else none,
    )
