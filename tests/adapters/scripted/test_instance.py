"""Instances of schemas: always valid, always the same, and about the prompt."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.adapters.scripted.instance import instance
from outlast.model.endpoint import EndpointRefused
from outlast.model.output import output_schema, parse_output


class Color(enum.Enum):
    RED = "red"
    DARK_GREEN = "dark_green"


class Cat(msgspec.Struct, tag="cat"):
    lives: Annotated[int, msgspec.Meta(ge=1, le=9)]
    friend: Cat | Dog | None = None


class Dog(msgspec.Struct, tag="dog"):
    name: Annotated[str, msgspec.Meta(min_length=12, max_length=20)]


@dataclasses.dataclass
class Plain:
    order: int
    note: str | None
    tags: set[str]


class Pydantic(pydantic.BaseModel):
    color: Color = Color.RED
    share: float = pydantic.Field(gt=0, lt=1)
    children: list[Pydantic] = []


class Tree(msgspec.Struct):
    left: Tree | None
    right: Tree | None


TYPES: list[Any] = [
    Color, Cat, Dog, Plain, Pydantic, Tree, int, float, bool, list[int], dict[str, int], tuple[int, str, bool],
    Literal["a", "b"], Cat | Dog, list[Plain], int | None, Annotated[str, msgspec.Meta(pattern="^[a-z]+$")],
    Annotated[list[int], msgspec.Meta(min_length=3)], Annotated[int, msgspec.Meta(gt=5, multiple_of=7)],
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(prompt=st.text(max_size=60))
def test_an_instance_is_valid_and_reads_back_as_its_type_whatever_the_prompt(kind: Any, prompt: str) -> None:
    schema = output_schema(kind)
    assert schema is not None
    made = instance(schema, prompt)
    jsonschema.validate(made, schema)
    parse_output(json.dumps(made), kind)
    assert instance(schema, prompt) == made


def field(schema: dict[str, Any], prompt: str, name: str = "value") -> Any:
    return instance({"type": "object", "properties": {name: schema}, "required": [name]}, prompt)[name]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("I would like to be refunded", "refund"),
        ("my parcel was not delivered, please refund", "refund"),
        ("is it a refund or a delivery? The delivery is late, the delivery is wrong", "delivery"),
        ("a problem with my login", "login_problem"),
    ],
)
def test_an_enum_follows_the_words_of_the_prompt(prompt: str, expected: str) -> None:
    assert field({"enum": ["delivery", "refund", "login_problem"]}, prompt) == expected


def test_numbers_and_identifiers_come_from_the_prompt() -> None:
    assert field({"type": "integer"}, "Refund 12 EUR of order #1043", "order") == 1043
    assert field({"type": "string"}, "it is about order A-77, thanks", "order_id") == "A-77"
    assert field({"type": "integer"}, "80 EUR please", "cents") == 80


def test_a_boolean_is_true_if_the_prompt_speaks_of_it() -> None:
    assert field({"type": "boolean"}, "give me a refund", "wants_refund") is True
    assert field({"type": "boolean"}, "where is it", "wants_refund") is False


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": "widget"},
        {"type": "object", "properties": 3},
        {"type": "string", "pattern": "["},
        {"type": "string", "pattern": "^[0-9]{9}x$"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "array", "minItems": 10**9},
        {"enum": []},
    ],
)
def test_a_schema_that_cannot_be_served_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(EndpointRefused):
        instance(schema, "hello")
