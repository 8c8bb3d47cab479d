from __future__ import annotations

import dataclasses
import enum
from datetime import datetime
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.codec import decode, encode, schema
from outlast.kernel.error import PayloadTooLarge, TypeMismatch

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: datetime | None = None
    color: Color = Color.RED


class Line(msgspec.Struct):
    points: list[Point]


class Model(pydantic.BaseModel):
    name: str
    size: int = 0


class Unruly:
    def model_dump(self, mode: str) -> Any:
        raise RuntimeError("not today")


@dataclasses.dataclass
class Picky:
    x: int

    def __post_init__(self) -> None:
        raise KeyError(self.x)


@given(plain)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert decode(encode(value)) == value


@given(plain)
def test_what_has_been_through_the_codec_does_not_change_any_more(value: Any) -> None:
    once = encode(decode(encode(value)))
    assert encode(decode(once)) == once


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_mismatch(raw: bytes) -> None:
    for kind in (Any, int, Point, Line, Model, Picky, list[Model]):
        try:
            decode(raw, kind)
        except TypeMismatch:
            pass


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Point(1, datetime(2026, 1, 2)), Point),  # noqa: DTZ001 # a naive one is a value too
        (Line([Point(1), Point(2)]), Line),
        (Model(name="a"), Model),
        ([Model(name="a")], list[Model]),
        ({"a": (1, "b")}, dict[str, tuple[int, str]]),
        (b"\x00\xff", bytes),
    ],
)
def test_typed_values_come_back_typed(value: Any, kind: Any) -> None:
    assert decode(encode(value), kind) == value


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, "\udc80", 1 + 2j, Unruly(), lambda: 0, [[object()]]])
def test_what_has_no_json_form_is_refused_and_named(value: Any) -> None:
    with pytest.raises(TypeMismatch, match=r"result of t cannot be recorded: .*; return JSON types"):
        encode(value, "result of t")


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeMismatch):
        encode(endless)


def test_a_value_over_its_bound_is_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="is 12 bytes, the bound payload_bytes_max is 11"):
        encode("x" * 10, limit=11)
    assert encode("x" * 10, limit=12)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(b'"a"', int), (b"{", int), (b'{"x":1}', Picky), (b'{"name":1}', Model), (b"[" * 5000, Any), (b"1e999", float)],
)
def test_what_does_not_fit_is_a_mismatch(raw: bytes, kind: Any) -> None:
    with pytest.raises(TypeMismatch):
        decode(raw, kind)


def test_an_annotation_that_cannot_be_read_is_a_mismatch() -> None:
    with pytest.raises(TypeMismatch, match="which cannot be read from JSON"):
        decode(b"1", list[1])


def test_schemas_know_pydantic_models() -> None:
    assert schema(Model)["properties"]["name"]["type"] == "string"
    assert schema(Point)["$defs"]["Point"]["properties"]["x"] == {"type": "integer"}
