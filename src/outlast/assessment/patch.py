"""Writes a fix into the text of a blueprint: only the characters that must change, so that comments and layout stay.

The text is parsed for the places of its nodes, and edited there. Values are written in flow style on one line. A key
of a section that is written as one value (``writer: hard``) makes it a mapping (``{strength: hard, timeout: 2s}``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

import yaml

from outlast.assessment.finding import Edit
from outlast.blueprint.document import Document
from outlast.kernel.error import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:/%+ -]*\Z")
_AMBIGUOUS = re.compile(
    r"(true|false|yes|no|on|off|null|~|[0-9_.]+|[0-9]+:[0-9:]+|[0-9]{4}-[0-9]{1,2}-[0-9].*)\Z", re.IGNORECASE
)
_UNPRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_INDEXED = re.compile(r"(.+)\[([0-9]+)\]\Z")
_ALONE = {
    "needs": "strength",
    "retry": "attempts",
    "cache": "max_age",
    "redundancy": "instances",
    "across_regions": "mode",
    "failover": "mode",
    "failback": "mode",
    "indexes": "count",
}
"""The key that a section stands for when it is written as one value; under ``needs`` it is each of its entries."""

Key = str | int


class _Verbatim(str):
    """Text of the file, which is not to be quoted again."""

    __slots__ = ()


def patched(text: str, edits: Sequence[Edit], file: str = "outlast.yaml") -> str:
    """`text` with every edit in it. Raises ConfigurationError where that cannot be done."""
    gone = [edit for edit in edits if edit.value is None]
    for edit in edits:
        if edit.value is not None:
            text = _edited(text, edit, file)
    for keys in sorted((_keys(edit.path) for edit in gone), key=_backwards, reverse=True):
        text = _removed(text, keys, file)
    return text


def _edited(text: str, edit: Edit, file: str) -> str:
    root = Document(file, text.encode()).root
    keys = _keys(edit.path)
    if root is None:
        return f"{text.rstrip()}\n{rendered(_nested(keys, edit.value), top=True)}\n".lstrip("\n")
    node, before = root, list[Key]()
    while keys:
        found = _child(node, keys)
        if found is None:
            break
        node, used = found
        before += keys[:used]
        keys = keys[used:]
    if not keys:
        return _replaced(text, node, rendered(edit.value))
    if isinstance(node, yaml.MappingNode):
        return _added(text, node, str(keys[0]), _nested(keys[1:], edit.value))
    alone = _ALONE.get(str(before[-1])) or (_ALONE["needs"] if len(before) > 1 and before[-2] == "needs" else None)
    if isinstance(node, yaml.ScalarNode) and alone is not None:
        as_it_was = _Verbatim(text[node.start_mark.index : node.end_mark.index])
        old = {} if keys[0] == alone else {alone: as_it_was}
        return _replaced(text, node, rendered({**old, str(keys[0]): _nested(keys[1:], edit.value)}))
    raise ConfigurationError(
        f"{file}:{node.start_mark.line + 1}: {_shown(edit.path)} cannot be written by itself: change it by hand"
    )


def _backwards(keys: Sequence[Key]) -> tuple[tuple[bool, int, str], ...]:
    """Later items of a list go first, so that those before keep their index."""
    return tuple((isinstance(key, str), key if isinstance(key, int) else 0, str(key)) for key in keys)


def _shown(path: Sequence[Key]) -> str:
    return ".".join(str(key) for key in path)


def _keys(path: Sequence[Key]) -> list[Key]:
    """``("models", "writer", "endpoints[0]")`` -> ``["models", "writer", "endpoints", 0]``."""
    found: list[Key] = []
    for key in path:
        match = _INDEXED.match(key) if isinstance(key, str) else None
        found.extend((match[1], int(match[2])) if match else (key,))
    return found


def _nested(keys: Sequence[Key], value: Any) -> Any:
    for key in reversed(keys):
        value = {str(key): value}
    return value


def _child(node: yaml.Node, keys: Sequence[Key]) -> tuple[yaml.Node, int] | None:
    """What the first keys lead to, and how many of them: a name in the file may have dots."""
    if isinstance(node, yaml.SequenceNode):
        items = cast("list[yaml.Node]", node.value)
        index = keys[0]
        return (items[index], 1) if isinstance(index, int) and index < len(items) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    known = {key.value: value for key, value in _pairs(node)}
    for count in range(len(keys), 0, -1):
        name = ".".join(str(key) for key in keys[:count])
        if name in known and all(isinstance(key, str) for key in keys[:count]):
            return known[name], count
    return None


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    return cast("list[tuple[yaml.ScalarNode, yaml.Node]]", node.value)


def _replaced(text: str, node: yaml.Node, value: str) -> str:
    start, end = node.start_mark.index, _end(node)
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        before = text[:start].rstrip()
        return f"{before} {value}{text[end:]}"
    if start == end:  # a key without a value
        return f"{text[:start].rstrip(' ')} {value}{text[end:]}"
    return f"{text[:start]}{value}{text[end:]}"


def _added(text: str, node: yaml.MappingNode, key: str, value: Any) -> str:
    """One more entry, after the last."""
    pairs = _pairs(node)
    entry = f"{_word(key)}: {rendered(value)}"
    if node.flow_style:
        end = node.end_mark.index - 1
        inner = text[:end].rstrip()
        comma = "" if not pairs or inner.endswith(",") else ","
        space = "" if not pairs else " "
        return f"{inner}{comma}{space}{entry}{text[end:]}"
    last = _end(node)
    line_end = text.find("\n", last)
    line_end = len(text) if line_end < 0 else line_end
    indent = " " * pairs[0][0].start_mark.column
    return f"{text[:line_end]}\n{indent}{entry}{text[line_end:]}"


def _removed(text: str, keys: Sequence[Key], file: str) -> str:
    """`text` without the entry that `keys` lead to, and without what would then be empty."""
    node: yaml.Node | None = Document(file, text.encode()).root
    way: list[tuple[yaml.CollectionNode, yaml.Node]] = []
    while keys:
        found = _child(node, keys) if isinstance(node, yaml.CollectionNode) else None
        if found is None:
            return text
        way.append((cast("yaml.CollectionNode", node), found[0]))
        node, used = found
        keys = keys[used:]
    while len(way) > 1 and len(way[-1][0].value) == 1:
        way.pop()
    return _without(text, *way[-1], file) if way else text


def _without(text: str, parent: yaml.CollectionNode, child: yaml.Node, file: str) -> str:
    entries = _entries(parent)
    index = next(i for i, (_, node) in enumerate(entries) if node is child)
    start, end = entries[index][0], _end(child)
    if parent.flow_style:
        if index + 1 < len(entries):
            return text[:start] + text[entries[index + 1][0] :]
        return text[: _end(entries[index - 1][1])] + text[end:] if index else text[:start] + text[end:]
    line = text.rfind("\n", 0, start) + 1
    if text[line:start].strip(" ") != ("-" if isinstance(parent, yaml.SequenceNode) else ""):
        where = child.start_mark.line + 1
        raise ConfigurationError(f"{file}:{where}: an entry cannot be removed by itself: change it by hand")
    after = text.find("\n", end)
    return text[:line] + (text[after + 1 :] if after >= 0 else "")


def _entries(parent: yaml.CollectionNode) -> list[tuple[int, yaml.Node]]:
    """Where each entry begins, and its value."""
    if isinstance(parent, yaml.MappingNode):
        return [(key.start_mark.index, value) for key, value in _pairs(parent)]
    return [(item.start_mark.index, item) for item in cast("list[yaml.Node]", parent.value)]


def _end(node: yaml.Node) -> int:
    """Where the text of a node ends; a block ends after its last value, not after the comments that follow."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return max(max(name.end_mark.index, _end(value)) for name, value in _pairs(node))
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return max(_end(item) for item in cast("list[yaml.Node]", node.value))
    return node.end_mark.index


def rendered(value: Any, top: bool = False) -> str:
    """`value` as YAML on one line; `top`: the entries of a mapping without braces, one a line."""
    if isinstance(value, dict):
        entries = [f"{_word(str(key))}: {rendered(one)}" for key, one in cast("dict[Any, Any]", value).items()]
        return "\n".join(entries) if top else "{" + ", ".join(entries) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(rendered(one) for one in cast("list[Any]", value)) + "]"
    if isinstance(value, _Verbatim):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return _word(str(value))


def _word(text: str) -> str:
    """Text as it is where YAML reads it as itself, else in quotes."""
    safe = _PLAIN.match(text) and not _AMBIGUOUS.match(text) and ": " not in text and not text.endswith((":", " "))
    if safe:
        return text
    return _UNPRINTED.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
