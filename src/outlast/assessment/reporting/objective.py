"""The promises and what became of them."""

from __future__ import annotations

from outlast.assessment.assess import Assessment
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.evidence import day_s
from outlast.assessment.promise import Promise, Status
from outlast.assessment.reporting.part import amount, chip, date_of, nothing, paragraph, section, sum_of, unfolding

_LOOKS: dict[Status, str] = {
    "met by drill": "good",
    "met by design": "fair",
    "missed by design": "down",
    "missed by drill": "down",
    "unknown": "plain",
}


def objectives(assessment: Assessment) -> Markup:
    """By class of work, each promise as a line that opens to its arithmetic."""
    if not assessment.promises:
        return section("objectives", "Promises", paragraph("No objectives are described, so there is nothing to miss."))
    works = list(dict.fromkeys(promise.work for promise in assessment.promises))
    groups: list[Markup] = []
    for work in works:
        lines = [_promise(one) for one in assessment.promises if one.work == work]
        groups += [element("h3", work), element("div", *lines, class_="rows")]
    intro = "Estimates follow from the design; what a drill measured in the last 30 days goes before them. "
    intro += "Open a line for its arithmetic."
    return section("objectives", "Promises", paragraph(intro, quiet=True), *groups)


def measure(promise: Promise) -> str:
    """``rto zone``, in words."""
    words = {"rto": "back within", "rpo": "loses at most", "availability": "available", "latency": "answers within"}
    where = "" if promise.disruption is None else f" ({promise.disruption})"
    return words[promise.measure] + where


def _promise(promise: Promise) -> Markup:
    line = (
        element("span", measure(promise), class_="what"),
        element("span", element("span", "promised ", class_="quiet"), amount(promise, promise.promised)),
        element("span", element("span", "design ", class_="quiet"), amount(promise, promise.estimated)),
        chip(promise.status, _LOOKS[promise.status]),
    )
    worst = paragraph("The worst case: ", element("strong", str(promise.worst)), ".") if promise.worst else nothing
    label = f"arithmetic: {promise.work}, {measure(promise)}"
    look = "promise missed" if promise.status.startswith("missed") else "promise"
    return unfolding(line, worst, sum_of(label, promise.lines), _evidence(promise), look=look)


def _evidence(promise: Promise) -> Markup:
    found = promise.evidence
    if found is None:
        return paragraph("No drill has measured it.", quiet=True)
    age = f", {promise.evidence_age_s / day_s:.0f} days ago" if promise.evidence_age_s is not None else ""
    verdict = {"current": "it counts", "expired": "expired: the system has changed since", "failed": "it failed"}
    said = f"Drill {found.drill}, {date_of(found.at)}{age}: {verdict.get(promise.evidence_state, '')}."
    return paragraph(said, quiet=True)
