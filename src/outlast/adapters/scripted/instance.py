"""A valid instance of a JSON Schema, derived from a prompt. The same schema and prompt give the same instance, always.

Enum values are picked by the words of the prompt, numbers and identifiers are taken from it, booleans such as
``wants_refund`` are true if the prompt speaks of a refund. The rest is plain filling. It understands what msgspec,
pydantic and dataclasses produce (draft 2020-12); a schema beyond that is refused, never answered wrongly by intent.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from outlast.model.endpoint import EndpointRefused

depth_max = 32
"""How deep an instance may nest; beyond it recursive schemas take their shortest branch."""

items_max = 100
"""The longest array that ``minItems`` may ask for."""

_shallow = 4  # from this depth on, what may be left out is left out
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_QUESTION_WORDS = frozenset(
    {"is", "has", "wants", "needs", "was", "should", "can", "may", "asks", "for", "a", "the", "to"}
)
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "scripted@example.com",
    "uri": "https://example.com/scripted",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}

Node = dict[str, Any]


def instance(schema: Mapping[str, Any], prompt: str) -> Any:
    """A value that is valid for `schema`. Raises EndpointRefused for a schema that these rules cannot serve."""
    try:
        return _Maker(schema, prompt).make(dict(schema), "", 0)
    except (TypeError, ValueError, AttributeError, LookupError, re.error, RecursionError, StopIteration) as error:
        raise EndpointRefused(f"the scripted model cannot read the schema: {type(error).__name__}: {error}") from None


class _Maker:
    def __init__(self, root: Mapping[str, Any], prompt: str) -> None:
        self._root = root
        self._prompt = prompt
        self._words = _words(prompt)
        self._numbers = [number for found in _NUMBER.findall(prompt) if math.isfinite(number := float(found))]

    def make(self, node: Node, name: str, depth: int) -> Any:
        if depth > depth_max:
            raise EndpointRefused(
                f"the schema nests deeper than {depth_max} levels: the scripted model cannot answer it"
            )
        node = self._resolved(node)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return self._pick(cast("list[Any]", node["enum"]), name)
        branches = cast("list[Node] | None", node.get("anyOf") or node.get("oneOf"))
        if branches:
            return self._branch(branches, name, depth)
        match self._type(node, depth):
            case "object":
                return self._object(node, name, depth)
            case "array":
                return self._array(node, name, depth)
            case "string":
                return self._string(node, name)
            case "integer":
                return int(self._number(node, name, whole=True))
            case "number":
                return self._number(node, name, whole=False)
            case "boolean":
                return self._boolean(name)
            case "null":
                return None
            case other:
                raise EndpointRefused(f"the scripted model does not know the schema type {other!r}")

    def _resolved(self, node: Node) -> Node:
        """The node with references followed and ``allOf`` merged."""
        for _ in range(depth_max):
            reference = node.get("$ref")
            if isinstance(reference, str):
                node = {**self._target(reference), **{key: node[key] for key in node if key != "$ref"}}
            elif "allOf" in node:
                merged: Node = {key: node[key] for key in node if key != "allOf"}
                for part in cast("list[Node]", node["allOf"]):
                    merged = _merged(merged, self._resolved(part))
                node = merged
            else:
                return node
        raise EndpointRefused("the schema's references run in a circle: the scripted model cannot answer it")

    def _target(self, reference: str) -> Node:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            found = cast("Mapping[str, Any]", found).get(part.replace("~1", "/").replace("~0", "~")) if part else found
        if not isinstance(found, dict):
            raise EndpointRefused(f"the schema refers to {reference!r}, which it does not define")
        return cast(Node, found)

    def _type(self, node: Node, depth: int) -> str:
        kind: Any = node.get("type")
        if isinstance(kind, list):
            kinds = cast("list[str]", kind)
            return "null" if "null" in kinds and (depth >= _shallow or len(kinds) == 1) else _first_solid(kinds)
        if kind is None:
            if "properties" in node or "additionalProperties" in node:
                return "object"
            return "array" if "items" in node or "prefixItems" in node else "string"
        return str(kind)

    def _branch(self, branches: list[Node], name: str, depth: int) -> Any:
        """The first branch that is not null; deep inside a recursion, null or what nests least."""
        resolved = [self._resolved(branch) for branch in branches]
        nulls = [branch for branch in resolved if branch.get("type") == "null"]
        if nulls and (depth >= _shallow or (not self._numbers and resolved[0].get("type") in ("integer", "number"))):
            return None  # deep enough, or asked for a number where the prompt has none
        solid = [branch for branch in resolved if branch.get("type") != "null"] or nulls
        if depth >= _shallow:
            solid.sort(key=lambda branch: branch.get("type") in ("object", "array") or "anyOf" in branch)
        tagged = [self._tag_weight(branch) for branch in solid]
        return self.make(solid[tagged.index(max(tagged))], name, depth + 1)

    def _tag_weight(self, branch: Node) -> int:
        """How often the prompt speaks of a branch: by its title and its constant fields."""
        text = str(branch.get("title", ""))
        for field in cast("dict[str, Any]", branch.get("properties", {})).values():
            if isinstance(field, dict):
                inner = cast(Node, field)
                named: Any = inner.get("const") or (inner["enum"][0] if len(inner.get("enum", ())) == 1 else "")
                text += f" {named}"
        return sum(self._words.count(word) for word in set(_words(text)))

    def _object(self, node: Node, name: str, depth: int) -> dict[str, Any]:
        fields = cast("dict[str, Any]", node.get("properties", {}))
        required = set(cast("list[str]", node.get("required", [])))
        made: dict[str, Any] = {}
        for key, inner in fields.items():
            if key in required or depth < _shallow:
                made[key] = self.make(_open(inner), key, depth + 1)
        extra = node.get("additionalProperties")
        for key in sorted(required - set(fields)):
            made[key] = self.make(_open(extra), key, depth + 1)
        count = 0
        while len(made) < min(int(node.get("minProperties", 0)), items_max) and count < items_max:
            count += 1
            made[f"{name or 'key'}{count}"] = self.make(_open(extra), name, depth + 1)
        return made

    def _array(self, node: Node, name: str, depth: int) -> list[Any]:
        least = int(node.get("minItems", 0))
        if least > items_max:
            raise EndpointRefused(
                f"the schema wants {least} items of {name or 'an array'}, the scripted model makes {items_max}"
            )
        made = [self.make(inner, name, depth + 1) for inner in cast("list[Node]", node.get("prefixItems", []))]
        items = node.get("items")
        if items is False or ("items" not in node and made):
            return made
        inner = _open(items)
        wanted = max(least, 1 if depth < _shallow else 0)
        most = node.get("maxItems")
        wanted = min(wanted, int(most)) if most is not None else wanted
        while len(made) < wanted:
            made.append(self.make(inner, name.removesuffix("s"), depth + 1))
        return _distinct(made) if node.get("uniqueItems") else made

    def _pick(self, values: list[Any], name: str) -> Any:
        """The value the prompt names most often, the last named if equal; else one chosen by the prompt's hash."""
        weights = [self._weight(str(value)) for value in values]
        best = max(weights)
        if best > (0, 0):
            return values[weights.index(best)]
        digest = hashlib.sha256(
            json.dumps([self._prompt, name, values], default=str).encode("utf-8", "replace")
        ).digest()
        return values[int.from_bytes(digest[:8], "big") % len(values)]

    def _weight(self, text: str) -> tuple[int, int]:
        places = [
            place + 1
            for place, word in enumerate(self._words)
            if any(_same_stem(word, wanted) for wanted in _words(text.replace("_", " ").replace("-", " ")))
        ]
        return len(places), places[-1] if places else 0

    def _boolean(self, name: str) -> bool:
        asked = [word for word in _words(name.replace("_", " ")) if word not in _QUESTION_WORDS]
        return bool(asked) and all(any(_same_stem(word, wanted) for word in self._words) for wanted in asked)

    def _number(self, node: Node, name: str, *, whole: bool) -> float:
        low = max(float(node.get("minimum", -math.inf)), float(node.get("exclusiveMinimum", -math.inf)))
        high = min(float(node.get("maximum", math.inf)), float(node.get("exclusiveMaximum", math.inf)))
        step = float(node.get("multipleOf", 1 if whole else 0))
        near = self._named(name)
        wished = [float(near)] if near is not None and _NUMBER.fullmatch(near) else []
        wished += [*self._numbers, 0.0, 1.0]
        if math.isfinite(low):
            wished += [low, low + (step or 1), *([(low + high) / 2] if math.isfinite(high) else [])]
            if step:
                wished += [math.ceil(low / step) * step, (math.floor(low / step) + 1) * step]
        if math.isfinite(high):
            wished += [high, high - (step or 1)]
            if step:
                wished += [math.floor(high / step) * step]
        for value in wished:
            if _fits(node, value, step):
                return value
        raise EndpointRefused(f"the scripted model finds no number for {name or 'the schema'} within its bounds")

    def _string(self, node: Node, name: str) -> str:
        least, most = int(node.get("minLength", 0)), int(node.get("maxLength", 2**31))
        wished = [
            self._named(name),
            _FORMATS.get(str(node.get("format", ""))),
            *self._words,
            "scripted",
            "0",
            "a",
            "A",
            "",
        ]
        if "format" in node:
            wished = [_FORMATS.get(str(node["format"]), "scripted")]
        elif "pattern" not in node:
            wished = [self._named(name) or f"scripted {name}".strip()]
        for text in wished:
            if text is None:
                continue
            fitted = (text + "." * (least - len(text)))[:most]
            if "pattern" not in node or re.search(str(node["pattern"]), fitted):
                return fitted
        raise EndpointRefused(f"the scripted model finds no text for {name or 'the schema'} that fits its pattern")

    def _named(self, name: str) -> str | None:
        """What the prompt says right after a field's name, if it looks like an identifier: ``order 1043``."""
        words = _words(name.replace("_", " "))
        if not words or words == ["id"]:
            return None
        stem = next(word for word in words if word != "id")
        plural = r"\w{0,2}" if len(stem) > 2 else ""
        match = re.search(
            rf"\b{re.escape(stem)}{plural}\W{{1,3}}(?:no\W{{1,2}}|number )?([\w-]{{0,40}}\d[\w-]{{0,40}})",
            self._prompt,
            re.IGNORECASE,
        )
        return match[1] if match else None


