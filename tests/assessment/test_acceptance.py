"""What an owner accepts: shown as such, not counted, back after its day, and said when it matches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlast.assessment.assess import Assessment, assess, at_least
from outlast.assessment.document import document
from outlast.assessment.finding import Finding
from outlast.assessment.patch import patched
from outlast.assessment.report import report, verdict
from outlast.assessment.rulebook import known_rules
from outlast.assessment.sarif import sarif
from outlast.blueprint.load import parse
from outlast.cli.main import main
from outlast.kernel.error import ConfigurationError
from tests.assessment.blueprints import assessment_of, system_of

SHOP = """\
outlast: 1
objectives:
  live: {survive: {zone: {rto: 5m}}}
regions:
  home: {aws: eu-central-1, zones: 3}
services:
  web: {kind: container, class: live, needs: {pay: {strength: hard, timeout: 2s}, post: {strength: hard, timeout: 2s}}}
external:
  pay: {on_loss: fail}
  post: {}
"""
END_OF_2023 = 1_704_067_199.0  # 2023-12-31 23:59:59 UTC


def accepting(*entries: str) -> str:
    return f"{SHOP}accept:\n" + "".join(f"  - {entry}\n" for entry in entries)


def of(assessment: Assessment, rule: str) -> list[Finding]:
    return [one for one in assessment.findings if one.rule == rule]


WEB = "{rule: OL-AVL-001, component: web, until: 2023-12-31, reason: a shop that may be closed}"


def test_an_accepted_finding_is_still_there_and_does_not_count() -> None:
    before, after = assessment_of(SHOP), assessment_of(accepting(WEB))
    (found,) = of(after, "OL-AVL-001")
    assert found.accepted
    assert found.acceptance is not None
    assert found.acceptance.reason == "a shop that may be closed"
    assert found in after.findings
    assert found not in at_least(after, "low")
    assert after.accepted == 1
    assert sum(after.counts.values()) == sum(before.counts.values()) - 1


def test_what_is_accepted_stands_last() -> None:
    flags = [one.accepted for one in assessment_of(accepting(WEB)).findings]
    assert flags == sorted(flags)


def test_it_holds_through_its_last_day_and_comes_back_after_it() -> None:
    system = system_of(accepting(WEB))
    (last,) = of(assess(system, END_OF_2023), "OL-AVL-001")
    (after,) = of(assess(system, END_OF_2023 + 1), "OL-AVL-001")
    assert last.accepted
    assert not after.accepted
    assert after.acceptance == last.acceptance
    assert after in at_least(assess(system, END_OF_2023 + 1), "high")


def test_a_component_takes_all_that_a_rule_finds_there_a_subject_only_one_thing() -> None:
    every = accepting("{rule: OL-DEP-001, component: web, until: 2023-12-31, reason: both are ours}")
    assert [one.accepted for one in of(assessment_of(every), "OL-DEP-001")] == [True, True]
    one = accepting("{rule: OL-DEP-001, subject: web -> pay, until: 2023-12-31, reason: they are reliable}")
    assert {one.subject: one.accepted for one in of(assessment_of(one), "OL-DEP-001")} == {
        "web -> pay": True,
        "web -> post": False,
    }


def test_neither_takes_the_rule_wherever_it_is_found() -> None:
    text = accepting("{rule: OL-DEP-001, until: 2023-12-31, reason: known}")
    assert all(one.accepted for one in of(assessment_of(text), "OL-DEP-001"))


def test_of_two_words_on_one_thing_the_longer_one_counts() -> None:
    text = accepting(WEB, "{rule: OL-AVL-001, until: 2024-02-29, reason: later}")
    (found,) = of(assess(system_of(text), END_OF_2023 + 1), "OL-AVL-001")
    assert found.accepted
    assert found.acceptance is not None
    assert found.acceptance.until == "2024-02-29"


def test_an_acceptance_that_matches_nothing_is_itself_found_where_it_stands() -> None:
    text = accepting(WEB, "{rule: OL-AVL-006, component: web, until: 2023-12-31, reason: gone}")
    (found,) = of(assessment_of(text), "OL-ACC-001")
    assert found.severity == "low"
    assert found.subject == "OL-AVL-006 web"
    assert text.splitlines()[found.place.line - 1].lstrip().startswith("- {rule: OL-AVL-006")


def test_it_says_where_the_rule_is_found_and_what_may_have_been_meant() -> None:
    text = accepting(
        "{rule: OL-DEP-001, component: pey, until: 2023-12-31, reason: mistyped}",
        "{rule: OL-AVL-01, until: 2023-12-31, reason: mistyped}",
    )
    reasons = {one.subject: one.reason for one in of(assessment_of(text), "OL-ACC-001")}
    assert "web -> pay, web -> post" in reasons["OL-DEP-001 pey"]
    assert "OL-AVL-001" in reasons["OL-AVL-01"]


def test_its_own_removal_is_its_fix_and_leaves_the_others() -> None:
    text = accepting(
        "{rule: OL-AVL-006, until: 2023-12-31, reason: gone}", WEB, "{rule: OL-AVL-007, until: 2023-12-31, reason: x}"
    )
    edits = [edit for one in of(assessment_of(text), "OL-ACC-001") for edit in one.fix.edits]
    assert patched(text, edits) == accepting(WEB)
    assert patched(accepting(WEB), [edits[0]]) == SHOP


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{rule: OL-AVL-001, until: 2023-12-31}", "lacks reason"),
        ("{rule: OL-AVL-001, reason: because}", "lacks until"),
        ("{rule: OL-AVL-001, reason: because, until: 2023-02-30}", "'2023-02-30' is not a day"),
        ("{rule: OL-AVL-001, reason: because, until: next week}", "expected YEAR-MONTH-DAY"),
        ("{rule: OL-AVL-001, reason: because, until: 20231231}", "is not a day"),
        ("{rule: X, reason: b, until: 2023-12-31, component: web, subject: web}", "expected one of them"),
        ("{rule: X, reason: b, until: 2023-12-31, componet: web}", "did you mean 'component'"),
    ],
)
def test_an_acceptance_needs_a_reason_and_a_day(entry: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        parse(accepting(entry).encode())
    assert "outlast.yaml:12" in str(error.value)


def test_the_json_says_it() -> None:
    found = document(assessment_of(accepting(WEB)))
    assert found["accepted"] == 1
    last = found["findings"][-1]
    assert last["accepted"] is True
    assert last["acceptance"]["until"] == "2023-12-31"


def test_sarif_suppresses_it_with_the_reason() -> None:
    results = sarif(assessment_of(accepting(WEB)), known_rules(), "1.0")["runs"][0]["results"]
    suppressed = [one for one in results if "suppressions" in one]
    (only,) = suppressed
    (suppression,) = only["suppressions"]
    assert only["ruleId"] == "OL-AVL-001"
    assert suppression["kind"] == "inSource"
    assert suppression["justification"] == "a shop that may be closed (until 2023-12-31)"
    assert suppression["location"]["physicalLocation"]["region"]["startLine"] == 12
    lapsed = sarif(assess(system_of(accepting(WEB)), END_OF_2023 + 1), known_rules(), "1.0")["runs"][0]["results"]
    assert not [one for one in lapsed if "suppressions" in one]


def test_the_report_shows_it_apart_and_does_not_count_or_mark_it() -> None:
    text = accepting(WEB, "{rule: OL-DEP-001, until: 2023-12-31, reason: 'a <b>bold</b> risk'}")
    system = system_of(text)
    assessment = assess(system, END_OF_2023)
    page = report(assessment, system, text)
    before, _, accepted = page.partition(">Accepted</h3>")
    assert "a &lt;b&gt;bold&lt;/b&gt; risk" in accepted
    assert "<code>OL-AVL-001</code>" not in before
    assert verdict(assessment).count("high or worse") == 1
    assert "2023-12-31, which has passed: a shop" in report(assess(system, END_OF_2023 + 1), system, text)


def test_the_command_no_longer_fails_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    high = [one for one in assessment_of(SHOP).findings if one in at_least(assessment_of(SHOP), "high")]
    entries = [f"{{rule: {rule}, until: 2999-12-31, reason: a test}}" for rule in sorted({one.rule for one in high})]
    file = tmp_path / "outlast.yaml"
    file.write_text(SHOP)
    assert main(["assess", "-f", str(file)]) == 1
    capsys.readouterr()
    file.write_text(accepting(*entries))
    assert main(["assess", "-f", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"{len(high)} accepted" in shown
    assert "until 2999-12-31: a test" in shown
    assert main(["assess", "-f", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == len(high)


def test_what_is_accepted_is_not_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = accepting("{rule: OL-AVL-001, until: 2999-12-31, reason: a test}")
    file = tmp_path / "outlast.yaml"
    file.write_text(text)
    main(["assess", "-f", str(file), "--apply", "OL-AVL-001"])
    assert file.read_text() == text
    assert "accepted until 2999-12-31, and left as it is" in capsys.readouterr().err
