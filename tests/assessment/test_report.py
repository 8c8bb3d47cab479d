"""The report as HTML: what it says, and that nothing of others becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest

from outlast.assessment.assess import Assessment
from outlast.assessment.facts import Facts
from outlast.assessment.failure import failures
from outlast.assessment.figure import Figure
from outlast.assessment.finding import Edit, Finding, Fix
from outlast.assessment.precaution import Evidence
from outlast.assessment.report import report, verdict
from outlast.assessment.reporting.weakness import diff_chars_max
from outlast.assessment.system import System
from tests.assessment.blueprints import DAY, NOW, assessment_of, system_of

TEXT = """outlast: 1
name: shop
objectives:
  live: {availability: 99.9%, survive: {zone: {rto: 1s, rpo: 0s}, process: {rto: 1m}}}
agents:
  front: {class: live, needs: {orders: hard}}
stores:
  orders: {kind: sql, data: critical, aws: rds}  # the one that counts
"""


class Reader(HTMLParser):
    """Every element must be closed by itself, in order; collects text and tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def shop_report(text: str = TEXT, evidence: tuple[Evidence, ...] = ()) -> str:
    return report(assessment_of(text, evidence), system_of(text, evidence), text)


def a_finding(**changes: object) -> Finding:
    plain = Finding(
        rule="X-1", title="t", subject="s", severity="high", blast_radius=0.5, likelihood=0.8, reason="r",
        fix=Fix("do it"), pillar="",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def with_finding(finding: Finding, text: str = TEXT) -> str:
    assessment: Assessment = msgspec.structs.replace(assessment_of(text), findings=(finding,))
    return report(assessment, system_of(text), text)


def test_it_has_every_chapter_and_is_well_formed() -> None:
    reader = read(shop_report())
    for heading in (
        "Promises",
        "Findings",
        "Drawing",
        "What fails when something fails",
        "Failure modes",
        "Structure",
        "Evidence",
        "What was assumed",
    ):
        assert heading in reader.text
    assert reader.tags.count("svg") == 1
    assert reader.tags.count("style") == 1
    assert "script" not in reader.tags


def test_it_names_no_other_resource_and_its_policy_forbids_them() -> None:
    page = shop_report()
    assert not re.search(r"<(script|link|img|iframe|object|embed|base|form)\b|@import|\sstyle=|\son\w+=", page)
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {"#graph-plain", "#graph-later", "#graph-start"}
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;; style-src &#x27;sha256-")
    assert "unsafe" not in policy[1]


def test_every_promise_is_there_with_its_arithmetic_and_where_numbers_come_from() -> None:
    text = read(shop_report()).text
    for promise in assessment_of(TEXT).promises:
        assert promise.status in text
        for line in promise.lines:
            assert line.text in text
            assert line.value in text
            assert line.reference in text


def test_every_finding_is_there_with_reason_fix_and_place() -> None:
    text = read(shop_report()).text
    found = assessment_of(TEXT).findings
    assert found
    for finding in found:
        for said in (
            finding.rule,
            finding.title,
            finding.subject,
            finding.reason.replace("`", ""),
            finding.fix.text.replace("`", ""),
        ):
            assert said in text
    assert "outlast.yaml:8" in text


def test_a_fix_is_shown_as_a_difference_of_the_file_with_its_comments() -> None:
    text = read(with_finding(a_finding(fix=Fix("t", (Edit(("stores", "orders", "timeout"), "2s"),))))).text
    assert "-  orders: {kind: sql, data: critical, aws: rds}  # the one that counts\n" in text
    assert "+  orders: {kind: sql, data: critical, aws: rds, timeout: 2s}  # the one that counts\n" in text
    assert "outlast assess --apply X-1" in text


@pytest.mark.parametrize("text", ["", TEXT + "#" * diff_chars_max], ids=["no text", "a long text"])
def test_without_a_text_or_with_a_long_one_a_fix_is_shown_as_entries(text: str) -> None:
    finding = a_finding(fix=Fix("t", (Edit(("stores", "orders", "timeout"), "2s"), Edit(("queues",), None))))
    assessment = msgspec.structs.replace(assessment_of(TEXT), findings=(finding,))
    said = read(report(assessment, system_of(TEXT), text)).text
    assert "stores.orders.timeout: 2s\n- queues\n" in said


def test_a_fix_that_cannot_be_written_is_shown_as_entries() -> None:
    said = read(with_finding(a_finding(fix=Fix("t", (Edit(("name", "below"), 1),))))).text
    assert "name.below: 1" in said


def test_a_fix_by_hand_promises_no_patch() -> None:
    assert "--apply" not in with_finding(a_finding())


def test_nothing_that_others_wrote_becomes_markup() -> None:
    hostile = """"><script>alert('x')</script><img src=x onerror=y>"""
    page = with_finding(
        a_finding(
            rule=hostile,
            title=hostile,
            subject=hostile,
            reason=hostile,
            lens=hostile,
            fix=Fix(hostile, (Edit((hostile,), hostile),), hostile, hostile),
        )
    )
    reader = read(page)
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert reader.text.count(hostile) >= 7


def test_failure_modes_are_there_with_what_protects_and_what_would_prove_it() -> None:
    text = read(shop_report()).text
    modes = list(failures(Facts(system_of(TEXT), NOW)))
    assert modes
    for mode in modes:
        for said in (mode.subject, mode.mode, mode.shows, mode.effect, mode.protected_by, mode.drill):
            assert said in text


def test_what_was_assumed_is_listed_and_what_was_declared_is_not() -> None:
    system = system_of(TEXT)
    orders = system.components["orders"]
    said = msgspec.structs.replace(orders, availability=Figure(0.9876, "declared", "stores.orders.availability"))
    told: System = msgspec.structs.replace(system, components={**system.components, "orders": said})
    text = read(report(assessment_of(TEXT), told, TEXT)).text.rpartition("What was assumed")[2]
    assert orders.availability.reference in read(shop_report()).text
    assert "stores.orders.availability" not in text
    assert "availability of a zone" in text


def test_evidence_is_shown_with_its_age_and_goes_before_the_estimate() -> None:
    fresh = Evidence(drill="zone-off", at=NOW - 2 * DAY, passed=True, disruption="zone", rto_s=0.5, rpo_s=0.0)
    old = msgspec.structs.replace(fresh, at=NOW - 40 * DAY)
    text = read(shop_report(evidence=(fresh,))).text
    assert "met by drill" in text
    assert "Drill zone-off, 2023-11-12 22:13 UTC, 2 days ago: it counts." in text
    assert "expired: the system has changed since" in read(shop_report(evidence=(old,))).text
    assert "No drill has measured anything yet" in read(shop_report()).text


def test_the_verdict_is_one_sentence() -> None:
    assessment = assessment_of(TEXT)
    missed = sum(one.status.startswith("missed") for one in assessment.promises)
    assert verdict(assessment).startswith(f"{missed} of {len(assessment.promises)} promises ")
    kept = msgspec.structs.replace(assessment, promises=(), findings=())
    assert verdict(kept) == "Nothing was promised; no findings are high or worse."


def test_the_same_assessment_gives_the_same_bytes() -> None:
    assert shop_report() == shop_report()
