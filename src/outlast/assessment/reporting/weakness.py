"""The findings, worst first: why it is a weakness, the fix as a patch, what that buys and costs."""

from __future__ import annotations

import difflib

from outlast.assessment.assess import Assessment
from outlast.assessment.drawing.markup import Markup, element, joined
from outlast.assessment.finding import Edit, Finding, Severity
from outlast.assessment.patch import patched, rendered
from outlast.assessment.reporting.part import (
    chip,
    code,
    nothing,
    paragraph,
    prose,
    scrolling,
    section,
    sum_of,
    table,
    unfolding,
)
from outlast.kernel.error import ConfigurationError

diffs_max = 40
"""So many findings show their fix as a difference of the file, each of which reads the file; the others as entries."""
diff_chars_max = 32 * 1024
"""Of a longer file, fixes are shown as entries."""
looks: dict[Severity, str] = {"critical": "down", "high": "interrupted", "medium": "degraded", "low": "weakened"}


def findings(assessment: Assessment, text: str) -> Markup:
    """All of them. `text` is the blueprint's, for patches; empty: not at hand."""
    if not assessment.findings:
        return section("findings", "Findings", paragraph("No rule found a weakness."))
    shown = text if len(text) <= diff_chars_max else ""
    patches = _Patches(shown, assessment.file)
    items = [_finding(one, assessment.file, patches) for one in assessment.findings if not one.accepted]
    intro = "Worst first: blast radius, the share of all work that is hit, times how likely its cause is."
    listed = element("ol", *items, class_="findings") if items else paragraph("All that was found is accepted.")
    return section("findings", "Findings", paragraph(intro, quiet=True), listed, _accepted(assessment))


def _accepted(assessment: Assessment) -> Markup:
    """What the owner lives with, until when and why."""
    rows = [
        (
            joined([code(one.rule), element("br"), element("span", one.severity, class_="quiet")]),
            joined([element("strong", one.subject), element("br"), prose(one.reason)]),
            said.until,
            said.reason,
        )
        for one in assessment.findings
        if one.accepted and (said := one.acceptance) is not None
    ]
    if not rows:
        return nothing
    intro = paragraph("These are known and do not count until their day has passed.", quiet=True)
    found = table("accepted findings", ("rule", "finding", "accepted until", "because"), rows)
    return joined([element("h3", "Accepted"), intro, found])


def _finding(finding: Finding, file: str, patches: _Patches) -> Markup:
    place = f"{file}:{finding.place.line}" if finding.place.line else file
    head = element("h3", chip(finding.severity, looks[finding.severity]), " ", finding.title)
    practice = ", ".join(filter(None, (finding.pillar and f"Well-Architected {finding.pillar}", finding.lens)))
    where = element(
        "p", code(finding.rule), " · ", element("strong", finding.subject), " · ", code(place),
        f" · blast radius {finding.blast_radius:.0%} × likelihood {finding.likelihood:.0%}",
        f" · {practice}" if practice else "", class_="quiet",
    )  # fmt: skip
    lapsed = finding.acceptance
    was = paragraph(f"Accepted until {lapsed.until}, which has passed: {lapsed.reason}") if lapsed else nothing
    sums = sum_of(f"arithmetic: {finding.rule}, {finding.subject}", finding.lines)
    more = unfolding(("Arithmetic",), sums) if finding.lines else nothing
    return element(
        "li", element("article", head, where, paragraph(prose(finding.reason)), was, more, _fix(finding, patches))
    )


def _fix(finding: Finding, patches: _Patches) -> Markup:
    fix = finding.fix
    terms: list[Markup] = [element("dt", "Fix"), element("dd", prose(fix.text))]
    if fix.buys:
        terms += [element("dt", "Buys"), element("dd", prose(fix.buys))]
    if fix.costs:
        terms += [element("dt", "Costs"), element("dd", prose(fix.costs))]
    if not fix.edits:
        return element("dl", *terms)
    shown = scrolling(
        f"patch: {finding.rule}, {finding.subject}", element("pre", *patches.of(fix.edits)), "scroll patch"
    )
    how = paragraph("Written by ", code(f"outlast assess --apply {finding.rule}"), quiet=True)
    return joined([element("dl", *terms), unfolding(("Patch",), shown, how)])


class _Patches:
    """Fixes as text, as many as `diffs_max` as a difference."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._left = diffs_max if text else 0

    def of(self, edits: tuple[Edit, ...]) -> list[Markup]:
        """Lines, each with its look."""
        if self._left:
            self._left -= 1
            try:
                return _difference(self._text, patched(self._text, edits, self._file), self._file)
            except ConfigurationError:
                pass  # it cannot be written by itself: the entries say what is meant
        return [element("span", f"{_entry(edit)}\n", class_="added") for edit in edits]


def _entry(edit: Edit) -> str:
    path = ".".join(str(key) for key in edit.path)
    return f"- {path}" if edit.value is None else f"{path}: {rendered(edit.value)}"


def _difference(before: str, after: str, file: str) -> list[Markup]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), file, file, n=2, lineterm="")
    return [element("span", f"{line}\n", class_=_look(line)) for line in lines]


def _look(line: str) -> str | None:
    if line.startswith(("---", "+++", "@@")):
        return "quiet"
    return {"+": "added", "-": "removed"}.get(line[:1])
