"""The reference page of the rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from outlast.assessment.assess import assess
from outlast.assessment.rule_page import rule_page
from outlast.cli.main import main
from tests.assessment.blueprints import NOW, assessment_of, system_of


def block(document: str, language: str) -> str:
    """The first example of a language."""
    text = Path("docs", document).read_text(encoding="utf-8")
    found = re.search(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.sub(r"^   ", "", found[1], flags=re.MULTILINE) if document == "assessment.md" else found[1]


def test_the_page_in_the_documentation_is_that_of_the_rules() -> None:
    assert Path("docs/rules.md").read_text(encoding="utf-8") == rule_page(), (
        "run: outlast assess --rules > docs/rules.md"
    )


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", "--rules"]) == 0
    assert capsys.readouterr().out == rule_page()


def test_the_rule_of_ones_own_that_is_shown_works() -> None:
    names: dict[str, Any] = {}
    exec(block("rules.md", "python"), names)
    found = assess(system_of("stores: {files: {kind: blobs, data: critical}}\n"), NOW, rules=names["RULES"]).findings
    assert [(one.rule, one.subject) for one in found] == [("ACME-STO-001", "files")]


def test_the_first_example_is_assessed() -> None:
    assessment = assessment_of(block("assessment.md", "yaml"))
    assert {"OL-RET-004", "OL-DAT-001", "OL-AWS-001"} <= {one.rule for one in assessment.findings}
