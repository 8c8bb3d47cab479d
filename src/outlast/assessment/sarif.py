"""An assessment as SARIF 2.1.0, which code hosts show beside the lines that findings are about."""

from __future__ import annotations

from typing import Any

from outlast.assessment.assess import Assessment
from outlast.assessment.finding import Finding, Severity
from outlast.assessment.rule import Rule

_LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(assessment: Assessment, rules: tuple[Rule, ...], version: str) -> dict[str, Any]:
    """The document; `rules` are those that ran, `version` is that of this package."""
    driver = {"name": "outlast assess", "version": version, "rules": [_rule(rule) for rule in rules]}
    known = {rule.id: index for index, rule in enumerate(rules)}
    results = [_result(finding, known.get(finding.rule, -1), assessment.file) for finding in assessment.findings]
    return {"$schema": _schema, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "properties": {"pillar": rule.pillar, "lens": rule.lens, "tags": ["reliability", rule.family]},
    }


def _result(finding: Finding, index: int, file: str) -> dict[str, Any]:
    text = f"{finding.subject}: {finding.reason}. Fix: {finding.fix.text}."
    region = {"startLine": max(1, finding.place.line), "startColumn": max(1, finding.place.column)}
    return {
        "ruleId": finding.rule,
        **({"ruleIndex": index} if index >= 0 else {}),
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": file}, "region": region}}],
        **_suppressed(finding, file),
        "partialFingerprints": {"subject/v1": f"{finding.rule}:{finding.subject}"},
        "properties": {
            "severity": finding.severity,
            "blastRadius": finding.blast_radius,
            "likelihood": finding.likelihood,
            "buys": finding.fix.buys,
            "costs": finding.fix.costs,
        },
    }


def _suppressed(finding: Finding, file: str) -> dict[str, Any]:
    acceptance = finding.acceptance
    if acceptance is None or not finding.accepted:
        return {}
    region = {"startLine": max(1, acceptance.place.line), "startColumn": max(1, acceptance.place.column)}
    suppression = {
        "kind": "inSource",  # it stands in the file that is assessed
        "status": "accepted",
        "justification": f"{acceptance.reason} (until {acceptance.until})",
        "location": {"physicalLocation": {"artifactLocation": {"uri": file}, "region": region}},
    }
    return {"suppressions": [suppression]}
