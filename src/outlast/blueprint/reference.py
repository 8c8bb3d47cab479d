"""The reference of ``outlast.yaml``, from the types themselves: a page for people, a JSON Schema for editors."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin

import msgspec

from outlast.blueprint.form import SCALARS, form_of
from outlast.blueprint.resolved import written_default
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.section import Key, is_section, optional, plain, section, sections

paths_max = 4
"""Bound of the places that the page names for one section."""
schema_draft = "https://json-schema.org/draft/2020-12/schema"


@cache
def field_documents(kind: type[msgspec.Struct]) -> dict[str, str]:
    """By field of a struct, its own ones and those of its parents, what the text below it says."""
    found: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if parent is msgspec.Struct or not issubclass(parent, msgspec.Struct):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found


def json_schema() -> dict[str, Any]:
    """What may stand in the file, as JSON Schema (draft 2020-12): what editors complete and check against.

    It knows forms, not whether a name is that of something: `outlast blueprint check` does.
    """
    definitions = {kind.__name__: _definition(kind) for kind in sections(Blueprint) if kind not in SCALARS}
    root = definitions.pop(Blueprint.__name__)
    return {
        "$schema": schema_draft,
        "title": "outlast.yaml",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _definition(kind: type[msgspec.Struct]) -> dict[str, Any]:
    known, documents = section(kind), field_documents(kind)
    properties: dict[str, Any] = {}
    for name, key in known.keys.items():
        properties[name] = {"description": _plain_text(documents.get(key.attribute, "")), **_schema(key.kind)}
        default = written_default(key)
        if default is not None:
            properties[name]["default"] = default
    result: dict[str, Any] = {
        "description": _plain_text(inspect.cleandoc(kind.__doc__ or "")),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if known.rest is not None:
        result["additionalProperties"] = _schema(get_args(plain(known.rest.kind))[1])
    if known.required:
        result["required"] = list(known.required)
    if known.alone is None:
        return result
    return {"description": result.pop("description"), "anyOf": [_schema(known.keys[known.alone].kind), result]}


def _schema(kind: Any) -> dict[str, Any]:
    kind = plain(kind)
    if is_section(kind) and kind not in SCALARS:
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0])}
    if get_origin(kind) is Mapping:
        names, item = get_args(kind)
        pattern = form_of(names).schema["pattern"]
        return {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": _schema(item)}
    return form_of(kind).schema


def page() -> str:
    """The reference as Markdown: a table for each section, in the order of the file."""
    every = [kind for kind in sections(Blueprint) if kind not in SCALARS]
    paths = _paths(every)
    parts = [_PREFACE.strip()]
    parts += [_table(kind, paths[kind]) for kind in every]
    return "\n\n".join(parts) + "\n"


def _paths(every: list[type[msgspec.Struct]]) -> dict[type[msgspec.Struct], list[str]]:
    """By section, where it stands: ``stores.NAME``."""
    paths: dict[type[msgspec.Struct], list[str]] = {kind: [] for kind in every}
    paths[Blueprint] = [""]
    open_ = [(Blueprint, "")]
    while open_:
        kind, path = open_.pop(0)
        known = section(kind)
        below = [(f"{path}.{name}" if path else name, key.kind) for name, key in known.keys.items()]
        if known.rest is not None:
            below.append((f"{path}.NAME" if path else "NAME", get_args(plain(known.rest.kind))[1]))
        for where, kind_there in (_inside(*pair) for pair in below):
            if kind_there in paths and where not in paths[kind_there] and len(paths[kind_there]) <= paths_max:
                paths[kind_there].append(where)
                open_.append((kind_there, where))
    return paths


def _inside(path: str, kind: Any) -> tuple[str, Any]:
    """What lists and names of `kind` are made of, and its path."""
    kind = plain(kind)
    if get_origin(kind) is tuple:
        return _inside(f"{path}[]", get_args(kind)[0])
    return _inside(f"{path}.NAME", get_args(kind)[1]) if get_origin(kind) is Mapping else (path, kind)


def _table(kind: type[msgspec.Struct], paths: list[str]) -> str:
    known, documents = section(kind), field_documents(kind)
    lines = [f"## {kind.__name__}", ""]
    where = ", ".join(f"`{path}`" for path in paths[:paths_max] if path)
    where += " and more" if len(paths) > paths_max else ""
    if where:
        lines += [f"At {where}.", ""]
    lines += [_markdown(inspect.cleandoc(kind.__doc__ or "")), ""]
    if known.alone is not None:
        lines += [f"Written as one value it is its `{known.alone}`.", ""]
    lines += ["| key | value | default | what it says |", "|---|---|---|---|"]
    for name, key in known.keys.items():
        lines.append(f"| `{name}` | {_words(key.kind)} | {_default(key)} | {_cell(documents.get(key.attribute, ''))} |")
    if known.rest is not None:
        item = get_args(plain(known.rest.kind))[1]
        lines.append(f"| any other name | {_words(item)} | | {_cell(documents.get(known.rest.attribute, ''))} |")
    return "\n".join(lines)


def _words(kind: Any) -> str:
    kind = plain(kind)
    if is_section(kind) and kind not in SCALARS:
        alone = section(kind).alone
        short = f"{_words(section(kind).keys[alone].kind)}, or " if alone else ""
        return f"{short}[{kind.__name__}](#{kind.__name__.lower()})"
    if get_origin(kind) is tuple:
        return f"list of: {_words(get_args(kind)[0])}"
    if get_origin(kind) is Mapping:
        return f"by name: {_words(get_args(kind)[1])}"
    return form_of(kind).words.replace("|", "\\|")


def _default(key: Key) -> str:
    if key.field.required:
        return "must be given"
    default = written_default(key)
    if default is None:
        return "absent" if optional(key.kind) else ""
    return f"`{default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)}`"


def _markdown(text: str) -> str:
    return _absent(text).replace("``", "`")


def _absent(text: str) -> str:
    """What is None to the reader of the code is absent to the reader of the file."""
    return re.sub(r"\bNone:", "absent:", re.sub(r"^None:", "Absent:", text))


def _cell(text: str) -> str:
    return " ".join(_markdown(text).split()).replace("|", "\\|")


def _plain_text(text: str) -> str:
    return " ".join(_absent(text).replace("``", "`").split())


_PREFACE = """
# outlast.yaml

