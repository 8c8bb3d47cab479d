"""Reads ``outlast.yaml`` into the frozen structs of `blueprint/schema.py`, and refuses everything else."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
import yaml

from outlast.blueprint.document import Document, nearest, yaml_bytes_max
from outlast.blueprint.schema import (
    Blueprint,
    Fallback,
    Gateway,
    Listen,
    Model,
    ModelEndpoint,
    ModelGuard,
    Quantity,
    Server,
    Text,
)
from outlast.blueprint.secret import Secret
from outlast.kernel import unit
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.identity import check_name

S = TypeVar("S", bound=msgspec.Struct)

blueprint_file = "outlast.yaml"
"""Its name in the project directory."""

endpoints_max = 64
"""Bound of the endpoints of one model."""

_MODULE_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})\Z")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z")
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
        check = _CHECKS.get(kind)
        problem = check(result) if check else None
        if problem:
            self._refuse(node, f"{path} {problem}")
        return result

    def value(self, node: yaml.Node, kind: Any, path: str) -> Any:
        """One value of annotated type `kind`."""
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):  # only X | None: absent is the default, an explicit null is refused
            return self.value(node, next(part for part in get_args(kind) if part is not types.NoneType), path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in _SCALARS:
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
            return _read(text, kind, node)
        except msgspec.ValidationError as error:
            bound = str(error).replace("`int`", "a number").lower()
            self._refuse(node, f"{path} is {text[:64]}, {bound}")
        except UsageError as error:
            self._refuse(node, f"{path}: {error}")


def _read(text: str, kind: Any, node: yaml.ScalarNode) -> Any:
    if kind in _SCALARS:
        return _SCALARS[kind](text)
    marks: tuple[Any, ...] = ()
    base = kind
    if get_origin(kind) is Annotated:
        base, *rest = get_args(kind)
        marks = tuple(rest)
    for mark in marks:
        if isinstance(mark, Quantity):
            return _quantity(text, mark)
        if isinstance(mark, Text):
            return _TEXTS[mark](text)
    if base is int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or node.style is not None:
            raise ConfigurationError(f"{text[:64]!r} is not understood: expected a whole number, without quotes")
        return msgspec.convert(int(text), kind)
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        for choice in choices:
            if text == str(choice):
                return choice
        expected = " or ".join(map(str, choices))
        raise ConfigurationError(f"{text[:64]!r} found, expected {expected}")
    if not text or len(text) > 256 or not text.isprintable():
        raise ConfigurationError("expected 1 to 256 printable characters")
    return text


def _quantity(text: str, kind: Quantity) -> float | int:
    if kind in _PLAIN:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise ConfigurationError(f"{text[:64]!r} is not understood: expected a number")
        value: float | int = float(text)
        if kind is Quantity.SCORE and not 0 < value < 1:
            raise ConfigurationError(f"{text[:64]} found, expected more than 0 and less than 1")
        return value
    reads, example = _QUANTITIES[kind]
    if re.fullmatch(r"[0-9.]+", text):
        raise ConfigurationError(f"{text[:64]} has no unit: write for example {text[:64]}{example}")
    value = reads(text)
    if value <= 0:
        raise ConfigurationError(f"{text[:64]} found, expected more than nothing")
    return value


def _module_object(text: str) -> str:
    if not _MODULE_OBJECT.match(text):
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected module:object, for example app:app")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("the URL is not understood: expected http://HOST:PORT/v1 or https://HOST/v1") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the URL holds a user or password (not shown): give the secret as key: env:NAME")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or not text.isprintable():
        raise ConfigurationError("the URL is not understood: expected http://HOST:PORT/v1 or https://HOST/v1")
    return text.rstrip("/")


def _load(text: str) -> str:
    if re.fullmatch(r"metrics|slots|nvml:[0-9]{1,2}", text):
        return text
    if not text.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{text[:64]!r} is not understood: expected metrics, slots, nvml:INDEX or http://HOST:PORT/PATH"
        )
    return _url(text)


def _listen(text: str) -> Listen:
    match = _LISTEN.match(text)
    if match is None or int(match[2]) > 65535:
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected HOST:PORT, for example {Listen()}")
    return Listen(match[1].strip("[]"), int(match[2]))


def _check_model(model: Model) -> str | None:
    everybody = [*model.endpoints, *([model.fallback] if model.fallback else [])]
    if not model.endpoints:
        return "has 0 endpoints, expected at least one"
    if len(everybody) > endpoints_max:
        return f"has {len(everybody)} endpoints, the bound endpoints_max is {endpoints_max}"
    names = [endpoint.name for endpoint in everybody]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"has two endpoints named {twice[0]!r}: rename one"
    if not any(endpoint.weight for endpoint in model.endpoints):
        return "has only endpoints of weight 0: give at least one more"
    return None


def _check_endpoint(endpoint: ModelEndpoint) -> str | None:
    given = [kind for kind in ("url", "bedrock", "sagemaker") if getattr(endpoint, kind) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        return f"has {found}: expected one of url (with model), bedrock and sagemaker"
    if endpoint.load and isinstance(endpoint, Fallback):
        return "has load: a fallback stands alone, there is nothing to balance"
    (kind,) = given
    if endpoint.load and kind != "url":
        return f"has load: {kind} does not tell its load"
    if kind == "url":
        if endpoint.model is None:
            return "lacks model: write what the server calls it"
        return None if endpoint.region is None else "has a region: only bedrock and sagemaker have one"
    if endpoint.key is not None:
        return f"has a key: {kind} uses the AWS credentials of the process"
    if kind == "bedrock" and endpoint.model is not None:
        return "has a model: bedrock names it already"
    if endpoint.region is not None and not _REGION.match(endpoint.region):
        return f"has region {endpoint.region[:32]!r}: expected one such as eu-central-1"
    return None


def _check_guard(guard: ModelGuard) -> str | None:
    return None if guard.slower_than_peers > 1 else "has slower_than_peers 1x or less: expected more, such as 3x"


def _check_server(server: Server) -> str | None:
    if server.listen.loopback or server.token is not None:
        return None
    return f"listens on {server.listen}, which others can reach: set token: env:NAME or listen on 127.0.0.1"


def _check_gateway(gateway: Gateway) -> str | None:
    if gateway.listen.loopback or gateway.keys:
        return None
    return (
        f"listens on {gateway.listen}, which others can reach: set keys: {{team: {{key: env:TEAM_KEY}}}} "
        "or listen on 127.0.0.1"
    )


_QUANTITIES: dict[Quantity, tuple[Callable[[str], float | int], str]] = {
    Quantity.DURATION: (unit.seconds, "s"),
    Quantity.SIZE: (unit.size, "MiB"),
    Quantity.MONEY: (unit.usd, "USD"),
    Quantity.SHARE: (unit.share, "%"),
    Quantity.TIMES: (unit.times, "x"),
    Quantity.RATE: (unit.rate, "/m"),
}
_PLAIN = frozenset({Quantity.NUMBER, Quantity.SCORE})
_STARTS = ("from", "type", "min", "max")
_LATER: dict[tuple[str, str], str] = {  # by a key that the section has, and the one that it does not have yet
    **{("model", key): "what starts and scales endpoints is not there yet: name endpoints that run" for key in _STARTS},
    ("prompts", "keep_versions"): "versions of a model are not kept yet: leave it out",
}
_SCALARS: dict[Any, Callable[[str], Any]] = {Secret: Secret.parse, Listen: _listen}
_TEXTS: dict[Text, Callable[[str], str]] = {
    Text.NAME: lambda text: check_name("the", text),
    Text.MODULE_OBJECT: _module_object,
    Text.URL: _url,
    Text.LOAD: _load,
}
_CHECKS: dict[Any, Callable[[Any], str | None]] = {
    Model: _check_model,
    ModelEndpoint: _check_endpoint,
    Fallback: _check_endpoint,
    ModelGuard: _check_guard,
    Server: _check_server,
    Gateway: _check_gateway,
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
