"""The reference and the JSON Schema that are made from the types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from outlast.blueprint.form import SCALARS
from outlast.blueprint.load import parse
from outlast.blueprint.reference import field_documents, json_schema, page
from outlast.blueprint.resolved import resolve, written
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.section import sections

ROOT = Path(__file__).resolve().parent.parent.parent
WHOLE = Path(__file__).with_name("whole.yaml").read_bytes()
SECTIONS = [kind for kind in sections(Blueprint) if kind not in SCALARS]


def test_the_page_in_the_documentation_is_the_one_that_the_types_make() -> None:
    assert (ROOT / "docs" / "blueprint.md").read_text("utf-8") == page(), (
        "run: outlast blueprint reference > docs/blueprint.md"
    )


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_every_section_and_every_field_says_what_it_is(kind: type[msgspec.Struct]) -> None:
    assert kind.__doc__
    documents = field_documents(kind)
    assert {field.name for field in msgspec.structs.fields(kind)} <= documents.keys()
    assert all(text.endswith(".") for text in documents.values())


def test_no_two_sections_have_the_same_name() -> None:
    assert len({kind.__name__.lower() for kind in SECTIONS}) == len(SECTIONS)


def problems(document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(json_schema()).iter_errors(document)]


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("file", [WHOLE, *[path.read_bytes() for path in (ROOT / "examples").glob("*/outlast.yaml")]])
def test_what_is_accepted_keeps_to_the_json_schema(file: bytes) -> None:
    assert problems(yaml.safe_load(file)) == []
    blueprint = parse(file)
    assert problems(written(blueprint, defaults=False)) == []
    assert problems(written(resolve(blueprint), defaults=True)) == []


@pytest.mark.parametrize(
    "text",
    [
        "worker: {min: 1}",
        "workers: {min: 0}",
        "takeover_after: 5",
        "objectives: {live: {availability: 99.9}}",
        "agents: {a: {needs: {b: maybe}}}",
        "agents: {a: {needs: {b: {strenght: hard}}}}",
        "stores: {orders: {aws: s3}}",
        "regions: {standby: {}}",
        "run_on: {local: {orders: mysql}}",
        "alarms: {a: {burn_rate: [fast]}}",
        "server: {token: hunter2}",
    ],
)
def test_what_an_editor_can_see_is_wrong_is_wrong_by_the_json_schema(text: str) -> None:
    assert problems(yaml.safe_load(text))
