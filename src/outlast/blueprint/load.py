"""Reads ``outlast.yaml`` into the frozen structs of `blueprint/schema.py`, and refuses everything else."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import yaml

from outlast.blueprint.check import CHECKS
from outlast.blueprint.document import Document, nearest, yaml_bytes_max
from outlast.blueprint.scalar import SCALARS, read_scalar
from outlast.blueprint.schema import Blueprint
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.identity import check_name

S = TypeVar("S", bound=msgspec.Struct)

blueprint_file = "outlast.yaml"
"""Its name in the project directory."""

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp", "value"))


def load(home: Path) -> Blueprint:
    """The blueprint of a project directory; all defaults if it has no ``outlast.yaml``.

    Raises ConfigurationError with file, line and column for whatever cannot be accepted.
    """
    path = home / blueprint_file
    try:
        with path.open("rb") as file:
            raw = file.read(yaml_bytes_max + 1)
    except FileNotFoundError:
        return Blueprint(name=name_of(home))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    return parse(raw, str(path), name_of(home))


def parse(raw: bytes, file: str = blueprint_file, name: str = "outlast") -> Blueprint:
    """The blueprint in `raw`; `name` is the system's if it gives none, `file` what errors show."""
    document = Document(file, raw)
    if document.root is None:
        return Blueprint(name=name)
    blueprint = _Reader(document).struct(document.root, Blueprint, "")
    given = {key.value for key, _ in cast(yaml.MappingNode, document.root).value}
    return blueprint if "name" in given else msgspec.structs.replace(blueprint, name=name)


def check_agents(blueprint: Blueprint, agents: Mapping[str, object]) -> None:
    """Raises ConfigurationError if the blueprint speaks of an agent that the app does not have."""
    for name in blueprint.agents:
        if name not in agents:
            raise ConfigurationError(
                f"{blueprint_file}: agents.{name} is not an agent of {blueprint.app}: {_did_you_mean(name, agents)}"
            )


def name_of(home: Path) -> str:
    """The name of a project that gives itself none: that of its directory, as far as it can be one."""
    return _NOT_A_NAME.sub("-", home.resolve().name).strip("-_.")[:128] or "outlast"


def _did_you_mean(word: str, known: Mapping[str, object]) -> str:
    near = nearest(word, known)
    everything = ", ".join(known) or "none"
    return f"did you mean {near!r}? (known: {everything})" if near else f"known: {everything}"


class _Reader:
    """Walks the tree along the annotations of the structs; what they do not name is refused where it stands."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._refuse = document.refuse

    def struct(self, node: yaml.Node, kind: type[S], path: str) -> S:
        fields = _fields(kind)
        values = {
            key: self.value(value, fields[key], f"{path}.{key}" if path else key)
            for key, value in self._pairs(node, path, fields)
        }
        try:
            result = kind(**values)
        except TypeError:
            required = [field.name for field in msgspec.structs.fields(kind) if field.required]
            missing = ", ".join(name for name in required if name not in values)
            self._refuse(node, f"{path} lacks {missing}: expected {', '.join(required)}")
        check = CHECKS.get(kind)
        problem = check(result) if check else None
        if problem:
            self._refuse(node, f"{path or 'the file'} {problem}")
        return result

    def value(self, node: yaml.Node, kind: Any, path: str) -> Any:
        """One value of annotated type `kind`."""
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):  # only X | None: absent is the default, an explicit null is refused
            return self.value(node, next(part for part in get_args(kind) if part is not types.NoneType), path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in SCALARS:
            return self.struct(node, kind, path)
        if origin is tuple:
            if not isinstance(node, yaml.SequenceNode):
                self._refuse(node, f"{path} is {_found(node)}, expected a list")
            item = get_args(kind)[0]
            return tuple(self.value(child, item, f"{path}[{index}]") for index, child in enumerate(node.value))
        if origin is Mapping:
            item = get_args(kind)[1]
            return {key: self.value(value, item, f"{path}.{key}") for key, value in self._pairs(node, path, None)}
        return self._scalar(node, kind, path)

    def _pairs(self, node: yaml.Node, path: str, known: Mapping[str, object] | None) -> list[tuple[str, yaml.Node]]:
        """Keys and values of a mapping; the keys must be of `known`, or, where that is None, be names."""
        where = path or "the file"
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f"{where} is {_found(node)}, expected keys and values")
        pairs: dict[str, yaml.Node] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, f"a key in {where} is {_found(key)}, expected a word")
            word = str(key.value)
            if known is not None and word not in known:
                later = next((why for (has, key), why in _LATER.items() if key == word and has in known), None)
                problem = f"{where} has {word!r}: {later}" if later else f"unknown key {word[:64]!r} in {where}"
                self._refuse(key, problem if later else f"{problem}: {_did_you_mean(word, known)}")
            if known is None:
                self._check_name(key, path, word)
            if word in pairs:
                self._refuse(key, f"key {word[:64]!r} stands twice in {where}: remove one")
            pairs[word] = value
        return list(pairs.items())

    def _check_name(self, key: yaml.Node, path: str, word: str) -> None:
        try:
            check_name(path, word)
        except UsageError as error:
            self._refuse(key, str(error))

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


_STARTS = ("from", "type", "min", "max")
_LATER: dict[tuple[str, str], str] = {  # by a key that the section has, and the one that it does not have yet
    **{("model", key): "what starts and scales endpoints is not there yet: name endpoints that run" for key in _STARTS},
    ("prompts", "keep_versions"): "versions of a model are not kept yet: leave it out",
}


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "empty" if node.tag.endswith(":null") else "a single value"
