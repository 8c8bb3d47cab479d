"""The text of a template, within bounds: bytes in, plain values out. JSON, and YAML with CloudFormation's tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn, cast

import msgspec
import yaml

from outlast.kernel.error import ConfigurationError

template_bytes_max = 16 * 1024 * 1024
"""Bound of one file of JSON: 16 MiB. CloudFormation itself takes 1 MB, plans of Terraform may be long."""
yaml_template_bytes_max = 2 * 1024 * 1024
"""Bound of one file of YAML: 2 MiB."""
template_depth_max = 64
"""Bound of nesting."""
template_values_max = 400_000
"""Bound of keys and values; what an alias stands for counts each time."""

reserved = "\ue000\ue001\ue002"
"""Characters that mark references in text; in a file they are replaced."""
_RESERVED = str.maketrans(dict.fromkeys(reserved, "\N{REPLACEMENT CHARACTER}"))
_INT = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}\Z")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "true": True, "yes": True, "on": True, "false": False, "no": False, "off": False,
}  # fmt: skip


class Text(NamedTuple):
    """One file, read."""

    file: str
    value: Any
    lines: dict[tuple[str, ...], int]
    """Lines, from 1, of keys at most two deep: ``("Resources", "Jobs")``. Empty for JSON."""


def read_text(file: str, raw: bytes) -> Text:
    """What stands in `raw`; `file` is the name that errors show. Raises ConfigurationError."""
    json = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    bound, name = (
        (template_bytes_max, "template_bytes_max") if json else (yaml_template_bytes_max, "yaml_template_bytes_max")
    )
    if len(raw) > bound:
        raise ConfigurationError(f"{file} is larger than {name}, {bound} bytes: give a smaller template")
    try:
        text = raw.decode("utf-8-sig").translate(_RESERVED)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: not UTF-8 text: save the file as UTF-8") from None
    return Text(file, _json(file, text), {}) if json else _yaml(file, text)


def _json(file: str, text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{file}: not valid JSON: {_lowered(str(error))}") from None
    except RecursionError:
        _too_deep(file, 0)
    waiting: list[tuple[Any, int]] = [(value, 1)]
    count = 0
    while waiting:
        found, depth = waiting.pop()
        count += 1
        if depth > template_depth_max:
            _too_deep(file, 0)
        if count > template_values_max:
            _too_many(file, 0)
        if isinstance(found, dict):
            waiting.extend((inner, depth + 1) for inner in cast("dict[str, Any]", found).values())
        elif isinstance(found, list):
            waiting.extend((inner, depth + 1) for inner in cast("list[Any]", found))
    return value


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _too_deep(file: str, line: int) -> NoReturn:
    place = f":{line}" if line else ""
    raise ConfigurationError(f"{file}{place}: nested deeper than template_depth_max, {template_depth_max}")


def _too_many(file: str, line: int) -> NoReturn:
    place = f":{line}" if line else ""
    raise ConfigurationError(
        f"{file}{place}: more keys and values than template_values_max, {template_values_max}, aliases counted in"
    )


def _yaml(file: str, text: str) -> Text:
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        # Not the snippet that PyYAML offers: the line may hold a secret.
        found = "; ".join(part for part in (error.context, error.problem) if part)
        if "nesting depth" in found:
            _too_deep(file, error.problem_mark.line + 1 if error.problem_mark else 0)
        place = f":{error.problem_mark.line + 1}:{error.problem_mark.column + 1}" if error.problem_mark else ""
        raise ConfigurationError(f"{file}{place}: not valid YAML: {found}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(f"{file}:{line}: not valid YAML: a character that is not text") from None
    return Text(file, builder.value, builder.lines)


class _Frame:
    """A list or mapping that is not closed yet."""

    __slots__ = ("anchor", "container", "key", "keys_seen", "tag")

    def __init__(self, container: Any, tag: str | None, anchor: str | None) -> None:
        self.container = container
        self.tag = tag
        self.anchor = anchor
        self.key: Any = _no_key
        self.keys_seen = 0


_no_key = object()


class _Builder:
    """Builds values out of events; iterative, so that depth is a bound of ours and not the stack's."""

    def __init__(self, file: str) -> None:
        self.value: Any = None
        self.lines: dict[tuple[str, ...], int] = {}
        self._file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Any] = {}
        self._count = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise ConfigurationError(f"{self._file}:{line}: a second document: expected one template in a file")
        elif isinstance(event, yaml.ScalarEvent):
            self._counted(1, line)
            value = _tagged(event.tag, _scalar(event), self._file, line)
            self._anchor(event.anchor, value)
            self._put(value, line)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise ConfigurationError(f"{self._file}:{line}: an alias inside of what it stands for, or of nothing")
            value = self._anchors[event.anchor]
            self._counted(sum(1 for _ in walk(value)), line)
            self._put(value, line)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._counted(1, line)
            if len(self._stack) >= template_depth_max:
                _too_deep(self._file, line)
            sequence = isinstance(event, yaml.SequenceStartEvent)
            container: Any = list[Any]() if sequence else dict[str, Any]()
            self._stack.append(_Frame(container, event.tag, event.anchor))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            frame = self._stack.pop()
            value = _tagged(frame.tag, frame.container, self._file, line)
            self._anchor(frame.anchor, value)
            self._put(value, line)

    def _anchor(self, name: str | None, value: Any) -> None:
        if name is not None:
            self._anchors[name] = value

    def _counted(self, values: int, line: int) -> None:
        self._count += values
        if self._count > template_values_max:
            _too_many(self._file, line)

    def _put(self, value: Any, line: int) -> None:
        if not self._stack:
            self.value = value
            return
        frame = self._stack[-1]
        container: Any = frame.container
        if isinstance(container, list):
            cast("list[Any]", container).append(value)
            return
        if frame.key is _no_key:
            self._key(frame, value, line)
            return
        if frame.key == "<<":
            for name, inner in _pairs(value):
                frame.container.setdefault(name, inner)
        else:
            frame.container[frame.key] = value
        frame.key = _no_key

    def _key(self, frame: _Frame, value: Any, line: int) -> None:
        if isinstance(value, dict | list):
            raise ConfigurationError(f"{self._file}:{line}: a key that is a list or mapping: expected a word")
        key = value if isinstance(value, str) else {True: "true", False: "false", None: ""}.get(value, str(value))
        if key in frame.container and key != "<<":
            raise ConfigurationError(f"{self._file}:{line}: the key {key[:64]!r} stands there twice: remove one")
        frame.key = key
        if len(self._stack) <= 2:
            above = tuple(str(one.key) for one in self._stack[:-1])
            self.lines[(*above, key)] = line


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    for part in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            yield from cast("dict[str, Any]", part).items()


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style not in (None, "") or not event.implicit[0]:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.match(text) and not (len(text) > 1 and text.lstrip("+-").startswith("0")):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


_ATTRIBUTE: Callable[[Any], Any] = lambda value: value.split(".", 1) if isinstance(value, str) else value  # noqa: E731


def _tagged(tag: str | None, value: Any, file: str, line: int) -> Any:
    if tag is None or tag == "!" or tag.startswith("tag:yaml.org,2002:"):
        return value
    name = tag.lstrip("!")
    if not tag.startswith("!") or not re.fullmatch(r"[A-Za-z0-9:]{1,64}", name):
        raise ConfigurationError(f"{file}:{line}: the tag {tag[:64]!r} is not one of CloudFormation")
    if name in ("Ref", "Condition"):
        return {name: value}
    return {f"Fn::{name}": _ATTRIBUTE(value) if name == "GetAtt" else value}


def walk(value: Any) -> Iterator[Any]:
    """`value` and everything in it."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        yield found
        if isinstance(found, dict):
            waiting.extend(cast("dict[str, Any]", found).values())
        elif isinstance(found, list):
            waiting.extend(cast("list[Any]", found))