def _open(node: Any) -> Node:
    """A schema as it is; where none stands (or ``true``), one that takes anything."""
    return cast(Node, node) if isinstance(node, dict) else {}


def _first_solid(kinds: list[str]) -> str:
    return next(kind for kind in kinds if kind != "null")


def _merged(left: Node, right: Node) -> Node:
    both = {**left, **right}
    for key in ("properties", "required"):
        if key in left and key in right:
            both[key] = {**left[key], **right[key]} if key == "properties" else [*left[key], *right[key]]
    return both


def _distinct(items: list[Any]) -> list[Any]:
    """Equal texts and numbers made different, for ``uniqueItems``."""
    made: list[Any] = []
    for number, item in enumerate(items):
        if item not in made:
            made.append(item)
        elif isinstance(item, str):
            made.append(f"{item} {number}")
        elif isinstance(item, int | float) and not isinstance(item, bool):
            made.append(max(other for other in made if isinstance(other, int | float)) + 1)
    return made


def _fits(node: Node, value: float, step: float) -> bool:
    if not node.get("minimum", -math.inf) <= value <= node.get("maximum", math.inf):
        return False
    if not node.get("exclusiveMinimum", -math.inf) < value < node.get("exclusiveMaximum", math.inf):
        return False
    return not step or math.isclose(value / step, round(value / step), abs_tol=1e-9)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _same_stem(word: str, wanted: str) -> bool:
    """``refunded`` and ``refunds`` speak of a ``refund``; short words must be equal."""
    return word == wanted or (len(wanted) >= 4 and word.startswith(wanted[: max(4, len(wanted) - 2)]))
