"""Whole blueprints: the bad one, the good one, and what an assessment says of itself."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from outlast.assessment.assess import assess, at_least
from outlast.assessment.disruption import Disruption
from outlast.assessment.document import document
from outlast.assessment.finding import severities, severity_of
from outlast.assessment.patch import patched
from outlast.assessment.rule import Rule, Weakness
from outlast.assessment.rulebook import known_rules
from outlast.assessment.sarif import sarif
from outlast.assessment.what_if import disruption_of
from outlast.blueprint.load import parse
from outlast.kernel.error import ConfigurationError
from tests.assessment.blueprints import HERE, NOW, assessment_of, system_of

BAD = (HERE / "bad.yaml").read_text(encoding="utf-8")
GOOD = (HERE / "good.yaml").read_text(encoding="utf-8")
PLANTED: dict[str, list[str]] = yaml.safe_load((HERE / "planted.yaml").read_text(encoding="utf-8"))


def test_every_planted_weakness_is_found_by_its_own_rule() -> None:
    found = {(one.rule, one.subject) for one in assessment_of(BAD).findings}
    missed = [
        (rule, subject) for rule, subjects in PLANTED.items() for subject in subjects if (rule, subject) not in found
    ]
    assert not missed
    assert len(PLANTED) >= 30


def test_every_fix_of_every_finding_is_accepted_by_itself() -> None:
    for finding in assessment_of(BAD).findings:
        if finding.fix.edits:
            mended = patched(BAD, finding.fix.edits)
            assert mended != BAD, finding.rule
            parse(mended.encode())


def test_nothing_else_is_high() -> None:
    grave = {(one.rule, one.subject) for one in at_least(assessment_of(BAD), "high")}
    assert not {(rule, subject) for rule, subject in grave if subject not in PLANTED.get(rule, [])}


def test_a_good_system_has_no_high_finding_and_keeps_its_promises() -> None:
    assessment = assessment_of(GOOD)
    assert not at_least(assessment, "high")
    assert {one.status for one in assessment.promises} == {"met by design"}


def test_the_same_system_at_the_same_time_is_assessed_alike() -> None:
    assert document(assessment_of(BAD)) == document(assessment_of(BAD))


def test_the_worst_comes_first() -> None:
    order = [severities.index(one.severity) for one in assessment_of(BAD).findings]
    assert order == sorted(order, reverse=True)


def test_every_finding_names_its_place_its_practice_and_components_that_exist() -> None:
    assessment = assessment_of(BAD)
    known = system_of(BAD).components
    for finding in assessment.findings:
        assert finding.place.line > 0, finding.rule
        assert finding.pillar or finding.lens
        assert set(finding.components) <= set(known)
        assert 0 < finding.blast_radius <= 1
        assert finding.severity == severity_of(finding.score)


def test_single_points_cycles_and_shared_fates_are_listed() -> None:
    assessment = assessment_of(BAD)
    assert {"stock", "journal", "edge"} <= set(assessment.single_points)
    assert assessment.cycles == (("front", "gate", "stock"),)
    assert "worker pool default" in assessment.shared_fates
    assert assessment.impacts[0].share == 1


def test_the_words_for_a_score_begin_where_the_page_says() -> None:
    bounds = [(0.6, "critical"), (0.59, "high"), (0.35, "high"), (0.34, "medium"), (0.12, "medium"), (0.11, "low")]
    assert [(score, severity_of(score)) for score, _ in bounds] == bounds


def test_the_json_document_is_plain_and_has_no_infinity() -> None:
    text = json.dumps(document(assessment_of(BAD)), allow_nan=False)
    assert json.loads(text)["findings"][0]["severity"] == "critical"


def test_sarif_points_into_the_file() -> None:
    result = sarif(assessment_of(BAD), known_rules(), "1.0")
    jsonschema.validate(result, _SARIF)
    driver = result["runs"][0]["tool"]["driver"]
    first: dict[str, Any] = result["runs"][0]["results"][0]
    assert driver["rules"][first["ruleIndex"]]["id"] == first["ruleId"]
    assert first["level"] == "error"
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "outlast.yaml"


_SARIF: dict[str, Any] = {  # what SARIF 2.1.0 demands of the parts that are used here
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {"type": "object", "required": ["driver"]},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "message": {"type": "object", "required": ["text"]},
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize(
    ("text", "disruption"),
    [
        ("zone eu-central-1a down", Disruption("zone", "eu-central-1a")),
        ("eu-central-1a", Disruption("zone", "eu-central-1a")),
        ("region home is lost", Disruption("region", "eu-central-1")),
        ("region us-east-1", Disruption("region", "us-east-1")),
        ("orders down", Disruption("dependency", "orders")),
        ("process support", Disruption("process", "support")),
        ("orders corrupted", Disruption("corruption", "orders")),
    ],
)
def test_what_if_is_read(text: str, disruption: Disruption) -> None:
    assert disruption_of(text, system_of(BAD)) == disruption


@pytest.mark.parametrize("text", ["", "zone", "oders down", "zone orders down", "orders and stock"])
def test_what_if_that_means_nothing_says_what_is_known(text: str) -> None:
    with pytest.raises(ConfigurationError, match="what if"):
        disruption_of(text, system_of(BAD))


def test_others_add_rules() -> None:
    def check(facts: Any) -> Any:
        from outlast.assessment.finding import Fix

        yield Weakness(subject="all", radius=1, reason="said so", fix=Fix(text="do not"))

    mine = Rule(id="ME-ODD-001", title="odd", why="It is.", trigger="always", check=check)
    found = assess(system_of(GOOD), NOW, rules=(mine,)).findings
    assert [(one.rule, one.severity) for one in found] == [("ME-ODD-001", "critical")]
    assert mine.family == "ODD"
