"""Every rule finds what it is there to find, and is silent once it is mended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from outlast.assessment.finding import Finding
from outlast.assessment.patch import patched
from outlast.assessment.precaution import Evidence
from outlast.assessment.rules import RULES
from outlast.assessment.seen import Seen
from outlast.blueprint.load import parse
from tests.assessment.blueprints import DAY, HERE, NOW, assessment_of, written

_ALL: dict[str, Any] = yaml.safe_load((HERE / "cases.yaml").read_text(encoding="utf-8"))
BASE: dict[str, Any] = _ALL.pop("base")
CASES = _ALL


def found(text: str, rule: str, evidence: tuple[Evidence, ...] = ()) -> list[Finding]:
    observed = tuple(msgspec.convert(one, Seen) for one in CASES[rule].get("observed", ()))
    return [finding for finding in assessment_of(text, evidence, observed).findings if finding.rule == rule]


def shown(said: list[dict[str, Any]] | None) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(at=NOW - one["days"] * DAY, **{key: value for key, value in one.items() if key != "days"})
        for one in said or ()
    )


def test_there_is_a_case_for_every_rule() -> None:
    assert sorted(CASES) == sorted(rule.id for rule in RULES)


def test_ids_are_unique_and_there_are_enough_of_them() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids) >= 40


@pytest.mark.parametrize("rule", sorted(CASES))
def test_a_rule_finds_its_weakness(rule: str) -> None:
    case = CASES[rule]
    findings = found(written({**BASE, **case["fails"]}), rule, shown(case.get("evidence")))
    assert findings, f"{rule} found nothing"
    for finding in findings:
        assert finding.reason
        assert finding.fix.text
        assert finding.fix.buys


@pytest.mark.parametrize("rule", sorted(CASES))
def test_a_rule_is_silent_when_its_weakness_is_mended(rule: str) -> None:
    case = CASES[rule]
    text = written({**BASE, **case["fails"]})
    if "passes_with" in case:
        assert not found(text, rule, shown(case["passes_with"]))
        return
    if "passes" in case:
        assert not found(written({**BASE, **case["passes"]}), rule)
        return
    edits = [edit for finding in found(text, rule) for edit in finding.fix.edits]
    assert edits, f"{rule} has neither a patch nor a passing example"
    mended = patched(text, edits)
    parse(mended.encode())
    assert not found(mended, rule), mended


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_what_it_is_about(rule: Any) -> None:
    assert rule.title[0].islower() or rule.title[0].isupper()
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.pillar.startswith("REL") or rule.lens
