"""Walks a tree of YAML along the structs of the schema; what they do not name is refused where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar, cast, get_args, get_origin

import msgspec
import yaml

from outlast.blueprint.check import CHECKS
from outlast.blueprint.document import Document, did_you_mean
from outlast.blueprint.scalar import SCALARS, read_scalar
from outlast.blueprint.section import Section, is_section, plain, section
from outlast.kernel.error import UsageError
from outlast.kernel.identity import check_name

S = TypeVar("S", bound=msgspec.Struct)

values_max = 100_000
"""Bound of the values that a file has once its aliases are followed."""

_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp", "value"))


class Spot(NamedTuple):
    """A place in the file, both counted from 1."""

    line: int
    column: int


class Reader:
    """Reads one document; `places` then says where each key and list item stands, by path: ``stores.orders.aws``."""

    def __init__(self, document: Document) -> None:
        """Nothing is read yet."""
        self.places: dict[str, Spot] = {}
        self._document = document

    def struct(self, node: yaml.Node, kind: type[S], path: str) -> S:
        """One section. Raises ConfigurationError that points at what cannot be accepted."""
        known = section(kind)
        if known.alone is not None and isinstance(node, yaml.ScalarNode):
            key = known.keys[known.alone]
            values = {key.attribute: self.value(node, key.kind, path)}
        else:
            values = self._values(node, known, path)
        missing = [name for name in known.required if known.keys[name].attribute not in values]
        if missing:
            expected = ", ".join(known.required)
            self._refuse(node, f"{path or 'the file'} lacks {', '.join(missing)}: expected {expected}")
        result = kind(**values)
        check = CHECKS.get(kind)
        problem = check(result) if check else None
        if problem:
            self._refuse(node, f"{path or 'the file'} {problem}")
        return result

    def value(self, node: yaml.Node, kind: Any, path: str) -> Any:
        """One value of annotated type `kind`; of ``X | None`` only X: an explicit null is refused."""
        kind = plain(kind)
        if is_section(kind) and kind not in SCALARS:
            return self.struct(node, kind, path)
        origin = get_origin(kind)
        if origin is tuple:
            if not isinstance(node, yaml.SequenceNode):
                self._refuse(node, f"{path} is {_found(node)}, expected a list")
            item = get_args(kind)[0]
            found: list[Any] = []
            for index, child in enumerate(cast("list[yaml.Node]", node.value)):
                self._mark(f"{path}[{index}]", child)
                found.append(self.value(child, item, f"{path}[{index}]"))
            return tuple(found)
        if origin is Mapping:
            item = get_args(kind)[1]
            return {
                word: self.value(value, item, self._mark(_joined(path, word), key))
                for word, (key, value) in self._pairs(node, path).items()
                if self._is_name(key, path, word)
            }
        return self._scalar(node, kind, path)

    def _values(self, node: yaml.Node, known: Section, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for word, (key, value) in self._pairs(node, path).items():
            below = self._mark(_joined(path, word), key)
            if word in known.keys:
                values[known.keys[word].attribute] = self.value(value, known.keys[word].kind, below)
                continue
            item = None if known.rest is None else get_args(plain(known.rest.kind))[1]
            if item is None or (_wants_keys(item) and isinstance(value, yaml.ScalarNode)):
                problem = f"unknown key {word[:64]!r} in {path or 'the file'}"
                self._refuse(key, f"{problem}: {did_you_mean(word, known.keys)}")
            self._is_name(key, path, word)
            rest[word] = self.value(value, item, below)
        if rest and known.rest is not None:
            values[known.rest.attribute] = rest
        return values

    def _pairs(self, node: yaml.Node, path: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        where = path or "the file"
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f"{where} is {_found(node)}, expected keys and values")
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, f"a key in {where} is {_found(key)}, expected a word")
            word = str(key.value)
            if word in pairs:
                self._refuse(key, f"key {word[:64]!r} stands twice in {where}: remove one")
            pairs[word] = (key, value)
        return pairs

    def _is_name(self, key: yaml.Node, path: str, word: str) -> bool:
        try:
            check_name(path, word)
        except UsageError as error:
            self._refuse(key, str(error))
        return True

    def _scalar(self, node: yaml.Node, kind: Any, path: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node, f"{path} is {_found(node)}, expected one value")
        if node.tag not in _PLAIN_TAGS:
            found = "empty" if node.tag.endswith(":null") else "tagged, and tags are not allowed"
            self._refuse(node, f"{path} is {found}: write a value or leave the key out")
        text = str(node.value)
        try:
            return read_scalar(text, kind, node)
        except msgspec.ValidationError as error:
            bound = str(error).replace("`int`", "a number").lower()
            self._refuse(node, f"{path} is {text[:64]}, {bound}")
        except UsageError as error:
            self._refuse(node, f"{path}: {error}")

    def _mark(self, path: str, node: yaml.Node) -> str:
        if len(self.places) >= values_max:
            self._refuse(node, f"more than values_max, {values_max}, values once aliases are followed: shorten it")
        self.places[path] = Spot(node.start_mark.line + 1, node.start_mark.column + 1)
        return path

    def _refuse(self, node: yaml.Node, message: str) -> NoReturn:
        self._document.refuse(node, message)


def _joined(path: str, word: str) -> str:
    return f"{path}.{word}" if path else word


def _wants_keys(kind: Any) -> bool:
    return is_section(kind) and kind not in SCALARS and section(kind).alone is None


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "empty" if node.tag.endswith(":null") else "a single value"
