"""How a struct of the schema reads as a section of the file: its keys, and what stands for it in short."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from outlast.blueprint.value import Form


class Key(NamedTuple):
    """One key of a section."""

    attribute: str
    """The field of the struct: for most the key itself, but ``from`` and ``for`` are words of Python."""
    kind: Any
    """The annotated type."""
    field: Any
    """What msgspec knows of it: whether it is required, and its default."""


class Section(NamedTuple):
    """A struct as a section."""

    keys: Mapping[str, Key]
    """By what stands in the file, those that must be there first."""
    alone: str | None
    """The key that is meant when the section is one value."""
    rest: Key | None
    """What takes every other key."""
    required: tuple[str, ...]
    """The keys that must be there."""


@cache
def section(kind: type[msgspec.Struct]) -> Section:
    """The section that a struct is."""
    hints = get_type_hints(kind, include_extras=True)
    keys: dict[str, Key] = {}
    alone: str | None = None
    rest: Key | None = None
    for field in msgspec.structs.fields(kind):
        key = Key(field.name, hints[field.name], field)
        marks = get_args(key.kind)[1:] if get_origin(key.kind) is Annotated else ()
        if Form.REST in marks:
            rest = key
            continue
        keys[field.encode_name] = key
        if Form.ALONE in marks:
            alone = field.encode_name
    first = {name: key for name, key in keys.items() if key.field.required}
    return Section(first | keys, alone, rest, tuple(first))


@cache
def plain(kind: Any) -> Any:
    """`kind` without None and, for all but scalars, without marks."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return plain(next(part for part in get_args(kind) if part is not types.NoneType))
    if origin is Annotated and get_origin(get_args(kind)[0]) is Mapping:
        return get_args(kind)[0]
    return kind


def optional(kind: Any) -> bool:
    """Whether it may be None."""
    return get_origin(kind) in (Union, types.UnionType)


def is_section(kind: Any) -> bool:
    """Whether it is a struct."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def sections(kind: Any, seen: set[Any] | None = None) -> Iterator[type[msgspec.Struct]]:
    """`kind` and every struct below it, each once, in the order of the file."""
    seen = set() if seen is None else seen
    kind = plain(kind)
    if not is_section(kind):
        for part in get_args(kind) if get_origin(kind) in (tuple, Mapping) else ():
            yield from sections(part, seen)
    elif kind not in seen:
        seen.add(kind)
        yield kind
        found = section(kind)
        for key in (*found.keys.values(), *([found.rest] if found.rest else [])):
            yield from sections(key.kind, seen)
