"""JSON Schemas made ready for an OpenAPI document: definitions moved to its components, references after them."""

from __future__ import annotations

import re
from typing import Any, cast

Schema = dict[str, Any]

_REF = "#/components/schemas/"
_DEFS = ("#/$defs/", "#/definitions/")


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

    def _moved(self, node: Any, prefix: str) -> Any:
        if isinstance(node, list):
            return [self._moved(item, prefix) for item in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        made: Schema = {}
        for key, value in cast(Schema, node).items():
            if key in ("$defs", "definitions") and isinstance(value, dict):
                for name, definition in cast(Schema, value).items():
                    self.schemas[_safe(f"{prefix}.{name}")] = cast(Schema, self._moved(definition, prefix))
            elif key == "$ref" and isinstance(value, str) and value.startswith(_DEFS):
                made[key] = _REF + _safe(f"{prefix}.{value.rpartition('/')[2]}")
            else:
                made[key] = self._moved(value, prefix)
        return made


def _safe(name: str) -> str:
    """What the specification allows as a component's name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def call_schema(named: Schema) -> Schema:
    """What ``input`` may be, from the schema of an agent's named arguments.

    An object of named arguments, an array of positional ones, or, for an agent that one argument is enough for, just
    that argument if it is neither.
    """
    properties: dict[str, Schema] = named.get("properties", {})
    required: list[str] = named.get("required", [])
    ways: list[Schema] = [named]
    positional: Schema = {"type": "array", "minItems": len(required), "maxItems": len(properties)}
    if properties:
        positional["prefixItems"] = list(properties.values())
    ways.append(positional)
    if properties and len(required) <= 1:
        ways.append({"allOf": [next(iter(properties.values())), {"not": {"type": ["object", "array"]}}]})
    return {"anyOf": ways}
