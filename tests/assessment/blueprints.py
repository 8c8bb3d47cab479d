"""Blueprints for tests, as text or as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from outlast.assessment.assess import Assessment, assess
from outlast.assessment.describe import describe
from outlast.assessment.precaution import Evidence
from outlast.assessment.seen import Seen
from outlast.assessment.system import System
from outlast.blueprint.load import parse_placed

NOW = 1_700_000_000.0
DAY = 86_400.0
HERE = Path(__file__).parent


def system_of(text: str, evidence: tuple[Evidence, ...] = (), observed: tuple[Seen, ...] = ()) -> System:
    """The system that a blueprint describes."""
    blueprint, places = parse_placed(text.encode())
    return describe(blueprint, places, "outlast.yaml", evidence, observed)


def assessment_of(text: str, evidence: tuple[Evidence, ...] = (), observed: tuple[Seen, ...] = ()) -> Assessment:
    """Its assessment at `NOW`."""
    return assess(system_of(text, evidence, observed), NOW)


def written(values: dict[str, Any]) -> str:
    """Plain values as the text of a file, each section on one line."""
    kept = {key: value for key, value in values.items() if value is not None}
    return "".join(
        f"{key}: {yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).strip()}\n"
        for key, value in kept.items()
    )