<!-- Made by `outlast blueprint reference > docs/blueprint.md`; a test compares. -->

One file says what a system is, what it promises and what it must survive. What runs it, checks it, draws it and prices
it reads the same file. Every key is optional unless its default says otherwise, and so is the file.

    outlast blueprint check              # is it accepted? errors name file, line, column and the nearest known word
    outlast blueprint show --resolved    # all of it, with every default filled in
    outlast blueprint schema             # JSON Schema, for editors
    outlast blueprint reference          # this page

For an editor with the YAML language server, write `outlast blueprint schema > outlast.schema.json` once, and as the
first line of the file `# yaml-language-server: $schema=outlast.schema.json`.

**Quantities carry their unit**: `500ms 5s 10m 24h 35d`, `20/s 1500/m`, `64KiB 1GiB`, `99.95%`, `3x`, `0.25USD`,
`9000USD/month` (a month has 730 hours), `14x over 1h`. A number without one is an error where a unit is expected.
**Unknown keys are errors**, and so are a key that stands twice, a tag, an empty value and a name that is given to
nothing. **Secrets never stand in the file**: it says where one is, such as `env:TOKEN`.

**What acts when the system runs** is `app`, `workers` (`min`, `memory_max`), `takeover_after`, `agents` (`workers`,
`deadline`, `budget`, `reads`), `models` (endpoints, fallback, guard, canary), `stores.journal` (`postgres`, `dynamodb`,
`encrypt`), `queues` that have an address, `server`, `gateway` and `run_on.local` (`journal`, `durability`). All else
describes: it is checked, shown and reasoned about, and `outlast up` names what of it nothing here stands for.

**Names** in `needs:` and `from:` are those of agents, services, models, stores, queues, external, training. Where two
have the same name, write the section before it: `models.writer`.

**Bounds**: 1 MiB, 100,000 keys and values, 20 levels, 100 aliases, 2,000 components.
"""
