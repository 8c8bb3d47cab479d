"""Templates as they are found in public become the blueprint that a person would write, with the right findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from outlast.assessment.assess import assess
from outlast.assessment.describe import describe
from outlast.assessment.template.cloudformation import Source, cloudformation
from outlast.assessment.template.draft import Draft, draft_cloudformation, draft_terraform
from outlast.assessment.template.terraform import terraform
from outlast.blueprint.load import parse_placed

TEMPLATES = Path(__file__).parent / "templates"
REGIONS = {
    "serverless_queues.yaml": "eu-west-1",
    "cdk_intake.template.json": "eu-central-1",
    "bedrock_agent.yaml": "eu-central-1",
}
"""What stands behind the @ of a file."""
EVERYWHERE = ("OL-TIM-001", "OL-EVI-001", "OL-CHG-001", "OL-OBS-001", "OL-LOD-007", "OL-AGT-002", "OL-AVL-004")
"""Rules that find in every draft what no template says: time-outs of calls, drills, deployments, load, promises."""


def draft_of(file: str) -> Draft:
    source = Source(file, (TEMPLATES / file).read_bytes(), REGIONS.get(file, ""))
    return draft_terraform([source]) if file.endswith(".tf.json") else draft_cloudformation([source])


def told(file: str) -> dict[str, Any]:
    """All that a draft says, and what is found in it."""
    draft = draft_of(file)
    blueprint, places = parse_placed(draft.text.encode())
    system = describe(blueprint, places)
    document = yaml.safe_load(draft.text)
    components = {
        f"{section}.{name}": {key: value for key, value in body.items() if key != "needs"}
        for section in ("services", "models", "stores", "queues", "external")
        for name, body in document.get(section, {}).items()
    }
    edges = [
        f"{edge.source} -> {edge.target}{'' if edge.hard else ' soft'}{'' if edge.synchronous else ' async'}"
        for edge in system.edges
        if not edge.target.startswith(f"{edge.source}.")
    ]
    findings: dict[str, list[str]] = {}
    for finding in assess(system, 0.0).findings:
        if finding.rule not in EVERYWHERE:
            findings.setdefault(finding.rule, []).append(finding.subject)
    return {
        "regions": document["regions"],
        "components": components,
        "edges": sorted(edges),
        "backup": document.get("backup", {}),
        "alarms": document.get("alarms", {}),
        "findings": {rule: sorted(subjects) for rule, subjects in sorted(findings.items())},
        "left": sorted(f"{one.resource}: {one.why}" for one in draft.left),
    }


EXPECTED: dict[str, Any] = yaml.safe_load((TEMPLATES / "expected.yaml").read_text("utf-8"))


@pytest.mark.parametrize("file", list(EXPECTED))
def test_a_template_becomes_the_components_edges_and_findings_that_a_person_expects(file: str) -> None:
    found = told(file)
    for part, expected in EXPECTED[file].items():
        assert found[part] == expected, part


def test_every_template_of_the_directory_is_expected() -> None:
    assert set(EXPECTED) == {path.name for path in TEMPLATES.iterdir()} - {"expected.yaml"}


@pytest.mark.parametrize("file", list(EXPECTED))
def test_every_resource_is_accounted_for(file: str) -> None:
    source = Source(file, (TEMPLATES / file).read_bytes())
    inventory = terraform([source]) if file.endswith(".tf.json") else cloudformation([source])
    draft = draft_of(file)
    made = {resource for drawn in draft.components for resource in drawn.resources}
    assert set(inventory.resources) <= made | set(draft.told) | set(draft.quiet) | {one.resource for one in draft.left}
