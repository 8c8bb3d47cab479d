"""JSON Schemas made ready for an OpenAPI document: definitions moved to its components, references after them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from msgspec import inspect

Schema = dict[str, Any]

_REF = "#/components/schemas/"
_INNER = ("#/$defs/", "#/definitions/")
_DEFINITIONS = frozenset({"$defs", "definitions"})
_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas"})
_DATA = frozenset({"default", "const", "enum", "examples"})


class Components:
    """Collects ``components.schemas`` of one document."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def ref(self, name: str) -> Schema:
        """A reference to the component `name`."""
        return {"$ref": _REF + name}

    def add(self, name: str, schema: Schema) -> Schema:
        """Add a schema, its own ``$defs`` as components named after it; returns the reference."""
        name = _safe(name)
        self.schemas[name] = cast(Schema, self._moved(schema, name))
        return self.ref(name)

    def _moved(self, schema: Any, prefix: str) -> Any:
        if isinstance(schema, list):
            return [self._moved(item, prefix) for item in cast("list[Any]", schema)]
        if not isinstance(schema, dict):
            return schema
        made: Schema = {}
        for key, value in cast(Schema, schema).items():
            if key in _DEFINITIONS:
                for name, definition in value.items():
                    self.schemas[_safe(f"{prefix}.{name}")] = self._moved(definition, prefix)
            elif key in _SCHEMAS_BY_NAME:
                made[key] = {name: self._moved(inner, prefix) for name, inner in value.items()}
            elif key == "discriminator":
                mapping = {name: _moved_ref(ref, prefix) for name, ref in value.get("mapping", {}).items()}
                made[key] = {**value, "mapping": mapping}
            elif key == "$ref":
                made[key] = _moved_ref(value, prefix)
            else:
                made[key] = value if key in _DATA else self._moved(value, prefix)
        return made


def _moved_ref(ref: str, prefix: str) -> str:
    inner = ref.startswith(_INNER)
    return _REF + _safe(f"{prefix}.{ref.rpartition('/')[2]}") if inner else ref


def _safe(name: str) -> str:
    """What the specification allows as a component's name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def resolved(schema: Schema) -> Schema:
    """The schema itself, where it is a reference to one of its own definitions."""
    return schema.get("$defs", {}).get(str(schema.get("$ref", "")).rpartition("/")[2], schema)


def _is_unset(field: inspect.Field) -> bool:
    """Whether a field that need not be given is left out then, as UNSET is."""
    return field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT


def fields_always_sent(kinds: Iterable[type[msgspec.Struct]]) -> dict[str, list[str]]:
    """By name of struct, for `kinds` and what they hold: the fields that an encoded one always has.

    msgspec's own schemas call a field required if it must be given to make one, which is less.
    """
    found: dict[str, list[str]] = {}

    def visit(info: Any) -> None:
        if isinstance(info, inspect.StructType):
            if info.cls.__name__ in found:
                return
            omits: bool = info.cls.__struct_config__.omit_defaults
            always = [
                field.encode_name for field in info.fields if field.required or not (omits or _is_unset(field))
            ]
            found[info.cls.__name__] = always
            for field in info.fields:
                visit(field.type)
        elif isinstance(info, inspect.Type):
            for inner in ("types", "item_types", "item_type", "key_type", "value_type"):
                part: Any = getattr(info, inner, ())
                for one in cast("tuple[Any, ...]", part if isinstance(part, tuple) else (part,)):
                    visit(one)

    for info in inspect.multi_type_info(list(kinds)):
        visit(info)
    return found


def call_schema(named: Schema, names: Sequence[str]) -> Schema:
    """What ``input`` may be for an agent, from the schema of its named arguments and their order.

    As `agent/signature.py` reads it: an object gives arguments by name, an array by position, anything else is the
    first one; an agent of one parameter also takes an object that does not name it as that argument; one of none takes
    null.
    """
    definitions: dict[str, Schema] = named.get("$defs", {})
    struct = resolved(named)
    required: list[str] = struct.get("required", [])
    types: list[Schema] = [struct["properties"][name] for name in names]
    needed = max((index + 1 for index, name in enumerate(names) if name in required), default=0)
    by_position: Schema = {"type": "array", "minItems": needed, "maxItems": len(names)}
    ways: list[Schema] = [struct, by_position]
    if not names:
        ways.append({"type": "null"})
    else:
        by_position["prefixItems"] = types
        scalar: Schema = {"not": {"type": ["object", "array"]}}
        if len(names) == 1:
            other: Schema = {"type": "object", "not": {"propertyNames": {"enum": list(names)}}}
            ways.append({"allOf": [types[0], {"anyOf": [scalar, other]}]})
        elif set(required) <= {names[0]}:
            ways.append({"allOf": [types[0], scalar]})
    return {"anyOf": ways, "$defs": definitions}
