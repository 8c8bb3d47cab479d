from __future__ import annotations

from typing import Any

import msgspec

from outlast.server.schema import Components, call_schema, fields_always_sent


def test_definitions_become_components_named_after_their_owner() -> None:
    components = Components()
    inner: Any = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node[int]"}}}
    schema = {"$ref": "#/$defs/Node[int]", "$defs": {"Node[int]": inner}}
    assert components.add("tree.input", schema) == {"$ref": "#/components/schemas/tree.input"}
    reference = {"$ref": "#/components/schemas/tree.input.Node_int_"}
    assert components.schemas["tree.input"] == reference
    assert components.schemas["tree.input.Node_int_"]["properties"]["next"] == reference


def test_definitions_inside_definitions_are_found() -> None:
    components = Components()
    schema = {"anyOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"$ref": "#/$defs/B", "$defs": {"B": {"type": "null"}}}}}
    components.add("x", schema)
    assert components.schemas["x.B"] == {"type": "null"}
    assert components.schemas["x.A"] == {"$ref": "#/components/schemas/x.B"}


def test_a_property_may_be_named_like_a_keyword() -> None:
    struct = {"type": "object", "properties": {"$ref": {"type": "string"}, "definitions": {"type": "integer"}}}
    components = Components()
    components.add("odd", struct)
    assert components.schemas == {"odd": struct}


def test_data_inside_a_schema_is_left_alone_and_the_mapping_of_a_union_is_not() -> None:
    schema = {
        "default": {"$ref": "#/$defs/A", "$defs": {}},
        "discriminator": {"propertyName": "type", "mapping": {"A": "#/$defs/A"}},
        "$defs": {"A": {"type": "object"}},
    }
    components = Components()
    components.add("u", schema)
    assert components.schemas["u"] == {
        "default": {"$ref": "#/$defs/A", "$defs": {}},
        "discriminator": {"propertyName": "type", "mapping": {"A": "#/components/schemas/u.A"}},
    }


def test_positions_follow_the_order_of_the_parameters_and_the_last_that_is_needed() -> None:
    struct = {"type": "object", "properties": {"a": {"title": "a"}, "b": {"title": "b"}}, "required": ["b"]}
    named, by_position, *others = call_schema(struct, ["a", "b"])["anyOf"]
    assert named == struct
    assert by_position == {
        "type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"title": "a"}, {"title": "b"}],
    }  # fmt: skip
    assert others == []  # one value alone would be `a`, and `b` is needed


class Inner(msgspec.Struct, omit_defaults=True):
    a: int
    b: int = 0


class Outer(msgspec.Struct):
    inner: list[Inner]
    by_name: dict[str, Inner | None]
    more: str = ""


def test_fields_that_are_always_sent_are_found_in_what_a_struct_holds() -> None:
    assert fields_always_sent([Outer]) == {"Outer": ["inner", "by_name", "more"], "Inner": ["a"]}
