"""An assessment as one HTML file that needs nothing else: it opens from disk, on a phone, in print, without a script.

The page forbids itself every external resource and every script (its Content-Security-Policy names the one style sheet
by its hash), and all text of the blueprint is escaped where it is put in.
"""

from __future__ import annotations

import base64
import hashlib

from outlast.assessment.assess import Assessment, at_least
from outlast.assessment.draw import draw
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.facts import Facts
from outlast.assessment.failure import failures
from outlast.assessment.finding import severities
from outlast.assessment.reporting.assumption import assumptions, evidence
from outlast.assessment.reporting.loss import losses
from outlast.assessment.reporting.mode import failure_modes
from outlast.assessment.reporting.objective import objectives
from outlast.assessment.reporting.part import code, date_of, paragraph, scrolling, section
from outlast.assessment.reporting.structure import structure
from outlast.assessment.reporting.style import style
from outlast.assessment.reporting.weakness import findings
from outlast.assessment.system import System

_CHAPTERS = (
    ("objectives", "Promises"),
    ("findings", "Findings"),
    ("drawing", "Drawing"),
    ("losses", "What fails when something fails"),
    ("modes", "Failure modes"),
    ("structure", "Structure"),
    ("evidence", "Evidence"),
    ("assumptions", "What was assumed"),
)


def report(assessment: Assessment, system: System, text: str = "") -> str:
    """The page. `system` is what was assessed; `text` its blueprint, for patches (empty: they show as entries)."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Assessment of {assessment.system}"),
        Markup(f"<style>{style}</style>"),
    )
    made = paragraph("Made by ", code("outlast assess --html"), " from the blueprint alone.", quiet=True)
    body = element(
        "body",
        _head(assessment),
        element(
            "main",
            objectives(assessment),
            findings(assessment, text),
            _drawing(assessment, system),
            losses(assessment),
            failure_modes(tuple(failures(Facts(system, assessment.at)))),
            structure(assessment),
            evidence(system, assessment.at),
            assumptions(system),
        ),
        element("footer", made),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _head(assessment: Assessment) -> Markup:
    chapters = [element("li", element("a", heading, href=f"#{name}")) for name, heading in _CHAPTERS]
    size = f"{assessment.components} components, {assessment.edges} dependencies"
    what = f"{size} · {assessment.file} · {date_of(assessment.at)}"
    return element(
        "header",
        element("h1", f"Assessment of {assessment.system}"),
        paragraph(what, quiet=True),
        element("p", verdict(assessment), class_="verdict"),
        element(
            "ul",
            *(element("li", element("strong", count), name) for name, count in _counts(assessment)),
            class_="tiles",
        ),
        element("nav", element("ul", *chapters), aria_label="Chapters"),
    )


def verdict(assessment: Assessment) -> str:
    """The first thing that a reader wants to know, as one sentence."""
    promises = assessment.promises
    missed = sum(one.status.startswith("missed") for one in promises)
    grave = len(at_least(assessment, "high"))
    are = "is" if missed == 1 else "are"
    kept = (
        f"{missed} of {len(promises)} promises {are} missed" if missed else f"All {len(promises)} promises can be kept"
    )
    if not promises:
        kept = "Nothing was promised"
    return f"{kept}; {grave or 'no'} {'finding is' if grave == 1 else 'findings are'} high or worse."


def _counts(assessment: Assessment) -> list[tuple[str, str]]:
    by_status = [one.status for one in assessment.promises]
    promises = [("met by drill", by_status.count("met by drill")), ("met by design", by_status.count("met by design"))]
    promises.append(("missed", sum(one.startswith("missed") for one in by_status)))
    if "unknown" in by_status:
        promises.append(("not known", by_status.count("unknown")))
    found = [(f"{one} findings", assessment.counts.get(one, 0)) for one in reversed(severities)]
    if assessment.accepted:
        found.append(("accepted", assessment.accepted))
    return [(name, str(count)) for name, count in (*promises, *found)]


def _drawing(assessment: Assessment, system: System) -> Markup:
    marks: dict[str, str] = {}
    for finding in at_least(assessment, "high"):  # worst first
        for name in finding.components:
            marks.setdefault(name, finding.severity)
    picture = draw(system, marks=marks, prefix="graph", styled=False)
    intro = paragraph(
        "What needs what. Marked are components with a high or critical finding. ",
        code("outlast graph --blast NAME"),
        " shows what fails with one.",
        quiet=True,
    )
    shown = scrolling("drawing of the dependencies", picture, "scroll drawing")
    return section("drawing", "Drawing", intro, shown)
