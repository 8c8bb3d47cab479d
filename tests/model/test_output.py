"""Reading what models write."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, Literal

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.error import TypeMismatch
from outlast.model.endpoint import EndpointError
from outlast.model.output import OutputInvalid, output_schema, parse_output


class Kind(enum.Enum):
    REFUND = "refund"
    OTHER = "other"


class Ticket(msgspec.Struct):
    order: int
    kind: Kind = Kind.OTHER
    tags: list[str] = []


class Holder(msgspec.Struct):
    value: int


@dataclasses.dataclass
class Plain:
    name: str
    parent: Plain | None = None


class Pydantic(pydantic.BaseModel):
    order: int = pydantic.Field(gt=0)


GOOD = '{"order":7,"kind":"refund","tags":["a"]}'
TICKET = Ticket(7, Kind.REFUND, ["a"])


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Sure! Here is it:\n\n```json\n{GOOD}\n```\nLet me know.",
        f"The answer is {GOOD}.",
        f"{GOOD} and, to say it again: {GOOD}",
        f"In set theory {{a, b}} is a set [1]. {GOOD}",
        f'I first thought {{"order": "seven"}} but no: {GOOD}',
        f'<think>maybe {{"kind": 3}}</think>{GOOD}',
    ],
)
def test_one_value_is_found_whatever_surrounds_it(text: str) -> None:
    assert parse_output(text, Ticket) == TICKET


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ('{"value": "refund"}', Kind, Kind.REFUND),
        ('"refund"', Kind, Kind.REFUND),
        ("refund", Kind, Kind.REFUND),
        ("`refund`.", Kind, Kind.REFUND),
        ("other", Literal["other", "none"], "other"),
        ("42", int, 42),
        ('{"value": 42}', int, 42),
        ("true", bool, True),
        ("[1, 2]", list[int], [1, 2]),
        ('the list is {"value": [1, 2]}', list[int], [1, 2]),
        ('{"value": 3}', Holder, Holder(3)),
        ('{"value": 3}', dict[str, int], {"value": 3}),
        ('{"value": {"value": 3}}', dict[str, dict[str, int]], {"value": {"value": 3}}),
        ('{"name": "a", "parent": {"name": "b"}}', Plain, Plain("a", Plain("b"))),
        ('{"order": 3}', Pydantic, Pydantic(order=3)),
        ('{"value": null}', Ticket | None, None),
        ('{"order": 3}', Ticket | None, Ticket(3)),
    ],
)
def test_types_of_every_shape_are_read_wrapped_or_not(text: str, kind: Any, expected: Any) -> None:
    assert parse_output(text, kind) == expected


@pytest.mark.parametrize("kind", [str, Any, None])
def test_text_is_not_touched(kind: Any) -> None:
    assert parse_output(' {"a": 1}\n', kind) == ' {"a": 1}\n'
    assert output_schema(kind) is None


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", Ticket, "empty"),
        ("I do not know.", Ticket, "no JSON"),
        ("{", Ticket, "no JSON"),
        (GOOD[:-3], Ticket, "does not fit|no JSON"),
        ('{"kind": "refund"}', Ticket, "missing required field `order`"),
        ('{"order": "7"}', Ticket, "order"),
        ('{"order": 0}', Pydantic, "greater than 0"),
        (f"{GOOD} or {GOOD.replace('7', '8')}", Ticket, "2 different values"),
        ("[" * 100_000, Ticket, "no JSON"),
        ("{" * 100_000, Ticket, "no JSON"),
        ('{"a":' * 50_000, Ticket, "no JSON"),
        ("maybe refund", Kind, "no JSON"),
        ("\ud800", Ticket, "no JSON"),
        ('{"order": 1, "tags": ["\ud800"]}', Ticket, "."),
        ("1e999", int, "."),
        ("NaN", float, "no JSON"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_found_and_expected(text: str, kind: Any, says: str) -> None:
    with pytest.raises(OutputInvalid, match=says) as caught:
        parse_output(text, kind)
    assert caught.value.retryable
    assert isinstance(caught.value, EndpointError)
    assert len(str(caught.value)) < 700
    assert getattr(kind, "__name__", "") in str(caught.value)


@given(st.text())
def test_any_text_gives_a_value_or_output_invalid(text: str) -> None:
    for kind in (Ticket, Kind, int, list[int], dict[str, int], Pydantic, bool, float):
        try:
            parse_output(text, kind)
        except OutputInvalid:
            pass


json_text = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).map(json.dumps)


@given(json_text)
def test_any_json_gives_a_value_or_output_invalid(text: str) -> None:
    for kind in (Ticket, Kind, int, list[int], Pydantic, Plain):
        try:
            parse_output(f"so: {text}", kind)
        except OutputInvalid:
            pass


prose = st.text(st.characters(exclude_characters="{}[]", exclude_categories=["Cs"]), max_size=40)


@given(prose, st.integers(-(2**53), 2**53), st.sampled_from(Kind), st.lists(st.text(max_size=5), max_size=3), prose)
def test_a_value_inside_prose_is_found_unchanged(
    before: str, order: int, kind: Kind, tags: list[str], after: str
) -> None:
    ticket = Ticket(order, kind, tags)
    text = f"{before}\n```json\n{msgspec.json.encode(ticket).decode()}\n```\n{after}"
    assert parse_output(text, Ticket) == ticket


@pytest.mark.parametrize(
    "kind", [Ticket, Plain, Pydantic, Kind, list[Ticket], Ticket | None, int, Literal["a"], Holder]
)
def test_a_schema_has_an_object_at_its_root_and_asks_for_every_field(kind: Any) -> None:
    schema = output_schema(kind)
    assert schema is not None
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"])
    assert "default" not in json.dumps(schema)


def test_a_recursive_type_keeps_its_definition() -> None:
    schema = output_schema(Plain)
    assert schema is not None
    jsonschema.validate({"name": "a", "parent": {"name": "b", "parent": None}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "parent": {"name": "b"}}, schema)


def test_a_field_called_properties_or_default_stays() -> None:
    kind = msgspec.defstruct("Odd", [("properties", dict[str, int]), ("default", int)])
    schema = output_schema(kind)
    assert schema is not None
    assert set(schema["properties"]) == {"properties", "default"}


def test_a_type_without_schema_is_refused() -> None:
    with pytest.raises(TypeMismatch, match="no JSON Schema"):
        output_schema(object)
