"""What is lost when something is: each component, zone and region in turn, the widest blast radius first."""

from __future__ import annotations

from outlast.assessment.arithmetic import time_text
from outlast.assessment.assess import Assessment
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.impact import Impact, State
from outlast.assessment.reporting.part import bullets, chip, listed, nothing, paragraph, section, unfolding

impacts_max = 40
"""So many are listed, the widest; what touches no class of work is left out."""
touches_max = 60


def losses(assessment: Assessment) -> Markup:
    """What was asked about, then everything."""
    asked = [_impact(one, look="asked") for one in assessment.what_if]
    wide = [one for one in assessment.impacts if one.share > 0]
    rows = [_impact(one) for one in wide[:impacts_max]]
    rest = (
        f"{len(wide) - impacts_max} more with a smaller blast radius are left out. " if len(wide) > impacts_max else ""
    )
    silent = len(assessment.impacts) - len(wide)
    said = f"{rest}{silent} further losses touch no class of work." if silent else rest
    return section(
        "losses",
        "What fails when something fails",
        *(
            [element("h3", "Asked about"), element("div", *asked, class_="rows"), element("h3", "All of it")]
            if asked
            else []
        ),
        element("div", *rows, class_="rows") if rows else paragraph("Nothing whose loss is felt."),
        paragraph(said, quiet=True) if said else nothing,
    )


def _impact(impact: Impact, look: str = "") -> Markup:
    felt = [
        listed([element("span", work), chip(state.word, _look(state))])
        for work, state in impact.work.items()
        if state > State.UNTOUCHED
    ]
    line = (
        element("span", str(impact.disruption), class_="what"),
        element("span", element("span", "blast radius ", class_="quiet"), f"{impact.share:.0%}"),
        *(element("span", one) for one in felt),
    )
    return unfolding(line, bullets(_touches(impact)), look=f"promise {look}".strip())


def _touches(impact: Impact) -> list[str]:
    found: list[str] = []
    for touch in list(impact.touches.values())[:touches_max]:
        after = f" after {time_text(touch.after_s)}" if touch.after_s else ""
        until = _until(touch.until_s) if touch.state >= State.DEGRADED else ""
        way = f"{touch.step}. " if touch.step else ""
        found.append(
            listed(
                [
                    element("span", f"{way}{touch.component}"),
                    chip(touch.state.word, _look(touch.state)),
                    element("span", f"{after}{until}: {touch.why}"),
                ]
            )
        )
    if len(impact.touches) > touches_max:
        found.append(f"and {len(impact.touches) - touches_max} more")
    return found


def _until(seconds: float | None) -> str:
    if not seconds:
        return ""
    return ", for good" if seconds == float("inf") else f", back in {time_text(round(seconds, 1))}"


def _look(state: State) -> str:
    return "plain" if state == State.UNTOUCHED else state.word
